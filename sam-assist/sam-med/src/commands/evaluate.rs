//! `sam-med evaluate`: the paper's per-case protocol on a folder of scans, original SAM against SAM^assist; with `--auto`, generators
//! that prompt without a person.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::Weights;
use sam_auto::{GeneratorConfig, GeneratorKind, PromptParts};
use sam_data::SliceAxis;
use sam_eval::{
    InteractionTable, MaskScore, Record, ResultsTable, Spread,
    protocol::{FewSlices, SimulatedUser, TestPrompt},
};
use sam_experiments::{
    CaseSelection, Environment, GeneratorProtocol, LearningConfigs, PromptingProtocol, Protocol, Run, Setup, curves,
    mask_table, scores,
};
use sam_prompt::{SamplingScheme, SliceSelection};
use serde::Serialize;

use crate::{
    backend::Job,
    console::Console,
    options::{CacheOptions, DataOptions, ModelOptions},
    progress::ExperimentBars,
    record,
};

/// Compare the original SAM with SAM^assist on a folder of scans with masks.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Prints Dice by structure, method, annotated slices and prompt. Prompts are simulated from the masks.
Writes results.json, table.md, curves.svg and options.json.

Examples:
  sam-med evaluate --data DIR --structures liver,spleen --out results
  sam-med evaluate --phantom abdomen --slices 2 --prompts points:1,box --json
  sam-med evaluate --data DIR --auto sapnet,ensemble --hand-over box")]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    data: DataOptions,
    /// Axis of the slices: auto, axial, coronal, sagittal, i, j or k
    #[arg(long, default_value = "auto", hide_default_value = true, help_heading = "Data")]
    axis: SliceAxis,
    /// Numbers of annotated slices
    #[arg(long, value_delimiter = ',', default_value = "2,5", value_name = "COUNTS", help_heading = "Protocol")]
    slices: Vec<usize>,
    /// points:N, box, box+points:N, active:N (box, then clicks), clicks:N
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "points:1,points:3,points:5,points:10,box",
        hide_default_value = true,
        help_heading = "Protocol"
    )]
    prompts: Vec<TestPrompt>,
    /// Where points are drawn: uniform, center or boundary
    #[arg(long, default_value_t, value_name = "SCHEME", help_heading = "Protocol")]
    sampling: SamplingScheme,
    /// Config of the learning as JSON, such as {"iterations": 60}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true, help_heading = "Protocol")]
    learning: String,
    /// Feed each prediction's logits back into the next one
    #[arg(long, help_heading = "Protocol")]
    feed_back: bool,
    /// Annotated slices: normal, uniform or equidistant
    #[arg(long, value_parser = selection, default_value = "normal", help_heading = "Protocol")]
    selection: SliceSelection,
    /// Number of repeats, with other slices and prompts
    #[arg(long, default_value_t = 1, value_name = "COUNT", help_heading = "Protocol")]
    repeats: u64,
    /// Seed of the first repeat
    #[arg(long, default_value_t = 0, help_heading = "Protocol")]
    seed: u64,
    /// Test slices of each structure of a case, at most
    #[arg(long, value_name = "COUNT", default_value_t = 16, help_heading = "Protocol")]
    test_slices: usize,
    /// propagation, classification, panet, sapnet, ensemble
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "KINDS",
        help_heading = "Prompts of generators, in place of simulated ones"
    )]
    auto: Vec<GeneratorKind>,
    /// Annotated slices without the structure
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 2,
        requires = "auto",
        help_heading = "Prompts of generators, in place of simulated ones"
    )]
    empty_slices: usize,
    /// What they give to SAM, each in turn
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "points,box,mask,together",
        requires = "auto",
        value_name = "PARTS",
        hide_default_value = true,
        help_heading = "Prompts of generators, in place of simulated ones"
    )]
    hand_over: Vec<PromptParts>,
    /// Config as JSON, such as {"sapnet": {"iterations": 160}}
    #[arg(
        long,
        value_name = "JSON",
        default_value = "{}",
        hide_default_value = true,
        requires = "auto",
        help_heading = "Prompts of generators, in place of simulated ones"
    )]
    generators: String,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    cache: CacheOptions,
}

/// With --auto, at most this many slices without the structure are tested.
const TESTED_EMPTY: usize = 6;
/// Points of each component, where generators give points.
const COMPONENT_POINTS: usize = 5;

/// Reads the name of a way to choose slices.
fn selection(text: &str) -> Result<SliceSelection> {
    serde_json::from_value(text.into())
        .with_context(|| format!("expected normal, uniform or equidistant, found {text:?}"))
}

/// Evaluates, and writes the results.
///
/// # Errors
/// If the config makes no sense, the data cannot be read, or the results not be written. [`sam_experiments::ExperimentError::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let learning = LearningConfigs::default().with(options.sampling, &options.learning)?;
    let weights = options.model.locate(console)?;
    record::create_folder(&options.out)?;
    let report = if options.auto.is_empty() {
        options.prompting(learning, &weights, console)?
    } else {
        options.generating(learning, &weights, console)?
    };
    record::write_json(options.out.join("options.json"), &record::saved_options("evaluate", options))?;
    console.result(&report)
}

impl Options {
    fn seeds(&self) -> Vec<u64> {
        (self.seed..self.seed.saturating_add(self.repeats)).collect()
    }

    fn cases(&self) -> CaseSelection {
        CaseSelection::new(self.data.source(), self.axis)
    }

    fn job<'a, P>(&'a self, protocol: &'a P, weights: &'a Weights, console: &'a Console) -> ProtocolJob<'a, P> {
        ProtocolJob { protocol, model: &self.model, cache: &self.cache, weights, console }
    }

    /// Simulated prompts.
    fn prompting(&self, learning: LearningConfigs, weights: &Weights, console: &Console) -> Result<EvaluateReport> {
        let protocol = PromptingProtocol {
            cases: self.cases(),
            slices: FewSlices {
                annotated: self.slices.clone(),
                annotated_empty: 0,
                tested: self.test_slices,
                tested_empty: 0,
                selection: self.selection,
            },
            prompts: self.prompts.clone(),
            seeds: self.seeds(),
            user: SimulatedUser { sampling: self.sampling, feed_back: self.feed_back, ..SimulatedUser::default() },
            learning,
        };
        let (runs, environment) = self.model.backend.run(self.job(&protocol, weights, console))?;
        let records = scores(runs);
        let results = serde_json::json!({ "config": protocol, "environment": environment, "records": records });
        record::write_json(self.out.join("results.json"), &results)?;

        let table = ResultsTable::new(&records, Spread::Slices)?;
        let interactions = InteractionTable::new(&records)?;
        let (mut text, mut markdown) = (table.to_string(), table.to_markdown());
        if !interactions.is_empty() {
            text = format!("{text}\n{interactions}");
            markdown = format!("{markdown}\n{}", interactions.to_markdown());
        }
        record::write_text(self.out.join("table.md"), &markdown)?;
        if let Some(picture) = curves::picture(&table, &interactions)? {
            record::write_text(self.out.join("curves.svg"), &picture)?;
        }
        Ok(EvaluateReport { folder: self.out.clone(), results: Scores::Records(records), table: text })
    }

    /// Prompts of generators.
    fn generating(&self, learning: LearningConfigs, weights: &Weights, console: &Console) -> Result<EvaluateReport> {
        let config: GeneratorConfig = serde_json::from_str(&self.generators)
            .with_context(|| format!("cannot read the config {:?} of --generators", self.generators))?;
        let annotated = self.slices.iter().copied().max().context("--slices needs a number of annotated slices")?;
        let protocol = GeneratorProtocol {
            cases: self.cases(),
            slices: FewSlices {
                annotated: vec![annotated],
                annotated_empty: self.empty_slices,
                tested: self.test_slices,
                tested_empty: TESTED_EMPTY,
                selection: self.selection,
            },
            seeds: self.seeds(),
            kinds: self.auto.clone(),
            parts: self.hand_over.clone(),
            points: COMPONENT_POINTS,
            config: config.clone().with_extraction(config.extraction.with_sampling(self.sampling)),
            learning,
        };
        let (runs, environment) = self.model.backend.run(self.job(&protocol, weights, console))?;
        let scores = scores(runs);
        let results = serde_json::json!({ "config": protocol, "environment": environment, "scores": scores });
        record::write_json(self.out.join("results.json"), &results)?;
        let table = mask_table(&scores);
        record::write_text(self.out.join("table.md"), &table)?;
        Ok(EvaluateReport { folder: self.out.clone(), results: Scores::Masks(scores), table })
    }
}

/// A protocol, ready for a backend.
pub(super) struct ProtocolJob<'a, P> {
    pub(super) protocol: &'a P,
    pub(super) model: &'a ModelOptions,
    pub(super) cache: &'a CacheOptions,
    pub(super) weights: &'a Weights,
    pub(super) console: &'a Console,
}

impl<P: Protocol<Outcome = Run<T>> + Sync, T: Send> Job for ProtocolJob<'_, P> {
    type Output = (Vec<Run<T>>, Environment);

    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output> {
        let predictor = self.model.predictor::<B>(self.weights, device)?;
        let environment = record::environment(self.model.backend, &predictor);
        let mut bars = ExperimentBars::new(self.console);
        let mut setup = Setup::new(predictor).with_observer(move |event| bars.event(event));
        if let Some(cache) = self.cache.open()? {
            setup = setup.with_cache(cache);
        }
        Ok((self.protocol.run(&setup)?, environment))
    }
}

/// The result of `evaluate`.
#[derive(Debug, Serialize)]
struct EvaluateReport {
    folder: PathBuf,
    #[serde(flatten)]
    results: Scores,
    #[serde(skip)]
    table: String,
}

/// What was scored.
#[derive(Debug, Serialize)]
enum Scores {
    #[serde(rename = "records")]
    Records(Vec<Record>),
    #[serde(rename = "scores")]
    Masks(Vec<MaskScore>),
}

impl fmt::Display for EvaluateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table)?;
        write!(f, "Wrote results.json, table.md and options.json to {}", self.folder.display())
    }
}
