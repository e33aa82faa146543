//! The paper's per-case protocol on a folder of scans: original SAM against SAM^assist.
//!
//! ```text
//! cargo run --release --example evaluate -- --data DIR --structures "liver,spleen" --out results
//! ```
//!
//! Prints Dice (mean ± standard deviation) by structure, method, number of annotated slices and prompt, and writes results.json and
//! table.md. Prompts are simulated from the ground truth. A structure takes about a minute on 2 cores.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::{
    backend::BackendChoice,
    protocol::{EvaluateJob, Protocol},
    report,
    results::{self, Environment},
    weights,
};
use sam_assist::AssistConfig;
use sam_core::Precision;
use sam_data::{SliceAxis, Window};
use sam_eval::{ResultsTable, Spread};
use sam_prompt::{PromptDraw, PromptKind, SliceSelection};

/// Compare the original SAM with SAM^assist on a folder of scans with masks.
#[derive(Debug, Parser)]
struct Options {
    /// Folder with case folders or a single volume (image.nii.gz, label.nii.gz, labels.json), or with images/ and masks/.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Structures by name or label value, merged with +: all, or "liver,spleen,cord=1+2".
    #[arg(long, default_value = "all")]
    structures: String,
    /// Intensity window: auto, abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// Axis along which slices are cut: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// Numbers of annotated slices.
    #[arg(long, value_delimiter = ',', default_value = "2,5")]
    slices: Vec<usize>,
    /// Prompts to test with: points:N (N on the object and N beside it), box, or box+points:N.
    #[arg(long, value_delimiter = ',', value_parser = prompt, default_value = "points:1,points:3,points:5,points:10,box")]
    prompts: Vec<PromptKind>,
    /// How slices are chosen for annotation: normal (the paper's), uniform or equidistant.
    #[arg(long, value_parser = selection, default_value = "normal")]
    selection: SliceSelection,
    /// How often all is done, each time with other slices and prompts.
    #[arg(long, default_value_t = 1)]
    repeats: u64,
    /// Seed of the first repeat.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for results.json and table.md.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Checkpoint of any SAM; LiteMedSAM's is fetched if none is given.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What the image encoder computes in: f32, f16 or bf16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

/// Reads `points:5`, `box` or `box+points:5`.
fn prompt(text: &str) -> Result<PromptKind> {
    let count = |number: &str| match number.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => bail!("expected a number of points of at least 1, found \"{number}\""),
    };
    match (text, text.strip_prefix("points:"), text.strip_prefix("box+points:")) {
        ("box", ..) => Ok(PromptKind::Box),
        (_, Some(number), _) => Ok(PromptKind::Points(count(number)?)),
        (_, _, Some(number)) => Ok(PromptKind::BoxAndPoints(count(number)?)),
        _ => bail!("expected points:N, box or box+points:N, found \"{text}\""),
    }
}

/// Reads the name of a way to choose slices.
fn selection(text: &str) -> Result<SliceSelection> {
    serde_json::from_value(text.into())
        .with_context(|| format!("expected normal, uniform or equidistant, found \"{text}\""))
}

fn run(options: Options) -> Result<()> {
    let weights = weights::locate(options.weights.as_deref())?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let protocol = Protocol {
        data: options.data,
        structures: options.structures,
        window: options.window,
        axis: options.axis,
        slices: options.slices,
        prompts: options.prompts,
        selection: options.selection,
        repeats: options.repeats,
        seed: options.seed,
        max_slices: 40,
        max_test_slices: 16,
        min_object_pixels: 10,
        draw: PromptDraw::default(),
        precision: options.precision,
        points: AssistConfig::points(),
        boxes: AssistConfig::boxes(),
    };
    let environment = Environment::new(options.backend, &weights)?;
    let records = options.backend.run(EvaluateJob { protocol: &protocol, weights })?;
    results::write(&options.out.join("results.json"), &protocol, &environment, &records)?;

    let table = ResultsTable::new(&records, Spread::Slices)?;
    let markdown = table.to_markdown();
    sam_data::write_atomically(&options.out.join("table.md"), |file| file.write_all(markdown.as_bytes()))?;
    println!("{table}");
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(Options::parse()))
}
