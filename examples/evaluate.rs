//! The paper's per-case protocol on a folder of scans: original SAM against SAM^assist.
//!
//! ```text
//! cargo run --release --example evaluate -- --data DIR --structures "liver,spleen" --out results
//! ```
//!
//! Prints Dice (mean ± standard deviation) by structure, method, number of annotated slices and prompt; with `active:N` or `clicks:N`,
//! also Dice after the last click and how many interactions it took to reach 0.85 and 0.90. Writes results.json, table.md and
//! curves.svg. Prompts are simulated from the ground truth, the same ones for every method. A structure takes about a minute on 2
//! cores.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser;
use examples::{
    assist::{AssistJob, AssistProtocol},
    auto::{AutoConfig, AutoJob, AutoKind, AutoProtocol, HandOverKind},
    backend::BackendChoice,
    curves,
    data_options::DataOptions,
    disk_cache::{CacheOptions, DiskCache},
    learning::Learning,
    mask_score, report,
    results::{self, Environment},
    subjects::Subjects,
    weights::{ModelOptions, Weights},
};
use sam_auto::HandOver;
use sam_data::SliceAxis;
use sam_eval::{
    InteractionTable, ResultsTable, Spread,
    protocol::{FewSlices, SimulatedUser, TestPrompt},
};
use sam_prompt::{SamplingScheme, SliceSelection};

/// Compare the original SAM with SAM^assist on a folder of scans with masks.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    data: DataOptions,
    /// Axis along which slices are cut: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// Numbers of annotated slices.
    #[arg(long, value_delimiter = ',', default_value = "2,5")]
    slices: Vec<usize>,
    /// Prompts to test with: points:N (N on the object and N beside it), box, box+points:N, active:N (a box for each component, then
    /// up to N clicks, each at the largest error), or clicks:N (such clicks alone, the first on the object).
    #[arg(long, value_delimiter = ',', default_value = "points:1,points:3,points:5,points:10,box")]
    prompts: Vec<TestPrompt>,
    /// Where points are drawn, in learning and in testing: uniform, center or boundary.
    #[arg(long, default_value_t)]
    sampling: SamplingScheme,
    /// Numbers of the learning other than the defaults, as JSON: {"iterations": 60, "trained": "decoder"}.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    learning: String,
    /// Feed each prediction's logits back into the one that a click corrects.
    #[arg(long)]
    feed_back: bool,
    /// How slices are chosen for annotation: normal (the paper's), uniform or equidistant.
    #[arg(long, value_parser = selection, default_value = "normal")]
    selection: SliceSelection,
    /// Prompts without a person instead, from generators fitted to the most annotated slices of --slices.
    #[arg(long, value_enum, value_delimiter = ',')]
    auto: Vec<AutoKind>,
    /// With --auto: slices without the structure that are annotated as empty.
    #[arg(long, value_name = "COUNT", default_value_t = 2, requires = "auto")]
    empty_slices: usize,
    /// With --auto: what generators hand on to SAM, each in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "points,box,mask,together", requires = "auto")]
    hand_over: Vec<HandOverKind>,
    /// With --auto: numbers of the generators other than the defaults, as JSON: {"sapnet": {"iterations": 160}}.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "auto")]
    generators: String,
    /// How often all is done, each time with other slices and prompts; the same ones for every method.
    #[arg(long, default_value_t = 1)]
    repeats: u64,
    /// Seed of the first repeat.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// At most this many slices are tested for each structure of a case, at equal distances.
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    test_slices: usize,
    /// Folder for results.json, table.md and curves.svg.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    cache: CacheOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

/// With --auto, at most this many slices without the structure are tested.
const TESTED_EMPTY: usize = 6;

impl Options {
    fn seeds(&self) -> Vec<u64> {
        (self.seed..self.seed.saturating_add(self.repeats)).collect()
    }
}

/// Reads the name of a way to choose slices.
fn selection(text: &str) -> Result<SliceSelection> {
    serde_json::from_value(text.into())
        .with_context(|| format!("expected normal, uniform or equidistant, found \"{text}\""))
}

fn run(options: Options) -> Result<()> {
    let learning = Learning::default().with(options.sampling, &options.learning)?;
    let weights = options.model.locate()?;
    let disk = options.cache.open(&weights)?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    if !options.auto.is_empty() {
        return run_auto(options, learning, &weights, disk.as_ref());
    }
    let seeds = options.seeds();
    let protocol = AssistProtocol {
        subjects: Subjects::new(options.data, options.axis),
        slices: FewSlices {
            annotated: options.slices,
            annotated_empty: 0,
            tested: options.test_slices,
            tested_empty: 0,
            selection: options.selection,
        },
        prompts: options.prompts,
        seeds,
        user: SimulatedUser { sampling: options.sampling, feed_back: options.feed_back, ..SimulatedUser::default() },
        learning,
    };
    let environment = Environment::new(options.backend, &weights);
    let records = options.backend.run(AssistJob { protocol: &protocol, weights: &weights, disk: disk.as_ref() })?;
    results::write(&options.out.join("results.json"), &protocol, &environment, &records)?;

    let table = ResultsTable::new(&records, Spread::Slices)?;
    let interactions = InteractionTable::new(&records)?;
    let mut markdown = table.to_markdown();
    if !interactions.is_empty() {
        markdown = format!("{markdown}\n{}", interactions.to_markdown());
    }
    write(&options.out.join("table.md"), &markdown)?;
    if let Some(picture) = curves::picture(&table, &interactions)? {
        write(&options.out.join("curves.svg"), &picture)?;
    }
    if let Some(disk) = &disk {
        println!("{disk}");
    }
    println!("{table}");
    if !interactions.is_empty() {
        println!("{interactions}");
    }
    Ok(())
}

fn run_auto(options: Options, learning: Learning, weights: &Weights, disk: Option<&DiskCache>) -> Result<()> {
    let numbers: AutoConfig =
        serde_json::from_str(&options.generators).context("cannot read the numbers given with --generators")?;
    let annotated = options.slices.iter().copied().max().context("--slices needs a number of annotated slices")?;
    let seeds = options.seeds();
    let protocol = AutoProtocol {
        subjects: Subjects::new(options.data, options.axis),
        slices: FewSlices {
            annotated: vec![annotated],
            annotated_empty: options.empty_slices,
            tested: options.test_slices,
            tested_empty: TESTED_EMPTY,
            selection: options.selection,
        },
        seeds,
        generators: options.auto,
        hand_overs: options.hand_over,
        points: 5,
        numbers: AutoConfig { hand_over: HandOver { sampling: options.sampling, ..numbers.hand_over }, ..numbers },
        learning,
    };
    let environment = Environment::new(options.backend, weights);
    let scores = options.backend.run(AutoJob { protocol: &protocol, weights, disk })?;
    let record = serde_json::json!({ "config": protocol, "environment": environment, "scores": scores });
    write(&options.out.join("results.json"), &serde_json::to_string_pretty(&record)?)?;
    let table = mask_score::table(&scores);
    write(&options.out.join("table.md"), &table)?;
    print!("{table}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(sam_data::write_atomically(path, |file| file.write_all(text.as_bytes()))?)
}

fn main() -> ExitCode {
    report::exit(run(Options::parse()))
}
