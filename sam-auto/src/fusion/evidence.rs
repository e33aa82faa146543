//! What is known of each pixel of a slice.

use ndarray::{Array2, ArrayView2, Zip};

use super::{FusionWeights, PartDice};
use crate::{PriorSlice, ensemble::Votes, mask_stats::dice};

/// The shape's distances count up to this many widths of its edge.
const MAX_SHAPE: f32 = 6.0;
/// A logit of this size counts as much as a distance of about three quarters of the edge's width.
const LOGIT_SCALE: f32 = 4.0;

/// What shape, image, classifier and model say of each pixel of a slice: positive inside. Each of them is bounded, so that none outweighs the others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// Distances from the expected edge, in widths of the edge, from -6 to 6.
    shape: Array2<f32>,
    /// From -1 to 1; `None` where the image was not asked.
    image: Option<Array2<f32>>,
    /// From -1 to 1.
    classifier: Array2<f32>,
    /// From -1 to 1.
    model: Array2<f32>,
}

impl Evidence {
    /// # Shapes
    /// - walked: probabilities, `[rows, columns]`
    /// - classifier: from -1 to 1, `[rows, columns]`
    /// - logits: `[rows, columns]`; `None` if the model was not prompted, which says that it sees nothing
    pub(super) fn new(
        prior: &PriorSlice,
        walked: Option<&Array2<f32>>,
        classifier: Array2<f32>,
        logits: Option<ArrayView2<'_, f32>>,
    ) -> Self {
        let shape = prior.signed.mapv(|distance| (distance / prior.width).clamp(-MAX_SHAPE, MAX_SHAPE));
        let absent = || Array2::from_elem(shape.dim(), -1.0);
        let model = logits.map_or_else(absent, |logits| logits.mapv(|logit| (logit / LOGIT_SCALE).tanh()));
        Self { image: walked.map(|walked| walked.mapv(|inside| 2.0 * inside - 1.0)), classifier, model, shape }
    }

    /// The pixels for which more speaks than against them.
    pub(super) fn mask(&self, weights: &FusionWeights) -> Array2<bool> {
        self.scores(weights).mapv(|score| score > 0.0)
    }

    /// The weighted sum of what speaks for each pixel: positive inside.
    pub(super) fn scores(&self, weights: &FusionWeights) -> Array2<f32> {
        let mut sum = &self.shape * weights.shape;
        Zip::from(&mut sum).and(&self.classifier).and(&self.model).for_each(|sum, &classifier, &model| {
            *sum += weights.classifier * classifier + weights.model * model;
        });
        if let Some(image) = &self.image {
            Zip::from(&mut sum).and(image).for_each(|sum, &image| *sum += weights.image * image);
        }
        sum
    }

    /// How far the parts that count agree with their sum, from 0 to 1: see [`Segmentation::agreement`](crate::Segmentation).
    pub(super) fn agreement(&self, weights: &FusionWeights, mask: &Array2<bool>) -> f32 {
        let parts = [
            (Some(&self.shape), weights.shape),
            (self.image.as_ref(), weights.image),
            (Some(&self.classifier), weights.classifier),
            (Some(&self.model), weights.model),
        ];
        let mut votes = Votes::none(mask.dim());
        for part in parts.into_iter().filter(|(_, weight)| *weight > 0.0).filter_map(|(part, _)| part) {
            votes.add(part, |&score| score > 0.0);
        }
        votes.agreement(mask)
    }

    /// Dice of each part alone, and of all of them together. A part that was not asked has found nothing.
    pub(super) fn dice(&self, weights: &FusionWeights, outline: &Array2<bool>) -> PartDice {
        let of = |part: &Array2<f32>| dice(&part.mapv(|inside| inside > 0.0), outline);
        PartDice {
            shape: of(&self.shape),
            image: self.image.as_ref().map_or(0.0, of),
            classifier: of(&self.classifier),
            model: of(&self.model),
            fused: dice(&self.mask(weights), outline),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn parts_that_count_agree_or_not() {
        let mut evidence = Evidence {
            shape: array![[1.0, 1.0, -1.0]],
            image: Some(array![[1.0, 1.0, -1.0]]),
            classifier: array![[1.0, 1.0, -1.0]],
            model: array![[1.0, 1.0, -1.0]],
        };
        let (all, mask) = (FusionWeights::default(), array![[true, true, false]]);
        let is = |evidence: &Evidence, weights: &FusionWeights, expected: f32| {
            (evidence.agreement(weights, &mask) - expected).abs() < 1e-6
        };
        assert!(is(&evidence, &all, 1.0));
        evidence.model = array![[1.0, -1.0, -1.0]];
        assert!(is(&evidence, &all, 7.0 / 8.0) && is(&evidence, &all.with_model(0.0), 1.0));
        evidence.image = None;
        assert!(is(&evidence, &all, 5.0 / 6.0));
    }
}
