//! Options of `annotate`: learning, prompting and sessions.

use anyhow::Result;
use clap::Args;
use sam_annotate::{AnnotateConfig, EmptySlices, MinOutline, SliceList};
use sam_auto::{CleanUp, GeneratorConfig, GeneratorStrategy, PromptParts, Strategy, StrategyKind};
use sam_files::LossyPath;
use serde::{Serialize, Serializer};

use super::read_config;
use crate::exit::Failure;

/// What the outlines say beyond their voxels. Slices are counted from 1.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Scan and mask")]
pub struct OutlineOptions {
    /// Slices without any structure: 3,60-64; without label 2: 2:3,60
    #[arg(long, value_name = "SLICES")]
    #[serde(serialize_with = "texts")]
    pub empty: Vec<EmptySlices>,
    /// A structure that is not outlined on an outlined slice is absent there
    #[arg(long)]
    pub complete: bool,
    /// Smaller outlines don't count: auto, mm2 such as 20, or 2% of the largest
    #[arg(long, value_name = "SIZE", default_value_t, hide_default_value = true)]
    #[serde(serialize_with = "text")]
    pub min_outline: MinOutline,
}

impl OutlineOptions {
    /// All slices that are said to be empty.
    pub fn empty(&self) -> EmptySlices {
        let mut all = EmptySlices::default();
        self.empty.iter().for_each(|empty| all.extend(empty));
        all
    }
}

/// Saves a value as it is typed, so that `--config` reads it back: slices are counted from 1.
fn text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// Saves values as they are typed.
fn texts<S: Serializer>(values: &[EmptySlices], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

/// What is learned.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Structures, and what is learned of them")]
pub struct LearningOptions {
    /// Save what is learned, .safetensors; with --card, that card improved
    #[arg(long, value_name = "FILE")]
    pub save_card: Option<LossyPath>,
    /// Ensemble size: 3 are better, and take 3 times as long
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "card", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub members: u8,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// How the slices without an outline are segmented.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "How the other slices are segmented")]
pub struct StrategyOptions {
    /// fusion (default), shape, propagation, or a generator such as sapnet
    #[arg(long, value_name = "NAME", default_value_t = StrategyKind::Fusion, hide_default_value = true)]
    #[serde(serialize_with = "text")]
    pub strategy: StrategyKind,
    /// Generators: what SAM is given: points, box (default), box-mask, together
    #[arg(long, value_name = "PARTS")]
    pub hand_over: Option<PromptParts>,
    /// Generators: -2 to 2; higher gives fewer false positives, more misses
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub gate: Option<f32>,
    /// Generators: keep only the largest components of each structure
    #[arg(long, value_name = "COUNT")]
    pub components: Option<usize>,
    /// Generators: config, such as {"sapnet": {"iterations": 160}}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true)]
    pub generators: String,
}

/// What is done in a session.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Session")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct SessionOptions {
    /// Folder that keeps every outline, decision and round
    #[arg(long, value_name = "DIR", conflicts_with = "card")]
    pub session: Option<LossyPath>,
    /// Slices of the last mask that are right, counted from 1: 12,40-44
    #[arg(long, value_name = "SLICES", default_value_t, hide_default_value = true, requires = "session")]
    #[serde(serialize_with = "text")]
    pub accept: SliceList,
    /// Slices of the last mask that are wrong
    #[arg(long, value_name = "SLICES", default_value_t, hide_default_value = true, requires = "session")]
    #[serde(serialize_with = "text")]
    pub reject: SliceList,
    /// Take back the last round or decision, and write the mask as it was
    #[arg(long, requires = "session", conflicts_with_all = ["annotations", "accept", "reject", "empty", "complete", "min_outline", "labels", "save_card", "anew", "warm", "replay"])]
    pub undo: bool,
    /// Learn again even if nothing has changed
    #[arg(long, requires = "session")]
    pub anew: bool,
    /// Continue learning from the last round: half the time, slightly worse
    #[arg(long, requires = "session")]
    pub warm: bool,
    /// Repeat all rounds and compare their masks; writes nothing
    #[arg(long, requires = "session", conflicts_with_all = ["annotations", "accept", "reject", "empty", "complete", "min_outline", "labels", "save_card", "anew", "warm"])]
    pub replay: bool,
}

impl StrategyOptions {
    /// The strategy for slices without an outline.
    ///
    /// # Errors
    /// If an option belongs to generators and the strategy has none, or the config of the generators cannot be read.
    pub fn strategy(&self) -> Result<Strategy> {
        let StrategyKind::Generators(kind) = self.strategy else {
            let given = [
                ("--hand-over", self.hand_over.is_some()),
                ("--gate", self.gate.is_some()),
                ("--components", self.components.is_some()),
                ("--generators", self.generators != "{}"),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((option, _)) => Err(Failure::usage(format!(
                    "{option} belongs to generators, and the strategy is {}; choose one with --strategy, such as --strategy sapnet",
                    self.strategy
                ))),
                None => Ok(self.strategy.into()),
            };
        };
        let mut config: GeneratorConfig = read_config("--generators", &self.generators)?;
        if let Some(gate) = self.gate {
            if gate.is_nan() {
                return Err(Failure::usage("--gate has to be a number, found NaN"));
            }
            // The lowest finite number also lets every slice pass, and JSON can store it.
            config.gate.threshold = gate.max(f32::MIN);
        }
        let clean_up = self.components.map_or(CleanUp::default(), CleanUp::Volume);
        let strategy = GeneratorStrategy::new(kind).with_config(config).with_clean_up(clean_up);
        let parts = self.hand_over.unwrap_or(kind.parts());
        Ok(Strategy::Generators(strategy.with_parts(parts)))
    }
}

impl LearningOptions {
    /// The config of a run.
    ///
    /// # Errors
    /// If the config of the generators cannot be read.
    pub fn config(&self, strategy: &StrategyOptions) -> Result<AnnotateConfig> {
        Ok(AnnotateConfig::new(strategy.strategy()?).with_members(usize::from(self.members)).with_seed(self.seed))
    }
}
