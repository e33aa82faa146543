//! Jitter that makes boxes as inaccurate as hand-drawn ones.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, PromptError, prompt::moved_side};

/// How far an edge of a box may move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JitterRange {
    /// A number of image pixels.
    Pixels(f32),
    /// A fraction of the box's side.
    SideFraction(f32),
    /// A fraction of the image's longer side: the same range at the model's input for every image size.
    ImageFraction(f32),
}

impl JitterRange {
    /// The number of pixels, or the fraction.
    pub const fn amount(self) -> f32 {
        match self {
            Self::Pixels(amount) | Self::SideFraction(amount) | Self::ImageFraction(amount) => amount,
        }
    }
}

/// Moves each edge of a box by a uniform random amount.
///
/// The paper jitters boxes in training and at inference but does not give the range. The default is 5 pixels of 256, outward or inward.
/// `LiteMedSAM`'s training moves edges outward by up to the same amount (`bbox_shift` in its `train_one_gpu.py`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxJitter {
    /// How far an edge may move.
    pub range: JitterRange,
    /// Whether edges move outward only, as in `MedSAM`, or in both directions.
    pub outward_only: bool,
}

impl Default for BoxJitter {
    fn default() -> Self {
        Self { range: JitterRange::ImageFraction(5.0 / 256.0), outward_only: false }
    }
}

impl BoxJitter {
    /// No jitter.
    pub const NONE: Self = Self { range: JitterRange::Pixels(0.0), outward_only: false };

    /// The box with each edge moved, clipped to an image of `height` x `width` pixels.
    ///
    /// The result is never inverted. If the box overlaps the image, the result is not empty: it holds at least the middle pixel of
    /// each exact side, or all of a side shorter than one pixel.
    ///
    /// # Errors
    /// [`PromptError::InvalidRange`] if the range is negative or not finite; [`PromptError::InvertedBox`] if the box is inverted or not
    /// finite.
    pub fn apply(
        &self,
        exact: BoundingBox,
        height: usize,
        width: usize,
        rng: &mut dyn Rng,
    ) -> Result<BoundingBox, PromptError> {
        let longer_side = height.max(width) as f32;
        let amount = self.range.amount();
        if !(amount.is_finite() && amount >= 0.0) {
            return Err(PromptError::InvalidRange { name: "box jitter", least: 0.0, value: amount });
        }
        let BoundingBox { x_min, y_min, x_max, y_max } = exact;
        // Comparisons with NaN are false, so NaN is refused as well.
        let is_box = |low: f32, high: f32| low <= high && low.is_finite() && high.is_finite();
        if !(is_box(x_min, x_max) && is_box(y_min, y_max)) {
            return Err(PromptError::InvertedBox { x_min, x_max, y_min, y_max });
        }
        let mut jittered = |low: f32, high: f32, pixels: usize| {
            let reach = match self.range {
                JitterRange::Pixels(reach) => reach,
                JitterRange::SideFraction(fraction) => fraction * (high - low),
                JitterRange::ImageFraction(fraction) => fraction * longer_side,
            };
            // No edge needs to move further than across the whole image.
            let reach = reach.min(longer_side);
            let inward = if self.outward_only { 0.0 } else { reach };
            let moved = (low + rng.random_range(-reach..=inward), high + rng.random_range(-inward..=reach));
            moved_side((low, high), moved, pixels)
        };
        let (x_min, x_max) = jittered(exact.x_min, exact.x_max, width);
        let (y_min, y_max) = jittered(exact.y_min, exact.y_max, height);
        Ok(BoundingBox { x_min, y_min, x_max, y_max })
    }
}
