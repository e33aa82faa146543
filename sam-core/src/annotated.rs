//! A slice that a person annotated: what prompts are learned from and generators are fitted to.

use burn::tensor::backend::Backend;
use ndarray::Array2;

use crate::{CoreError, ImageEmbedding};

/// An embedded slice and the outline that a person drew on it.
///
/// An empty outline is an annotation, too: the person looked, and the structure is absent.
#[derive(Debug, Clone)]
pub struct AnnotatedSlice<B: Backend> {
    index: usize,
    embedding: ImageEmbedding<B>,
    outline: Array2<bool>,
}

impl<B: Backend> AnnotatedSlice<B> {
    /// Joins an embedded slice and its outline.
    ///
    /// # Shapes
    /// - outline: `[rows, columns]` of the image that was embedded
    ///
    /// # Errors
    /// [`CoreError::OutlineSize`] if the outline has another size than the image.
    pub fn new(index: usize, embedding: ImageEmbedding<B>, outline: Array2<bool>) -> Result<Self, CoreError> {
        let (found, expected) = (outline.dim(), embedding.frame().original);
        if found != expected {
            return Err(CoreError::OutlineSize { index, found, expected });
        }
        Ok(Self { index, embedding, outline })
    }

    /// Position in the volume or image set, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The embedded slice.
    pub fn embedding(&self) -> &ImageEmbedding<B> {
        &self.embedding
    }

    /// What the person outlined: `[rows, columns]`.
    pub fn outline(&self) -> &Array2<bool> {
        &self.outline
    }

    /// Number of pixels inside the outline.
    pub fn area(&self) -> usize {
        self.outline.iter().filter(|&&inside| inside).count()
    }

    /// Whether the person found the structure absent.
    pub fn is_empty(&self) -> bool {
        self.area() == 0
    }
}
