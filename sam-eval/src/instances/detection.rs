//! Detection counts of objects and the scores computed from them.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::EmptyPolicy;
use crate::overlap::ratio;

/// Counts of matched, false-positive and missed objects.
///
/// Counts add up: the sum over the images of a set gives the precision, recall, F1 and panoptic quality of their objects together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Detection {
    /// Objects that were matched (TP).
    pub true_positive: u64,
    /// Predicted objects without a match (FP).
    pub false_positive: u64,
    /// True objects without a match (FN).
    pub false_negative: u64,
    /// Sum of the intersections over union of the matches.
    pub iou_sum: f64,
}

impl Detection {
    /// Precision, `TP / (TP + FP)`, in [0, 1]; the value of `policy` if there are neither predicted nor true objects, NaN if only
    /// predicted ones are missing.
    pub fn precision(&self, policy: EmptyPolicy) -> f64 {
        self.share(self.true_positive + self.false_positive, policy)
    }

    /// Recall, `TP / (TP + FN)`, in [0, 1]; the value of `policy` if there are neither predicted nor true objects, NaN if only true
    /// ones are missing.
    pub fn recall(&self, policy: EmptyPolicy) -> f64 {
        self.share(self.true_positive + self.false_negative, policy)
    }

    /// F1 of the objects, `2 TP / (2 TP + FP + FN)`, in [0, 1], or the value of `policy` if there are none. It is the recognition quality (RQ) of
    /// panoptic quality.
    pub fn f1(&self, policy: EmptyPolicy) -> f64 {
        let twice = 2 * self.true_positive;
        ratio(twice, twice + self.wrong(), policy)
    }

    /// Segmentation quality (SQ): the mean intersection over union of the matches, in [0, 1]; the value of `policy` if there are no
    /// objects, NaN if there are objects but no match.
    pub fn segmentation_quality(&self, policy: EmptyPolicy) -> f64 {
        if self.true_positive == 0 {
            return self.share(0, policy);
        }
        self.iou_sum / self.true_positive as f64
    }

    /// Panoptic quality (PQ) of one class, `sum of IoU / (TP + FP / 2 + FN / 2)`, in [0, 1], or the value of `policy` if there are no
    /// objects. It is SQ times RQ, and 0 if SQ is undefined because nothing matched.
    ///
    /// # Source
    /// A. Kirillov et al., "Panoptic segmentation", CVPR 2019, equations 1 and 2. There, matches have an intersection over union above
    /// 0.5; here the caller sets the threshold in [`InstanceOverlaps::detection`](crate::InstanceOverlaps::detection). MONAI (`metrics/panoptic_quality.py`) adds 1e-6 to the denominators.
    pub fn panoptic_quality(&self, policy: EmptyPolicy) -> f64 {
        let objects = self.true_positive as f64 + self.wrong() as f64 / 2.0;
        if objects > 0.0 { self.iou_sum / objects } else { policy.score() }
    }

    /// The number of matches divided by `of`.
    fn share(&self, of: u64, policy: EmptyPolicy) -> f64 {
        if of == 0 && self.wrong() > 0 { f64::NAN } else { ratio(self.true_positive, of, policy) }
    }

    fn wrong(&self) -> u64 {
        self.false_positive + self.false_negative
    }
}

impl Add for Detection {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Detection {
    fn add_assign(&mut self, other: Self) {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.false_negative += other.false_negative;
        self.iou_sum += other.iou_sum;
    }
}

impl Sum for Detection {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}
