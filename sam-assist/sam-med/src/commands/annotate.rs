//! `sam-med annotate`: a whole scan from a few outlined slices, once or in rounds of a session.

mod next;
mod outputs;
mod report;
mod session;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::{
    Annotations, Annotator, CheckedOutput, Output, Pace, Start, Weights,
    batch::{CaseTrust, Input},
    cards::{self, CardFiles},
};
use sam_data::{LabelVolume, Scan};
use sam_files::LossyPath;
use serde::Serialize;

use self::report::AnnotateReport;
use crate::{
    backend::Job,
    console::Console,
    exit::Failure,
    options::{
        ComputeOptions, LearningOptions, OutlineOptions, OutputOptions, ScanOptions, SessionOptions, StrategyOptions,
        StructureOptions,
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
  sam-med annotate --image ct.nii.gz --annotations few.nii.gz --out mask.nii.gz --session work"
)]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// Label map with a few outlined slices; later a corrected mask
    #[arg(long, value_name = "FILE", required_unless_present = "session")]
    annotations: Option<LossyPath>,
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
    strategy: StrategyOptions,
    #[command(flatten)]
    #[serde(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
    /// Whether nobody waits for the result and reads what Dice is to be expected.
    #[arg(skip)]
    #[serde(skip)]
    in_batch: bool,
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
    options.check(&options.plan(console))?;
    let scan = Arc::new(options.scan.read(console)?);
    let output = options.output(&scan)?;
    let annotations = options.annotations.as_deref();
    let labels = annotations.map(|path| ScanOptions::read_labels(&scan, path, console)).transpose()?;
    let plan = options.full_plan(&scan, labels.as_ref(), console)?;
    options.check(&plan)?;
    let model = &options.compute.model;
    let weights = model.locate(console)?;
    let plan = options.accept_kept(plan, &scan, &weights)?;
    let output = output.checked(plan.open()?)?;
    model.backend.run(AnnotateJob { options, console, scan, output, labels, weights: &weights })
}

impl Options {
    /// The files of a case of a batch, besides the scan, whose content decides its mask.
    pub(super) fn inputs(&self) -> Vec<Input> {
        let StructureOptions { labels, card, .. } = &self.structures;
        let files = [("annotations", &self.annotations), ("labels", labels)];
        let files = files.into_iter().filter_map(|(name, path)| Some(Input::new(name, path.as_ref()?)));
        let cards = card.iter().zip(1..).map(|(path, number)| Input::new(format!("card {number}"), path));
        files.chain(cards).collect()
    }

    /// Adds the options of a batch about what it writes. Nobody reads what Dice is to be expected of each structure, so that it is not tested.
    #[must_use]
    pub(super) fn with_output_options(mut self, outputs: OutputOptions) -> Self {
        self.scan.outputs = self.scan.outputs.or(outputs);
        self.in_batch = true;
        self
    }

    /// Files and folders that a case of a batch writes, besides its mask and the mask's record.
    pub(super) fn outputs(&self) -> impl Iterator<Item = PathBuf> {
        let written = [&self.scan.seg, &self.learning.save_card, &self.session.session, &self.compute.cache];
        written.into_iter().flatten().map(|path| path.to_path_buf())
    }

    /// The output of the mask, with these options in its record.
    fn output(&self, scan: &Scan) -> Result<Output> {
        let mut output = self.scan.output();
        output.check(scan)?;
        output.fields.extend(record::saved_options("annotate", self)?);
        Ok(output)
    }
}

/// An annotation task, to be run on a backend.
struct AnnotateJob<'a> {
    options: &'a Options,
    console: &'a Console,
    scan: Arc<Scan>,
    output: CheckedOutput,
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
        let config = learning.config(&self.options.strategy)?.with_expected_dice(!self.options.in_batch);
        let mut builder = Annotator::builder(predictor, Arc::clone(&self.scan))
            .axis(structures.axis)
            .window(cards::window(structures.window, &cards)?)
            .config(config);
        if let Some(cache) = compute.open_cache()? {
            builder = builder.cache(cache);
        }
        if let Some(path) = &learning.save_card {
            builder = builder.save_cards(CardFiles::new(path, self.output.outputs().clone()));
        }
        let annotator = builder.build()?;
        if let Some(folder) = &session.session {
            return self.in_session(&annotator, folder, &output);
        }
        let start = match learning.save_card {
            _ if cards.is_empty() => Start::Model,
            Some(_) => Start::Improve(cards),
            None => Start::Cards(cards),
        };
        self.once(&annotator, start, &output)
    }
}

impl AnnotateJob<'_> {
    /// Annotates without a session.
    fn once<B: Backend>(
        &self,
        annotator: &Annotator<B>,
        start: Start,
        output: &CheckedOutput,
    ) -> Result<AnnotateReport> {
        let labels =
            self.labels.clone().context("--annotations FILE is needed: a label map with a few outlined slices")?;
        let names = self.options.structures.names()?;
        let outlines = &self.options.outlines;
        let annotations = Annotations::new(labels)
            .with_empty_slices(outlines.empty())
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
        let report = AnnotateReport::new(&annotated.structures, &plane, written, output);
        let report = report.understood((*annotated.summary).clone()).with_trust(CaseTrust::of(&annotated.to_check()));
        let pace = Pace::default();
        Ok(report.with_first(annotated.next_action(&pace), pace, &plane).with_next(self.options))
    }
}
