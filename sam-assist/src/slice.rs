//! Annotated slices, prepared for training.

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{AnnotatedSlice, ImageEmbedding};
use sam_prompt::{component_masks, mask_area};

/// An annotated slice that shows the structure, with the regions that prompts are drawn from.
#[derive(Debug, Clone)]
pub(crate) struct TrainingSlice<B: Backend> {
    pub(crate) slice: AnnotatedSlice<B>,
    /// The pixels outside the outline.
    outside: Array2<bool>,
    parts: Vec<Part>,
}

/// A connected component of an outline.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) mask: Array2<bool>,
    /// Number of pixels.
    pub(crate) area: usize,
}

impl<B: Backend> TrainingSlice<B> {
    /// Prepares a slice. Returns `None` if its outline is empty, because there is nothing to prompt for.
    pub(crate) fn new(slice: &AnnotatedSlice<B>) -> Option<Self> {
        let part = |mask: Array2<bool>| Part { area: mask_area(mask.view()), mask };
        let parts: Vec<_> = component_masks(slice.outline().view(), 1).into_iter().map(part).collect();
        let outside = slice.outline().mapv(|inside| !inside);
        (!parts.is_empty()).then(|| Self { slice: slice.clone(), outside, parts })
    }

    /// The embedded slice.
    pub(crate) fn embedding(&self) -> &ImageEmbedding<B> {
        self.slice.embedding()
    }

    /// The whole outline: `[rows, columns]`.
    pub(crate) fn outline(&self) -> &Array2<bool> {
        self.slice.outline()
    }

    /// How often it is drawn, compared with others.
    pub(crate) fn weight(&self) -> f32 {
        self.slice.weight()
    }

    /// The pixels outside the outline.
    pub(crate) fn outside(&self) -> &Array2<bool> {
        &self.outside
    }

    /// The components of the outline, largest first. Each may get a box.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}
