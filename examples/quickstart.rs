//! The whole idea in one run: two outlined slices, a few seconds of learning, the rest of the scan segmented.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```
//!
//! Needs no arguments: it makes a synthetic CT, fetches LiteMedSAM's weights once, "outlines" two slices of the spleen from the
//! ground truth, and writes mask.nii.gz, overlay.png and results.json to `quickstart-results`. With --image and --labels it does the
//! same on a scan of yours. Takes about two minutes on 2 cores.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::{
    backend::BackendChoice,
    demo::{Demo, DemoJob},
    report,
    results::{self, Environment},
    weights::ModelOptions,
};
use sam_assist::AssistConfig;
use sam_auto::MaskPropagationConfig;
use sam_data::{LabelTable, LabelVolume, PhantomConfig, SliceAxis, Volume, Window};
use sam_eval::{
    ResultsTable, Spread,
    protocol::{SimulatedUser, TestPrompt},
};
use sam_prompt::{PromptKind, SliceSelection};

/// Learn a structure from two outlined slices and segment the rest of the scan.
#[derive(Debug, Parser)]
struct Options {
    /// A scan of yours instead of the synthetic one: .nii or .nii.gz.
    #[arg(long, value_name = "FILE", requires = "labels")]
    image: Option<PathBuf>,
    /// Its label map.
    #[arg(long, value_name = "FILE", requires = "image")]
    labels: Option<PathBuf>,
    /// The structure: a name of the synthetic scan's (liver, spleen, right kidney, ...) or a label value.
    #[arg(long, default_value = "spleen")]
    structure: String,
    /// Intensity window: auto, abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// How many slices are outlined.
    #[arg(long, default_value_t = 2)]
    slices: usize,
    /// Seed of the synthetic scan and of all drawing.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "quickstart-results")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

/// The scan, its labels, what they are called, and the scan's name.
fn scan(options: &Options) -> Result<(Volume, LabelVolume, LabelTable, &'static str)> {
    let (Some(image), Some(labels)) = (&options.image, &options.labels) else {
        let phantom = PhantomConfig { seed: options.seed, ..PhantomConfig::default() }.generate();
        return Ok((phantom.volume, phantom.labels, phantom.table, "synthetic abdomen"));
    };
    let (volume, label_volume) = (sam_data::read_volume(image)?, sam_data::read_labels(labels)?);
    if let Err(mismatch) = volume.grid.compare(&label_volume.grid, 0.01) {
        bail!("{} does not lie on the grid of {}: {mismatch}", labels.display(), image.display());
    }
    // Beside the label map there may be a table of names.
    let table = labels.with_file_name("labels.json");
    let table = if table.is_file() { LabelTable::read(&table)? } else { LabelTable::default() };
    Ok((volume, label_volume, table, "scan"))
}

fn run(options: &Options) -> Result<()> {
    let (volume, labels, table, name) = scan(options)?;
    let weights = options.model.locate()?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let structure = table.parse_structures(&options.structure)?.remove(0);
    let demo = Demo {
        scan: name.to_owned(),
        structure,
        window: options.window,
        axis: SliceAxis::Auto,
        slices: options.slices,
        selection: SliceSelection::Equidistant,
        prompts: [PromptKind::Points(1), PromptKind::Points(5), PromptKind::Box].map(TestPrompt::Once).to_vec(),
        pictured: TestPrompt::Once(PromptKind::Points(5)),
        user: SimulatedUser::default(),
        learning: AssistConfig { seed: options.seed, ..AssistConfig::mixed() },
        propagation: MaskPropagationConfig::default().with_seed(options.seed),
        seed: options.seed,
    };
    let job = DemoJob { demo: &demo, volume: &volume, labels: &labels, weights: &weights };
    let outcome = options.backend.run(job)?;

    sam_data::write_labels(&options.out.join("mask.nii.gz"), outcome.mask.view(), &volume)?;
    sam_data::write_volume(&options.out.join("image.nii.gz"), &volume)?;
    sam_data::write_rgb(&options.out.join("overlay.png"), outcome.picture.view())?;
    let environment = Environment::new(options.backend, &weights);
    results::write(&options.out.join("results.json"), &demo, &environment, &outcome.records)?;

    println!("{}", ResultsTable::new(&outcome.records, Spread::Slices)?);
    println!("Outlined slices {:?}; learned in {:.0} s.", outcome.outlined, outcome.learning_seconds);
    println!("Whole {}, without a click on the other slices: Dice {:.3}", demo.structure.name, outcome.volume_dice);
    println!("Wrote mask.nii.gz, image.nii.gz, overlay.png and results.json to {}", options.out.display());
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
