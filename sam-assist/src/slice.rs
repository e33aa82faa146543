//! Slices that a person has outlined.

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::ImageEmbedding;
use sam_prompt::component_masks;

use crate::AssistError;

/// A slice that a person has outlined.
#[derive(Debug, Clone)]
pub struct AnnotatedSlice<B: Backend> {
    embedding: ImageEmbedding<B>,
    outline: Array2<bool>,
    /// All that is not outlined.
    outside: Array2<bool>,
    parts: Vec<Part>,
}

/// A component of an outline, with the number of its pixels.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) mask: Array2<bool>,
    pub(crate) pixels: usize,
}

impl<B: Backend> AnnotatedSlice<B> {
    /// Joins an embedded slice and its outline.
    ///
    /// # Shapes
    /// - outline: `[rows, columns]` of the image that was embedded
    ///
    /// # Errors
    /// [`AssistError::OutlineSize`] if the sizes differ; [`AssistError::EmptyOutline`].
    pub fn new(embedding: ImageEmbedding<B>, outline: Array2<bool>) -> Result<Self, AssistError> {
        let (slice_rows, slice_columns) = embedding.frame.original;
        let (outline_rows, outline_columns) = outline.dim();
        if (outline_rows, outline_columns) != (slice_rows, slice_columns) {
            return Err(AssistError::OutlineSize { outline_rows, outline_columns, slice_rows, slice_columns });
        }
        let counted = |mask: Array2<bool>| Part { pixels: mask.iter().filter(|&&inside| inside).count(), mask };
        let parts: Vec<_> = component_masks(outline.view(), 1).into_iter().map(counted).collect();
        if parts.is_empty() {
            return Err(AssistError::EmptyOutline);
        }
        Ok(Self { embedding, outside: outline.mapv(|inside| !inside), outline, parts })
    }

    /// The embedded slice.
    pub fn embedding(&self) -> &ImageEmbedding<B> {
        &self.embedding
    }

    /// What the person outlined: `[rows, columns]`.
    pub fn outline(&self) -> &Array2<bool> {
        &self.outline
    }

    pub(crate) fn outside(&self) -> &Array2<bool> {
        &self.outside
    }

    /// The outline's components, largest first: each may get a box.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}
