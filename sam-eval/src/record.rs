//! One run, as one line of JSON.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{EvalError, InteractionSummary, Summary, best_score, protocol::TestedSlice};

/// What one method reached on one structure of one case, with all that is needed to compare it with another.
///
/// Records are what a run leaves behind: one JSON object each, its keys the names of the fields below (`iou` and
/// `interaction` only where there is one). An undefined mean is `null`.
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
    /// What SAM was prompted with on every test slice: `points-3` (3 foreground and 3 background points), `box`, …, or `active-5` and `clicks-20`:
    /// one box for each component and 5 correcting clicks, or 20 clicks and no box.
    pub prompt: String,
    /// Seed behind all that is random in the run: slices, prompts, training.
    pub seed: u64,
    /// Dice of the test slices; of a series of interactions the best along it, as the paper scores them.
    pub dice: Summary,
    /// Intersection over union of the test slices, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iou: Option<Summary>,
    /// What came of each interaction, where there was more than one: Dice after the last one, the click curve, NoC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<InteractionSummary>,
    /// What each test slice scored, in the order of testing; empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceScore>,
    /// Seconds of training; 0 for a method that learns nothing.
    pub train_seconds: f64,
    /// Whether the prompts of the test slices were drawn from the ground truth, as the paper does, instead of given by
    /// a person or found by a model. Such scores hold a per-slice localisation that no automatic method has. A file
    /// without this key is taken to say `true`.
    #[serde(default = "taken_for_simulated")]
    pub simulated_prompts: bool,
}

/// What one test slice scored. What is undefined is `None`, in JSON `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceScore {
    /// Its place in the stack.
    pub slice: usize,
    /// Dice; of a series of interactions the best along it.
    pub dice: Option<f64>,
    /// Intersection over union of what was found in the end.
    pub iou: Option<f64>,
    /// What the segmenter predicted that to be, where it found the object in one piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_iou: Option<f64>,
}

impl SliceScore {
    pub(crate) fn of(tested: &TestedSlice) -> Self {
        let defined = |score: f64| score.is_finite().then_some(score);
        Self {
            slice: tested.index,
            dice: defined(best_score(&tested.dice)),
            iou: defined(tested.iou),
            predicted_iou: tested.predicted_iou,
        }
    }
}

fn taken_for_simulated() -> bool {
    true
}

/// Checks that no run is there twice.
///
/// # Errors
/// [`EvalError::DuplicateRecord`] if two records agree in all that identifies a run.
pub(crate) fn check_distinct(records: &[Record]) -> Result<(), EvalError> {
    let identity = |record: &Record| {
        let Record { dataset, case, structure, method, annotated_slices, prompt, seed, .. } = record.clone();
        (dataset, case, structure, method, annotated_slices, prompt, seed)
    };
    let mut seen = HashSet::new();
    match records.iter().find(|record| !seen.insert(identity(record))) {
        Some(twice) => Err(EvalError::DuplicateRecord(Box::new(twice.clone()))),
        None => Ok(()),
    }
}
