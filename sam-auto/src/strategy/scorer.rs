//! The scores by which a strategy decided on pixels.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{SamPredictor, SliceSource};

use super::{Fitted, FittedStrategy};
use crate::{
    AutoError, Segmentation, ShapePrior,
    fusion::{Fusion, Propagated},
};

/// Scores the pixels of a slice as a fitted strategy did when it segmented the slice. Where structures overlap, their scores can be compared.
///
/// It holds no embeddings. A clone shares what was fitted.
#[derive(Debug, Clone)]
pub struct SliceScorer(Scored);

#[derive(Debug, Clone)]
enum Scored {
    Fusion(Fusion, Arc<Propagated>),
    Shape(Arc<ShapePrior>),
}

impl<B: Backend> FittedStrategy<B> {
    /// The scores by which this strategy found a segmentation. `None` if it has none of its own: mask propagation and generators take the
    /// model's masks.
    pub fn scorer(&self, found: &Segmentation) -> Option<SliceScorer> {
        match &self.fitted {
            Fitted::Fusion(fusion) => Some(SliceScorer(Scored::Fusion(fusion.clone(), Arc::clone(&found.propagated)))),
            Fitted::Shape(prior) => Some(SliceScorer(Scored::Shape(Arc::clone(prior)))),
            Fitted::MaskPropagation(_) | Fitted::Generators(..) => None,
        }
    }
}

impl SliceScorer {
    /// The score of each pixel of a slice that nobody outlined: positive where [`FittedStrategy::segment`] found the structure. `None` where
    /// the structure is not expected.
    ///
    /// A fusion's score is the weighted sum of its parts. A shape's score is the signed distance to the expected edge, in widths of the
    /// edge. They are computed anew by each call, from the same predictor and slices as the mask.
    ///
    /// # Shapes
    /// - output: `[rows, columns]`
    ///
    /// # Errors
    /// As [`FittedStrategy::segment`].
    pub fn scores<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        index: usize,
    ) -> Result<Option<Array2<f32>>, AutoError> {
        match &self.0 {
            Scored::Fusion(fusion, propagated) => fusion.scores(predictor, source, propagated, index),
            Scored::Shape(prior) => Ok(prior.slice(index).map(|slice| slice.signed / slice.width)),
        }
    }
}
