//! Records of runs.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{EvalError, InteractionSummary, Summary, best_score, protocol::TestedSlice};

/// The result of one method on one structure of one case, with everything needed to compare it with others.
///
/// A record is stored as a JSON object whose keys are the names of the fields below (`iou` and `interaction` only if present). An
/// undefined mean is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Data set, for example `msd_spleen2`.
    pub dataset: String,
    /// Case within it: a volume, or the group of images that shared one training.
    pub case: String,
    /// Name of the structure, for example `spleen`.
    pub structure: String,
    /// Name of the method: `original` (SAM's original prompt encoder), `assist` (a prompt encoder trained on the annotated slices,
    /// the paper's section 3.2.1), or any other.
    pub method: String,
    /// Number of slices annotated for training; 0 for a method without training.
    pub annotated_slices: usize,
    /// The prompts of every test slice: `points-3` (3 foreground and 3 background points), `box`, `active-5` (one box for each
    /// component and 5 correcting clicks), `clicks-20` (20 clicks and no box), ...
    pub prompt: String,
    /// Seed of all random choices of the run: slices, prompts, training.
    pub seed: u64,
    /// Dice of the test slices; for a series of interactions the best of the series, as in the paper.
    pub dice: Summary,
    /// Intersection over union of the test slices, if it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iou: Option<Summary>,
    /// Scores of each interaction, if there were several: Dice after the last one, the click curve, NoC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<InteractionSummary>,
    /// The scores of each test slice, in the order of testing; empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceScore>,
    /// Seconds of training; 0 for a method without training.
    pub train_seconds: f64,
    /// Whether the prompts of the test slices were drawn from the ground truth, as in the paper, and not given by a person or a
    /// model. Such prompts localise the object on each slice, which no automatic method can rely on. Files without this key mean
    /// `true`.
    #[serde(default = "taken_for_simulated")]
    pub simulated_prompts: bool,
}

/// The scores of one test slice. Undefined scores are `None`, in JSON `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceScore {
    /// Its index in the stack.
    pub slice: usize,
    /// Dice; for a series of interactions the best of the series.
    pub dice: Option<f64>,
    /// Intersection over union of the final mask.
    pub iou: Option<f64>,
    /// The segmenter's estimate of the intersection over union, if it gives one and the object has one part.
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

/// Checks that no run occurs twice.
///
/// # Errors
/// [`EvalError::DuplicateRecord`] if two records are of the same run.
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
