//! Overlap of two masks: confusion counts, Dice, intersection over union.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use ndarray::{ArrayRef, Dimension, Zip};
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// The overlap score of two masks that are **both** empty, for which the formula gives 0/0.
///
/// If only one of them is empty, Dice and intersection over union are 0 under every policy.
/// Source: libraries differ here, so the choice is explicit (MONAI `metrics/meandice.py` has `ignore_empty`; nnU-Net
/// `evaluation/evaluate_predictions.py` gives NaN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyPolicy {
    /// NaN, that is undefined. [`Summary`](crate::Summary) leaves the slice out of its mean and counts it.
    #[default]
    Nan,
    /// 1, that is full agreement. It raises the means of structures that few slices show.
    One,
    /// 0, that is no overlap.
    Zero,
}

impl EmptyPolicy {
    pub(crate) fn score(self) -> f64 {
        match self {
            Self::Nan => f64::NAN,
            Self::One => 1.0,
            Self::Zero => 0.0,
        }
    }
}

/// Counts of elements (pixels or voxels) by prediction and truth.
///
/// Counts add up: the sum over the slices of a case gives the Dice of its pooled slices, that is of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Predicted and true (TP).
    pub true_positive: u64,
    /// Predicted but not true (FP).
    pub false_positive: u64,
    /// True but not predicted (FN).
    pub false_negative: u64,
    /// Neither predicted nor true (TN).
    pub true_negative: u64,
}

impl Confusion {
    /// Counts the elements of two masks; both may be arrays or views, in any memory order.
    ///
    /// # Shapes
    /// - prediction, truth: the same, of any dimension
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`] if the shapes differ.
    pub fn count<D: Dimension>(prediction: &ArrayRef<bool, D>, truth: &ArrayRef<bool, D>) -> Result<Self, EvalError> {
        if prediction.shape() != truth.shape() {
            return Err(EvalError::ShapeMismatch {
                prediction: prediction.shape().to_vec(),
                truth: truth.shape().to_vec(),
            });
        }
        let mut counts = Self::default();
        Zip::from(prediction).and(truth).for_each(|&predicted, &is_true| {
            *match (predicted, is_true) {
                (true, true) => &mut counts.true_positive,
                (true, false) => &mut counts.false_positive,
                (false, true) => &mut counts.false_negative,
                (false, false) => &mut counts.true_negative,
            } += 1;
        });
        Ok(counts)
    }

    /// Dice similarity coefficient, `2 TP / (2 TP + FP + FN)`, in [0, 1], or the value of `policy` if both masks are empty.
    pub fn dice(&self, policy: EmptyPolicy) -> f64 {
        let twice = 2 * self.true_positive;
        ratio(twice, twice + self.wrong(), policy)
    }

    /// Intersection over union (Jaccard index), `TP / (TP + FP + FN)`, in [0, 1], or the value of `policy` if both masks
    /// are empty.
    pub fn iou(&self, policy: EmptyPolicy) -> f64 {
        ratio(self.true_positive, self.true_positive + self.wrong(), policy)
    }

    /// Precision (positive predictive value), `TP / (TP + FP)`, in [0, 1]; the value of `policy` if both masks are empty, NaN if only
    /// the prediction is.
    pub fn precision(&self, policy: EmptyPolicy) -> f64 {
        self.share(self.true_positive + self.false_positive, policy)
    }

    /// Recall (sensitivity), `TP / (TP + FN)`, in [0, 1]; the value of `policy` if both masks are empty, NaN if only the truth is.
    pub fn recall(&self, policy: EmptyPolicy) -> f64 {
        self.share(self.true_positive + self.false_negative, policy)
    }

    /// Volume of the prediction minus that of the truth, relative to the truth: `(FP - FN) / (TP + FN)`, at least -1 (empty prediction).
    /// NaN if the truth is empty.
    pub fn relative_volume_difference(&self) -> f64 {
        let truth = self.true_positive + self.false_negative;
        let more = self.false_positive as f64 - self.false_negative as f64;
        if truth == 0 { f64::NAN } else { more / truth as f64 }
    }

    /// The true positives as a share of `of` elements.
    fn share(&self, of: u64, policy: EmptyPolicy) -> f64 {
        if of == 0 && self.wrong() > 0 { f64::NAN } else { ratio(self.true_positive, of, policy) }
    }

    fn wrong(&self) -> u64 {
        self.false_positive + self.false_negative
    }
}

pub(crate) fn ratio(part: u64, whole: u64, policy: EmptyPolicy) -> f64 {
    if whole == 0 { policy.score() } else { part as f64 / whole as f64 }
}

impl Add for Confusion {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Confusion {
    fn add_assign(&mut self, other: Self) {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.false_negative += other.false_negative;
        self.true_negative += other.true_negative;
    }
}

impl Sum for Confusion {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Dice of two masks: [`Confusion::count`], then [`Confusion::dice`].
///
/// # Shapes
/// - prediction, truth: the same, of any dimension
///
/// # Errors
/// [`EvalError::ShapeMismatch`] if the shapes differ.
pub fn dice<D: Dimension>(
    prediction: &ArrayRef<bool, D>,
    truth: &ArrayRef<bool, D>,
    policy: EmptyPolicy,
) -> Result<f64, EvalError> {
    Ok(Confusion::count(prediction, truth)?.dice(policy))
}

/// Intersection over union of two masks: [`Confusion::count`], then [`Confusion::iou`].
///
/// # Shapes
/// - prediction, truth: the same, of any dimension
///
/// # Errors
/// [`EvalError::ShapeMismatch`] if the shapes differ.
pub fn iou<D: Dimension>(
    prediction: &ArrayRef<bool, D>,
    truth: &ArrayRef<bool, D>,
    policy: EmptyPolicy,
) -> Result<f64, EvalError> {
    Ok(Confusion::count(prediction, truth)?.iou(policy))
}
