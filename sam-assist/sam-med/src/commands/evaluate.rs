//! `sam-med evaluate`: the paper's per-case protocol on a folder of scans, original SAM against SAM^assist; with `--auto`, generators give
//! the prompts instead of a person.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::Weights;
use sam_auto::{GeneratorConfig, GeneratorKind, PromptParts};
use sam_eval::{
    InteractionTable, MaskScore, Record, ResultsTable, Spread,
    protocol::{FewSlices, SimulatedUser, TestPrompt},
};
use sam_experiments::{
    Environment, GeneratorProtocol, LearningConfigs, PromptingProtocol, Protocol, Run, Setup, TrialConfig, curves,
    mask_table, scores,
};
use sam_files::{LossyPath, OutputPlan, Outputs};
use sam_prompt::{ClickReach, SamplingScheme, SliceSelection};
use serde::Serialize;

use crate::{
    backend::Job,
    console::Console,
    options::{ComputeOptions, DataOptions, OutputOptions, RECORD, read_config, results},
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
    #[command(flatten)]
    #[serde(flatten)]
    protocol: ProtocolOptions,
    #[command(flatten)]
    #[serde(flatten)]
    generators: GeneratorOptions,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: LossyPath,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// What is learned and tested.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Protocol")]
struct ProtocolOptions {
    /// Numbers of annotated slices
    #[arg(long, value_delimiter = ',', default_value = "2,5", value_name = "COUNTS")]
    slices: Vec<usize>,
    /// points:N, box, box+points:N, active:N (box, then clicks), clicks:N
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "points:1,points:3,points:5,points:10,box",
        conflicts_with = "auto",
        hide_default_value = true
    )]
    prompts: Vec<TestPrompt>,
    /// Where points are drawn: uniform, center or boundary
    #[arg(long, default_value_t, value_name = "SCHEME")]
    sampling: SamplingScheme,
    /// Config of the learning as JSON, such as {"iterations": 60}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true)]
    learning: String,
    /// Feed logits back to models that were trained with them, as on the review page
    #[arg(long, conflicts_with = "auto")]
    feed_back: bool,
    /// A click changes only what is near it, as on the review page
    #[arg(long, conflicts_with = "auto")]
    near_clicks: bool,
    /// Annotated slices: normal, uniform or equidistant
    #[arg(long, value_parser = selection, default_value = "normal")]
    selection: SliceSelection,
    /// Number of repeats, with other slices and prompts
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    repeats: u64,
    /// Seed of the first repeat
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Test slices of each structure of a case, at most
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    test_slices: usize,
}

/// Which generators prompt, and with what.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Prompts of generators, in place of simulated ones")]
struct GeneratorOptions {
    /// propagation, classification, panet, sapnet, ensemble
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    auto: Vec<GeneratorKind>,
    /// Annotated slices without the structure
    #[arg(long, value_name = "COUNT", default_value_t = 2, requires = "auto")]
    empty_slices: usize,
    /// What they give to SAM, each in turn
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "points,box,box-mask,together",
        requires = "auto",
        value_name = "PARTS",
        hide_default_value = true
    )]
    hand_over: Vec<PromptParts>,
    /// Config as JSON, such as {"sapnet": {"iterations": 160}}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true, requires = "auto")]
    generators: String,
}

/// With --auto, the maximum number of tested slices without the structure.
const TESTED_EMPTY: usize = 6;
/// Number of points for each component, for generators that give points.
const COMPONENT_POINTS: usize = 5;

/// Parses the name of a slice selection.
fn selection(text: &str) -> Result<SliceSelection> {
    serde_json::from_value(text.into())
        .with_context(|| format!("expected normal, uniform or equidistant, found {text:?}"))
}

/// Runs the evaluation, and writes the results.
///
/// # Errors
/// If the config is invalid, the data cannot be read, or the results cannot be written. [`sam_experiments::ExperimentError::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let learning = LearningConfigs::default().with(options.protocol.sampling, &options.protocol.learning)?;
    let plan = options.plan(console);
    plan.check()?;
    let weights = options.compute.model.locate(console)?;
    let outputs = plan.open()?;
    let report = if options.generators.auto.is_empty() {
        options.prompting(learning, &weights, &outputs, console)?
    } else {
        options.generating(learning, &weights, &outputs, console)?
    };
    outputs.publish_with_record(options.path(RECORD), record::saved_options("evaluate", options)?)?;
    console.result(&report)
}

impl Options {
    /// What is read and written.
    fn plan(&self, console: &Console) -> OutputPlan {
        let plan = self.compute.model.plan(self.data.plan(self.outputs.plan(console)));
        let curves = self.generators.auto.is_empty().then_some("curves.svg");
        results(plan, &self.out, ["results.json", "table.md"].into_iter().chain(curves), RECORD)
    }

    /// A file of the results.
    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The trials, with these numbers of annotated slices with and without the structure.
    fn trials(&self, annotated: Vec<usize>, annotated_empty: usize, tested_empty: usize) -> TrialConfig {
        let ProtocolOptions { test_slices, selection, seed, repeats, .. } = self.protocol;
        TrialConfig {
            cases: self.data.cases(),
            slices: FewSlices { annotated, annotated_empty, tested: test_slices, tested_empty, selection },
            seeds: (seed..seed.saturating_add(repeats)).collect(),
        }
    }

    fn job<'a, P>(&'a self, protocol: &'a P, weights: &'a Weights, console: &'a Console) -> ProtocolJob<'a, P> {
        ProtocolJob { protocol, compute: &self.compute, weights, console }
    }

    /// Evaluates simulated prompts.
    fn prompting(
        &self,
        learning: LearningConfigs,
        weights: &Weights,
        outputs: &Outputs,
        console: &Console,
    ) -> Result<EvaluateReport> {
        let ProtocolOptions { sampling, feed_back, near_clicks, slices, prompts, .. } = &self.protocol;
        let (sampling, feed_back, reach) = (*sampling, *feed_back, near_clicks.then(ClickReach::default));
        let protocol = PromptingProtocol {
            trials: self.trials(slices.clone(), 0, 0),
            prompts: prompts.clone(),
            user: SimulatedUser { sampling, feed_back, reach, ..SimulatedUser::default() },
            learning,
        };
        let (runs, environment) = self.compute.model.backend.run(self.job(&protocol, weights, console))?;
        let records = scores(runs);
        let results = serde_json::json!({ "config": protocol, "environment": environment, "records": records });
        outputs.write_json(self.path("results.json"), &results)?;

        let table = ResultsTable::new(&records, Spread::Slices)?;
        let interactions = InteractionTable::new(&records)?;
        let (mut text, mut markdown) = (table.to_string(), table.to_markdown());
        if !interactions.is_empty() {
            text = format!("{text}\n{interactions}");
            markdown = format!("{markdown}\n{}", interactions.to_markdown());
        }
        outputs.write(self.path("table.md"), |file| file.write_all(markdown.as_bytes()))?;
        if let Some(picture) = curves::picture(&table, &interactions)? {
            outputs.write(self.path("curves.svg"), |file| file.write_all(picture.as_bytes()))?;
        }
        Ok(EvaluateReport { folder: self.out.clone(), results: Scores::Records(records), table: text })
    }

    /// Evaluates generators.
    fn generating(
        &self,
        learning: LearningConfigs,
        weights: &Weights,
        outputs: &Outputs,
        console: &Console,
    ) -> Result<EvaluateReport> {
        let GeneratorOptions { auto, empty_slices, hand_over, generators } = &self.generators;
        let config: GeneratorConfig = read_config("--generators", generators)?;
        let annotated = self.protocol.slices.iter().copied().max();
        let annotated = annotated.context("--slices needs a number of annotated slices")?;
        let protocol = GeneratorProtocol {
            trials: self.trials(vec![annotated], *empty_slices, TESTED_EMPTY),
            kinds: auto.clone(),
            parts: hand_over.clone(),
            points: COMPONENT_POINTS,
            config: config.clone().with_extraction(config.extraction.with_sampling(self.protocol.sampling)),
            learning,
        };
        let (runs, environment) = self.compute.model.backend.run(self.job(&protocol, weights, console))?;
        let scores = scores(runs);
        let results = serde_json::json!({ "config": protocol, "environment": environment, "scores": scores });
        outputs.write_json(self.path("results.json"), &results)?;
        let table = mask_table(&scores);
        outputs.write(self.path("table.md"), |file| file.write_all(table.as_bytes()))?;
        Ok(EvaluateReport { folder: self.out.clone(), results: Scores::Masks(scores), table })
    }
}

/// A protocol, to be run on a backend.
pub(super) struct ProtocolJob<'a, P> {
    pub(super) protocol: &'a P,
    pub(super) compute: &'a ComputeOptions,
    pub(super) weights: &'a Weights,
    pub(super) console: &'a Console,
}

impl<P: Protocol<Outcome = Run<T>> + Sync, T: Send> Job for ProtocolJob<'_, P> {
    type Output = (Vec<Run<T>>, Environment);

    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output> {
        let model = &self.compute.model;
        let predictor = model.predictor::<B>(self.weights, device)?;
        let environment = record::environment(model.backend, &predictor);
        let mut bars = ExperimentBars::new(self.console);
        let mut setup = Setup::new(predictor).with_observer(move |event| bars.event(event));
        if let Some(cache) = self.compute.open_cache()? {
            setup = setup.with_cache(cache);
        }
        Ok((self.protocol.run(&setup)?, environment))
    }
}

/// The result of `evaluate`.
#[derive(Debug, Serialize)]
struct EvaluateReport {
    folder: LossyPath,
    #[serde(flatten)]
    results: Scores,
    #[serde(skip)]
    table: String,
}

/// The scores.
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
