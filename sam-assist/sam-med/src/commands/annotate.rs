//! `sam-med annotate`: a whole scan from a few outlined slices, once or in rounds of a session.

mod report;
mod session;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::{Annotations, Annotator, Output, Start, Weights, cards};
use sam_data::{LabelVolume, Scan};
use serde::Serialize;

use self::report::AnnotateReport;
use crate::{
    backend::Job,
    console::Console,
    exit::Failure,
    options::{
        AutoOptions, ComputeOptions, LearningOptions, OutlineOptions, ScanOptions, SessionOptions, StructureOptions,
    },
    progress::ProgressBars,
    record,
};

/// Segment a whole scan from a few outlined slices.
#[derive(Debug, Clone, Args, Serialize)]
#[command(
    override_usage = "sam-med annotate --image PATH --annotations FILE --out FILE [--session DIR] [OPTIONS]",
    after_help = "\
Examples:
  sam-med annotate --image ct.nii.gz --annotations few.nii.gz --out mask.nii.gz --session work
  sam-med annotate --image ct.nii.gz --annotations few.nii.gz --out mask.nii.gz --auto sapnet"
)]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// Label map with a few outlined slices; later a corrected mask
    #[arg(long, value_name = "FILE", required_unless_present = "session")]
    annotations: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    outlines: OutlineOptions,
    #[command(flatten)]
    #[serde(flatten)]
    structures: StructureOptions,
    #[command(flatten)]
    #[serde(flatten)]
    learning: LearningOptions,
    #[command(flatten)]
    #[serde(flatten)]
    auto: AutoOptions,
    #[command(flatten)]
    #[serde(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
}

/// Annotates a scan, and prints the result.
///
/// # Errors
/// If an input cannot be read or does not fit the others, or an output cannot be written; the message says what to do.
/// [`Failure::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    console.result(&annotate(options, console)?)
}

/// Annotates a scan.
pub(super) fn annotate(options: &Options, console: &Console) -> Result<AnnotateReport> {
    let scan = Arc::new(options.scan.read(console)?);
    let output = options.output(&scan)?;
    if let Some(path) = &options.learning.save_card {
        cards::check_output(path)?;
    }
    let annotations = options.annotations.as_deref();
    let labels = annotations.map(|path| ScanOptions::read_labels(&scan, path)).transpose()?;
    let model = &options.compute.model;
    let weights = model.locate(console)?;
    model.backend.run(AnnotateJob { options, console, scan, output, labels, weights: &weights })
}

impl Options {
    /// The output of the mask, with these options in its record.
    fn output(&self, scan: &Scan) -> Result<Output> {
        // A session has its own copy of the outlines, so the mask may overwrite the file that was given.
        let annotations = self.annotations.as_deref().filter(|_| self.session.session.is_none());
        let inputs: Vec<_> = annotations.map(|path| ("--annotations", path)).into_iter().collect();
        let mut output = self.scan.output(scan, &inputs)?;
        output.fields.extend(record::saved_options("annotate", self));
        Ok(output)
    }
}

/// An annotation task, to be run on a backend.
struct AnnotateJob<'a> {
    options: &'a Options,
    console: &'a Console,
    scan: Arc<Scan>,
    output: Output,
    labels: Option<LabelVolume>,
    weights: &'a Weights,
}

impl Job for AnnotateJob<'_> {
    type Output = AnnotateReport;

    fn run<B: Backend>(self, device: &B::Device) -> Result<AnnotateReport> {
        let Options { structures, learning, compute, session, .. } = self.options;
        let model = &compute.model;
        let predictor = model.predictor::<B>(self.weights, device)?;
        let output = self.output.clone().with_field("environment", record::environment(model.backend, &predictor));
        let cards = structures.cards(self.weights.sha256())?;
        let mut builder = Annotator::builder(predictor, Arc::clone(&self.scan))
            .axis(structures.axis)
            .window(cards::window(structures.window, &cards)?)
            .config(learning.config(&self.options.auto)?);
        if let Some(cache) = compute.open_cache()? {
            builder = builder.cache(cache);
        }
        if let Some(path) = &learning.save_card {
            builder = builder.save_cards(path);
        }
        let annotator = builder.build()?;
        if let Some(folder) = &session.session {
            return self.in_session(&annotator, folder, &output);
        }
        let start = if cards.is_empty() { Start::Model } else { Start::Cards(cards) };
        self.once(&annotator, start, &output)
    }
}

impl AnnotateJob<'_> {
    /// Annotates without a session.
    fn once<B: Backend>(&self, annotator: &Annotator<B>, start: Start, output: &Output) -> Result<AnnotateReport> {
        let labels =
            self.labels.clone().context("--annotations FILE is needed: a label map with a few outlined slices")?;
        let names = self.options.structures.names()?;
        let outlines = &self.options.outlines;
        let annotations = Annotations::new(labels)
            .with_empty_slices(&outlines.empty())
            .with_complete(outlines.complete)
            .with_min_outline(outlines.min_outline)
            .with_names(names);
        let mut bars = ProgressBars::new(self.console);
        let annotated = annotator.annotate(&annotations, start, &mut |event| bars.event(event))?;
        drop(bars);
        if annotated.stopped {
            return Err(Failure::Stopped("nothing was written").into());
        }
        let written = annotated.save(&self.scan, output)?;
        let plane = annotator.plane(annotated.axis);
        Ok(AnnotateReport::new(&annotated.structures, &plane, written, output).understood((*annotated.summary).clone()))
    }
}
