//! Sizes of masks, and how far two are the same.

use ndarray::{Array2, Zip};

/// Intersection over union; 0 where both are empty.
pub(crate) fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    let (mut both, mut either) = (0_u32, 0_u32);
    Zip::from(a).and(b).for_each(|&a, &b| {
        both += u32::from(a && b);
        either += u32::from(a || b);
    });
    if either == 0 { 0.0 } else { both as f32 / either as f32 }
}

/// How many pixels a mask has.
pub(crate) fn pixels(mask: &Array2<bool>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}
