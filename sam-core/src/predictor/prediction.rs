//! Predicted masks and their quality.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use serde::{Deserialize, Serialize};

use crate::axes::within;

/// Predicted masks of one object, on the image's grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MaskPrediction {
    /// Logits, positive inside: `[masks, rows, columns]`.
    pub logits: Array3<f32>,
    /// The decoder's logits, for use as a mask prompt: `[masks, 4 h, 4 w]`.
    pub low_res: Array3<f32>,
    /// Predicted intersection over union of each mask.
    pub iou: Vec<f32>,
}

impl MaskPrediction {
    /// Creates a prediction from the outputs of your own model.
    ///
    /// # Shapes
    /// - logits: `[masks, rows, columns]`; `low_res`: `[masks, 4 h, 4 w]`; iou: one for each mask
    pub fn new(logits: Array3<f32>, low_res: Array3<f32>, iou: Vec<f32>) -> Self {
        Self { logits, low_res, iou }
    }

    /// Index of the mask with the highest predicted IoU.
    pub fn best(&self) -> usize {
        (0..self.iou.len()).max_by(|&a, &b| self.iou[a].total_cmp(&self.iou[b])).unwrap_or(0)
    }

    /// Stability score of each mask: the area above `offset` divided by the area above `-offset`.
    ///
    /// NaN where the mask is empty even at `-offset`. Source: `calculate_stability_score` in segment-anything's `utils/amg.py`.
    pub fn stability(&self, offset: f32) -> Vec<f32> {
        let area =
            |mask: ArrayView2<'_, f32>, threshold| mask.iter().filter(|&&logit| logit > threshold).count() as f32;
        self.logits.outer_iter().map(|mask| area(mask, offset) / area(mask, -offset)).collect()
    }

    /// The best mask, thresholded at logit 0: `[rows, columns]`.
    pub fn mask(&self) -> Array2<bool> {
        self.logits.index_axis(Axis(0), self.best()).mapv(|logit| logit > 0.0)
    }

    /// Keeps the best mask only.
    pub(super) fn best_alone(self) -> Self {
        let best = self.best();
        let only = |mut masks: Array3<f32>| {
            masks.slice_each_axis_inplace(within([best..best + 1]));
            masks
        };
        Self { logits: only(self.logits), low_res: only(self.low_res), iou: vec![self.iou[best]] }
    }

    /// Joins two parts of one object: the maximum of their logits, the sum of their predicted qualities.
    pub(super) fn joined(mut self, other: Self) -> Self {
        let keep_larger = |a: &mut f32, &b: &f32| *a = a.max(b);
        Zip::from(&mut self.logits).and(&other.logits).for_each(keep_larger);
        Zip::from(&mut self.low_res).and(&other.low_res).for_each(keep_larger);
        self.iou.iter_mut().zip(other.iou).for_each(|(sum, iou)| *sum += iou);
        self
    }

    /// Turns predicted qualities that were summed over parts into their mean.
    pub(super) fn mean_iou(mut self, parts: usize) -> Self {
        self.iou.iter_mut().for_each(|sum| *sum /= parts as f32);
        self
    }
}
