//! Clicks that correct a prediction.

use ndarray::{ArrayView2, Zip};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Center, PointSampler, Uniform};
use crate::{Label, Point, PromptError, mask::ranked_components};

/// Where in an error the correcting click lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// At its innermost pixel: the peak of its [`distance_transform`](crate::distance_transform).
    #[default]
    Peak,
    /// At any of its pixels, all alike.
    Random,
}

/// The next click of a person who corrects a prediction: on the largest error.
///
/// An error is an 8-connected component of the pixels that the prediction misses (the click is foreground there) or of those that
/// it has too many (background). Of equally large errors, a missed one comes first, then the first in scan order.
///
/// # Source
/// The protocol of interactive segmentation, as in K. Sofiiuk et al., "Reviving iterative training with mask guidance for
/// interactive segmentation", 2022; the largest error rather than the deepest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrectionClick {
    /// Where in the largest error the click lies.
    pub placement: Placement,
}

impl CorrectionClick {
    /// The next click, or `None` if the prediction is right.
    ///
    /// Shapes: both masks `[rows, columns]`. Units: the click is a pixel centre.
    ///
    /// # Errors
    /// [`PromptError::UnequalMasks`] if the masks differ in shape.
    pub fn next(
        &self,
        predicted: ArrayView2<'_, bool>,
        truth: ArrayView2<'_, bool>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Point>, PromptError> {
        let ((predicted_height, predicted_width), (true_height, true_width)) = (predicted.dim(), truth.dim());
        if predicted.dim() != truth.dim() {
            return Err(PromptError::UnequalMasks { predicted_height, predicted_width, true_height, true_width });
        }
        // Where the first holds and the second does not: the largest component's pixel count, the component, and its label.
        let largest = |has: ArrayView2<'_, bool>, lacks: ArrayView2<'_, bool>, label| {
            let error = Zip::from(has).and(lacks).map_collect(|&has, &lacks| has && !lacks);
            let (labels, sizes) = ranked_components(error.view());
            sizes.first().map(|&(largest, pixels)| (pixels, labels.mapv(|found| found == largest), label))
        };
        let missed = largest(truth, predicted, Label::Foreground);
        let surplus = largest(predicted, truth, Label::Background);
        // Of equals, the last is the maximum.
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
