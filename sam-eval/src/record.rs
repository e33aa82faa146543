//! One run, as one line of JSON.

use serde::{Deserialize, Serialize};

use crate::Summary;

/// What one method reached on one structure of one case, with all that is needed to compare it with another.
///
/// Records are what a run leaves behind: one JSON object each, its keys the names of the fields below (`iou` only where
/// there is one). An undefined mean is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Data set, for example `msd_spleen2`.
    pub dataset: String,
    /// Case within it: a volume, or the group of images that shared one training.
    pub case: String,
    /// What was segmented, for example `spleen`.
    pub structure: String,
    /// How: `original` (SAM's own prompt encoder), `assist` (one learned on the annotated slices, the paper's section
    /// 3.2.1), or the name of any other method.
    pub method: String,
    /// Number of slices annotated for training; 0 for a method that learns nothing.
    pub annotated_slices: usize,
    /// What SAM was prompted with on every test slice: `points-3` (3 foreground and 3 background points), `box`, ….
    pub prompt: String,
    /// Seed behind all that is random in the run: slices, prompts, training.
    pub seed: u64,
    /// Dice of the test slices.
    pub dice: Summary,
    /// Intersection over union of the test slices, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iou: Option<Summary>,
    /// Seconds of training; 0 for a method that learns nothing.
    pub train_seconds: f64,
    /// Whether the prompts of the test slices were drawn from the ground truth, as the paper does, instead of given by
    /// a person or found by a model. Such scores hold a per-slice localisation that no automatic method has. A file
    /// without this key is taken to say `true`.
    #[serde(default = "taken_for_simulated")]
    pub simulated_prompts: bool,
}

fn taken_for_simulated() -> bool {
    true
}
