//! Annotated slices, from which prompts are learned and to which generators are fitted.

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_prompt::progress::{Observer, Progress, Stage};

use crate::{CoreError, ImageEmbedding, SliceError, SliceSource};

/// The smallest weight of a slice.
const MIN_WEIGHT: f32 = 1e-3;

/// An embedded slice and the outline that a person drew on it.
///
/// An empty outline is an annotation too: the person looked at the slice, and the structure is absent.
#[derive(Debug, Clone)]
pub struct AnnotatedSlice<B: Backend> {
    index: usize,
    embedding: ImageEmbedding<B>,
    outline: Array2<bool>,
    weight: f32,
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
        Ok(Self { index, embedding, outline, weight: 1.0 })
    }

    /// Sets how often learning draws this slice, compared with others: 1 by default, and limited to 0.001 to 1000.
    #[must_use]
    pub fn with_weight(self, weight: f32) -> Self {
        let weight = if weight.is_nan() { MIN_WEIGHT } else { weight.clamp(MIN_WEIGHT, 1.0 / MIN_WEIGHT) };
        Self { weight, ..self }
    }

    /// Embeds slices and joins each with its outline. The observer is called after each slice; `None` if it stopped the call before the
    /// last slice.
    ///
    /// # Shapes
    /// - outline: `[rows, columns]` of the slice
    ///
    /// # Errors
    /// If a slice cannot be read or embedded, or its outline has another size.
    pub fn embed_all(
        source: &dyn SliceSource<B>,
        slices: &[usize],
        outline: impl Fn(usize) -> Array2<bool>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Vec<Self>>, SliceError> {
        let mut annotated = Vec::with_capacity(slices.len());
        for &index in slices {
            let slice = Self::new(index, source.embedding(index)?, outline(index));
            annotated.push(slice.map_err(|error| SliceError::new(index, error))?);
            let progress = Progress::new(Stage::Embed, annotated.len(), slices.len()).at_slice(index);
            if observer(&progress).is_break() && annotated.len() < slices.len() {
                return Ok(None);
            }
        }
        Ok(Some(annotated))
    }

    /// Position in the volume or image set, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The embedded slice.
    pub fn embedding(&self) -> &ImageEmbedding<B> {
        &self.embedding
    }

    /// The outline: `[rows, columns]`.
    pub fn outline(&self) -> &Array2<bool> {
        &self.outline
    }

    /// How often learning draws this slice, compared with others.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// Number of pixels inside the outline.
    pub fn area(&self) -> usize {
        self.outline.iter().filter(|&&inside| inside).count()
    }

    /// Whether the outline is empty: the structure is absent.
    pub fn is_empty(&self) -> bool {
        self.area() == 0
    }
}
