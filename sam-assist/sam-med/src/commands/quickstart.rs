//! `sam-med quickstart`: learning and segmentation in one run, on a synthetic scan or on the user's scan.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::{AnnotateConfig, SliceList, Weights};
use sam_data::{LabelTable, LabelVolume, PhantomConfig, SliceAxis, Volume, Window};
use sam_eval::{
    Record, ResultsTable, Spread,
    protocol::{SimulatedUser, TestPrompt},
};
use sam_experiments::{
    Environment, Setup,
    quickstart::{Quickstart, QuickstartResult},
};
use sam_files::{LossyPath, OutputPlan, Outputs};
use sam_prompt::{PromptKind, SliceSelection};
use serde::Serialize;

use crate::{
    backend::Job,
    console::Console,
    options::{ModelOptions, OutputOptions, RECORD, ScanOptions, VoxelOptions, read_scan, results},
    progress::ExperimentBars,
    record,
};

/// Learn a structure of a synthetic scan from five outlined slices, and segment the rest.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Needs no arguments: it makes a synthetic CT, fetches LiteMedSAM's weights once (39 MB), takes the outlines
of five slices from the truth, and writes mask.nii.gz, image.nii.gz, overlay.png, results.json and
options.json. Takes two to four minutes on 2 cores.

Examples:
  sam-med quickstart
  sam-med quickstart --structure liver --slices 3
  sam-med quickstart --image scan.nii.gz --labels truth.nii.gz --structure 1 --out results")]
pub struct Options {
    /// A scan in place of the synthetic one: .nii or .nii.gz
    #[arg(long, value_name = "FILE", requires = "labels")]
    image: Option<LossyPath>,
    /// Its label map
    #[arg(long, value_name = "FILE", requires = "image")]
    labels: Option<LossyPath>,
    #[command(flatten)]
    #[serde(flatten)]
    voxels: VoxelOptions,
    /// Name of a structure (liver, spleen, right kidney, ...) or a label value
    #[arg(long, default_value = "spleen")]
    structure: String,
    /// auto, abdomen, lung, brain, bone, percentile or LO:HI
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// Number of outlined slices
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    slices: usize,
    /// Seed of the synthetic scan and of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "quickstart-results")]
    out: LossyPath,
    #[command(flatten)]
    #[serde(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// A scan with its ground truth.
struct Known {
    name: &'static str,
    volume: Arc<Volume>,
    labels: LabelVolume,
    table: LabelTable,
}

/// Learns, segments, compares, and writes the results.
///
/// # Errors
/// If the scan or the weights cannot be read, the structure is on too few slices, or the results cannot be written.
/// [`sam_experiments::ExperimentError::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let plan = options.plan(console);
    plan.check()?;
    let Known { name, volume, labels, table } = options.known(console)?;
    let weights = options.model.locate(console)?;
    let outputs = plan.open()?;
    let quickstart = Quickstart {
        scan: name.to_owned(),
        structure: table.parse_structures(&options.structure)?.remove(0),
        window: options.window,
        axis: SliceAxis::Auto,
        slices: options.slices,
        selection: SliceSelection::Equidistant,
        prompts: [PromptKind::Points(1), PromptKind::Points(5), PromptKind::Box].map(TestPrompt::Once).to_vec(),
        pictured: TestPrompt::Once(PromptKind::Points(5)),
        user: SimulatedUser::default(),
        annotate: AnnotateConfig::default().with_seed(options.seed),
        seed: options.seed,
    };
    let job = QuickstartJob {
        options,
        console,
        quickstart: &quickstart,
        volume: &volume,
        labels: &labels,
        weights: &weights,
    };
    let (result, environment) = options.model.backend.run(job)?;

    options.write(&outputs, &result, &volume)?;
    let results = serde_json::json!({ "config": quickstart, "environment": environment, "records": result.records });
    outputs.write_json(options.path("results.json"), &results)?;
    outputs.publish_with_record(options.path(RECORD), record::saved_options("quickstart", options)?)?;
    console.result(&QuickstartReport {
        folder: options.out.clone(),
        structure: quickstart.structure.name,
        outlined: result.outlined,
        learning_seconds: result.learning_seconds,
        volume_dice: result.volume_dice,
        table: ResultsTable::new(&result.records, Spread::Slices)?.to_string(),
        records: result.records,
    })
}

impl Options {
    /// What is read and written.
    fn plan(&self, console: &Console) -> OutputPlan {
        let plan = self.model.plan(self.outputs.plan(console));
        let plan = plan.inputs("--image", &self.image).inputs("--labels", &self.labels);
        let plan = plan.inputs("the names beside --labels", self.labels.as_deref().map(names_beside));
        results(plan, &self.out, ["mask.nii.gz", "image.nii.gz", "overlay.png", "results.json"], RECORD)
    }

    /// A file of the results.
    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Writes the mask, the scan and the picture.
    fn write(&self, outputs: &Outputs, result: &QuickstartResult, volume: &Volume) -> Result<()> {
        let mask = |staged: &Path| anyhow::Ok(sam_data::write_labels(staged, result.mask.view(), volume)?);
        outputs.stage(self.path("mask.nii.gz"), mask)?;
        outputs.stage(self.path("image.nii.gz"), |staged| anyhow::Ok(sam_data::write_volume(staged, volume)?))?;
        let picture = |staged: &Path| anyhow::Ok(sam_data::write_rgb(staged, result.picture.view())?);
        outputs.stage(self.path("overlay.png"), picture)
    }

    /// The user's scan, or a synthetic one.
    fn known(&self, console: &Console) -> Result<Known> {
        let (Some(image), Some(path)) = (&self.image, &self.labels) else {
            let phantom = PhantomConfig::default().with_seed(self.seed).generate();
            let (volume, labels, table) = (Arc::new(phantom.volume), phantom.labels, phantom.table);
            return Ok(Known { name: "synthetic abdomen", volume, labels, table });
        };
        let scan = read_scan(image, &self.voxels.config(), console)?;
        let labels = ScanOptions::read_labels(&scan, path, console)?;
        // A file with structure names may be next to the label map.
        let names = names_beside(path);
        let table = if names.is_file() { LabelTable::read(&names)? } else { LabelTable::default() };
        Ok(Known { name: "scan", volume: scan.volume().clone(), labels, table })
    }
}

/// The file with structure names beside a label map.
fn names_beside(labels: &Path) -> PathBuf {
    labels.with_file_name("labels.json")
}

/// A quickstart, to be run on a backend.
struct QuickstartJob<'a> {
    options: &'a Options,
    console: &'a Console,
    quickstart: &'a Quickstart,
    volume: &'a Volume,
    labels: &'a LabelVolume,
    weights: &'a Weights,
}

impl Job for QuickstartJob<'_> {
    type Output = (QuickstartResult, Environment);

    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output> {
        let model = &self.options.model;
        let predictor = model.predictor::<B>(self.weights, device)?;
        let environment = record::environment(model.backend, &predictor);
        let mut bars = ExperimentBars::new(self.console);
        let setup = Setup::new(predictor).with_observer(move |event| bars.event(event));
        Ok((self.quickstart.run(&setup, self.volume, self.labels)?, environment))
    }
}

/// The result of `quickstart`.
#[derive(Debug, Serialize)]
struct QuickstartReport {
    folder: LossyPath,
    structure: String,
    outlined: Vec<usize>,
    learning_seconds: f64,
    volume_dice: f64,
    records: Vec<Record>,
    #[serde(skip)]
    table: String,
}

impl fmt::Display for QuickstartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, structure, outlined, learning_seconds, volume_dice, table, .. } = self;
        writeln!(f, "{table}")?;
        let outlined: SliceList = outlined.iter().copied().collect();
        writeln!(f, "Outlined slices {outlined}; learned in {learning_seconds:.0} s.")?;
        writeln!(f, "Whole {structure}, without a click on the other slices: Dice {volume_dice:.3}")?;
        writeln!(
            f,
            "Wrote mask.nii.gz, image.nii.gz, overlay.png, results.json and options.json to {}",
            folder.display()
        )
    }
}
