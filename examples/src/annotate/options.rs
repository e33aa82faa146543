//! Annotate's command line.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser};
use sam_auto::{CleanUp, MaskPropagationConfig};
use sam_data::{LabelTable, LabelVolume, SliceAxis, Window};
use serde::Serialize;

use super::SliceList;
use crate::{
    auto::{AutoConfig, AutoKind, HandOverKind},
    backend::BackendChoice,
    disk_cache::CacheOptions,
    prompting::{AutoPrompting, Prompting},
    scan::{Scan, ScanOptions},
    weights::ModelOptions,
};

/// Segment a whole scan from a few outlined slices.
#[derive(Debug, Parser, Serialize)]
pub struct Options {
    /// Which scan.
    #[command(flatten)]
    #[serde(flatten)]
    pub scan: ScanOptions,
    /// A label map on the scan's grid with a few slices outlined; in a session, later, the last mask with a few slices corrected.
    #[arg(long, value_name = "FILE", required_unless_present = "session")]
    pub annotations: Option<PathBuf>,
    /// Names of the label values: a JSON file such as {"1": "liver"}.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Prompt cards to use instead of learning: one for each label value, in rising order.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "save_card")]
    pub card: Vec<PathBuf>,
    /// Keeps what is learned as a prompt card, NAME.safetensors; of several structures, as NAME-VALUE.safetensors each.
    #[arg(long, value_name = "FILE")]
    pub save_card: Option<PathBuf>,
    /// Generators of prompts.
    #[command(flatten)]
    #[serde(flatten)]
    pub auto: AutoOptions,
    /// Slices that show none of the structures, counted from 0: two of them help generators to tell where a structure ends.
    #[arg(long, value_name = "SLICES", default_value_t, hide_default_value = true)]
    pub empty: SliceList,
    /// Intensity window: auto (with cards or in a session: theirs), abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    pub window: Window,
    /// Axis along which slices are outlined: auto (told from the outlines), axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    pub axis: SliceAxis,
    /// How many are learned of each structure, to be asked together: three segment better than one, and take three times as long.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub members: u8,
    /// Seed of all drawing.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Which model.
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    /// Embeddings on disk.
    #[command(flatten)]
    pub cache: CacheOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub backend: BackendChoice,
    /// What is done in a session.
    #[command(flatten)]
    #[serde(flatten)]
    pub session: SessionOptions,
}

/// Prompts from generators.
#[derive(Debug, Clone, Args, Serialize)]
pub struct AutoOptions {
    /// Prompt by generators that see each slice on its own, instead of from the mask of the slice before.
    #[arg(long, value_enum)]
    pub auto: Option<AutoKind>,
    /// With --auto: what generators hand on to SAM; a box, if not given, but points with propagation, which has nothing else.
    #[arg(long, value_enum, requires = "auto")]
    pub hand_over: Option<HandOverKind>,
    /// With --auto: how much a slice must look like those with the structure, from -2 to 2. Higher: fewer false positives. -inf lets
    /// every slice pass.
    #[arg(long, value_name = "SCORE", requires = "auto", allow_hyphen_values = true)]
    pub gate: Option<f32>,
    /// With --auto: so many components of each structure are kept, the largest in the volume. All, if not given.
    #[arg(long, value_name = "COUNT", requires = "auto")]
    pub components: Option<usize>,
    /// With --auto: numbers of the generators other than the defaults, as JSON: {"sapnet": {"iterations": 160}}.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "auto")]
    pub generators: String,
}

/// What is done in a session.
#[derive(Debug, Clone, Args, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct SessionOptions {
    /// Folder that keeps all you outlined, accepted and rejected, and what was learned. Correct slices of the mask in an editor, and run
    /// again with it as --annotations: those that you changed are yours from then on.
    #[arg(long, value_name = "DIR", conflicts_with = "card")]
    pub session: Option<PathBuf>,
    /// Slices of the last mask that are right as they are, such as 12,40-44: they are yours from now on.
    #[arg(long, value_name = "SLICES", default_value_t, hide_default_value = true, requires = "session")]
    pub accept: SliceList,
    /// Slices of the last mask that are wrong; if you had accepted or drawn one, it is no longer yours.
    #[arg(long, value_name = "SLICES", default_value_t, hide_default_value = true, requires = "session")]
    pub reject: SliceList,
    /// Takes back the last thing that was done, a round or a decision on one slice, and writes the mask as it was.
    #[arg(long, requires = "session", conflicts_with_all = ["annotations", "accept", "reject", "empty", "anew", "warm", "replay"])]
    pub undo: bool,
    /// Learns once more, even if nothing has changed since the last round.
    #[arg(long, requires = "session")]
    pub anew: bool,
    /// Goes on from what was learned in the last round instead of learning from the model: in half the time, but not as well so far.
    #[arg(long, requires = "session")]
    pub warm: bool,
    /// Does all rounds of the session again, and says whether each mask comes out the same to the bit. Writes nothing.
    #[arg(long, requires = "session", conflicts_with_all = ["annotations", "accept", "reject", "empty", "anew", "warm"])]
    pub replay: bool,
}

impl Options {
    /// The annotations, if any were given.
    ///
    /// # Errors
    /// If they cannot be read, or do not lie on the scan's grid.
    pub(super) fn read_annotations(&self, scan: &Scan) -> Result<Option<LabelVolume>> {
        self.annotations.as_deref().map(|path| self.scan.read_labels(path, scan)).transpose()
    }

    /// Names of the label values, if any were given.
    pub(super) fn names(&self) -> Result<LabelTable> {
        Ok(self.labels.as_deref().map_or_else(|| Ok(LabelTable::default()), LabelTable::read)?)
    }

    /// What the annotations are called in errors.
    pub(super) fn annotations_name(&self) -> String {
        self.annotations.as_ref().map_or_else(|| "the annotations".to_owned(), |path| path.display().to_string())
    }
}

impl AutoOptions {
    /// Where prompts come from.
    ///
    /// # Errors
    /// If the generators' numbers cannot be read.
    pub(super) fn prompting(&self, seed: u64) -> Result<Prompting> {
        let Some(kind) = self.auto else {
            return Ok(Prompting::Walk(MaskPropagationConfig::default().with_seed(seed)));
        };
        let mut numbers: AutoConfig =
            serde_json::from_str(&self.generators).context("cannot read the numbers given with --generators")?;
        // The lowest finite number lets every slice pass as well, and can be written down.
        numbers.gate.threshold = self.gate.unwrap_or(numbers.gate.threshold).max(f32::MIN);
        ensure!(!self.gate.is_some_and(f32::is_nan), "--gate has to be a number");
        Ok(Prompting::Auto(AutoPrompting {
            kind,
            hand_over: self.hand_over.unwrap_or(kind.hand_over()),
            points: 5,
            numbers: numbers.with_seed(seed),
            clean_up: self.components.map_or(CleanUp::Nothing, CleanUp::Volume),
        }))
    }
}
