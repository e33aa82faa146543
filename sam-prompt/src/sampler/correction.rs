//! Clicks that correct a prediction.

use ndarray::{ArrayView2, Zip};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Center, PointSampler, Uniform};
use crate::{Label, Point, PromptError, mask::ranked_components};

/// Position of the correcting click within an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Placement {
    /// The innermost pixel: the peak of the [`distance_transform`](crate::distance_transform).
    #[default]
    Peak,
    /// Any pixel, with equal probability.
    Random,
}

/// The next correction click of a person: on the largest error of a prediction.
///
/// An error is an 8-connected component of the false negatives (the click is foreground there) or of the false positives
/// (background). Of equally large errors, false negatives come first, then the first in scan order.
///
/// # Source
/// The protocol of interactive segmentation, as in K. Sofiiuk et al., "Reviving iterative training with mask guidance for interactive
/// segmentation", 2022, except that the click is on the largest error, not on the deepest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrectionClick {
    /// Position of the click within the largest error.
    pub placement: Placement,
}

impl CorrectionClick {
    /// The next click, on a pixel centre; `None` if the prediction is correct.
    ///
    /// # Shapes
    /// - predicted, truth: `[rows, columns]`
    ///
    /// # Errors
    /// [`PromptError::UnequalMasks`] if the masks differ in shape.
    pub fn next(
        &self,
        predicted: ArrayView2<'_, bool>,
        truth: ArrayView2<'_, bool>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Point>, PromptError> {
        PromptError::check_equal_masks(&predicted, &truth)?;
        // The largest error among the pixels that only the first mask has: its pixel count, the component, and the click's label.
        let largest = |has: ArrayView2<'_, bool>, lacks: ArrayView2<'_, bool>, label| {
            let error = Zip::from(has).and(lacks).map_collect(|&has, &lacks| has && !lacks);
            let (labels, sizes) = ranked_components(error.view());
            sizes.first().map(|&(largest, pixels)| (pixels, labels.mapv(|found| found == largest), label))
        };
        let missed = largest(truth, predicted, Label::Foreground);
        let surplus = largest(predicted, truth, Label::Background);
        // Of equal ones, `max_by_key` returns the last, so false negatives win.
        let Some((_, error, label)) = surplus.into_iter().chain(missed).max_by_key(|&(pixels, ..)| pixels) else {
            return Ok(None);
        };
        let click = match self.placement {
            Placement::Peak => Center::default().sample(error.view(), label, 1, rng),
            Placement::Random => Uniform::default().sample(error.view(), label, 1, rng),
        }?;
        Ok(click.into_iter().next())
    }
}
