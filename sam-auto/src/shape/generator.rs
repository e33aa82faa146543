//! Prompts from the shape between outlines.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{CoreError, Frame, ImageEmbedding};
use sam_prompt::Prompts;

use super::{PriorSlice, ShapePrior};
use crate::{AutoError, PromptExtraction, PromptGenerator, SliceContext, random::stream_of};

/// Logits of a mask prompt rise by this much per pixel inside the expected edge.
const LOGITS_PER_PIXEL: f32 = 2.0;

/// Prompt generator that uses the shape between outlines: boxes, points or a mask. A clone shares the shape.
#[derive(Debug, Clone)]
pub struct ShapeGenerator {
    prior: Arc<ShapePrior>,
    extraction: PromptExtraction,
}

impl ShapeGenerator {
    /// A generator of these prompts.
    ///
    /// # Errors
    /// [`AutoError::Config`] if no prompt would be extracted.
    pub fn new(prior: impl Into<Arc<ShapePrior>>, extraction: PromptExtraction) -> Result<Self, AutoError> {
        extraction.check()?;
        Ok(Self { prior: prior.into(), extraction })
    }

    /// The shape.
    pub fn prior(&self) -> &Arc<ShapePrior> {
        &self.prior
    }

    /// Prompts for a slice whose shape is known. `None` if all of its components are too small to be prompted for.
    ///
    /// # Errors
    /// [`CoreError::OutlineSize`] if the slice has another size than the outlines; as [`PromptExtraction::prompts`].
    pub(crate) fn prompts<B: Backend>(
        &self,
        index: usize,
        prior: &PriorSlice,
        embedding: &ImageEmbedding<B>,
    ) -> Result<Option<Prompts>, AutoError> {
        let frame = embedding.frame();
        let (found, expected) = (prior.signed.dim(), frame.original);
        if found != expected {
            return Err(CoreError::OutlineSize { index, found, expected }.into());
        }
        let mut rng = stream_of(self.extraction.seed, index);
        let Some(prompts) = self.extraction.prompts(prior.mask().view(), &mut rng)? else { return Ok(None) };
        let [.., height, width] = embedding.features().dims();
        let mask = self.extraction.mask.then(|| self.logits(prior, &frame, (4 * height, 4 * width)));
        Ok(Some(Prompts { mask, ..prompts }))
    }

    /// The shape as low-res logits, on the grid of the decoder's logits.
    fn logits(&self, prior: &PriorSlice, frame: &Frame, (height, width): (usize, usize)) -> Array2<f32> {
        let strength = self.extraction.mask_strength;
        let (rows, columns) = prior.signed.dim();
        // The centre of a low-res pixel, on the image; `None` in the padding.
        let place = |at: usize, count: usize, resized: usize, original: usize| {
            let model = (2 * at + 1) * frame.padded / (2 * count);
            (model < resized).then(|| (2 * model + 1) * original / (2 * resized))
        };
        Array2::from_shape_fn((height, width), |(row, column)| {
            let row = place(row, height, frame.resized.0, rows);
            let at = row.zip(place(column, width, frame.resized.1, columns));
            at.map_or(-strength, |at| (LOGITS_PER_PIXEL * prior.signed[at]).clamp(-strength, strength))
        })
    }
}

impl<B: Backend> PromptGenerator<B> for ShapeGenerator {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let Some(prior) = self.prior.slice(slice.index) else { return Ok(None) };
        self.prompts(slice.index, &prior, slice.embedding)
    }
}
