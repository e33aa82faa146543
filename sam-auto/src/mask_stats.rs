//! Overlap of masks, for trust and propagation.

use ndarray::Array2;
use sam_prompt::{mask_dice, mask_iou};

/// Intersection over union of masks of one size; 0 if both are empty, or if the sizes differ.
pub(crate) fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    mask_iou(a.view(), b.view()).map_or(0.0, |iou| iou as f32)
}

/// Dice of masks of one size; 0 if both are empty, or if the sizes differ.
pub(crate) fn dice(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    mask_dice(a.view(), b.view()).unwrap_or(0.0)
}
