//! The interface of the model behind the page.

use sam_prompt::{Prompts, ndarray::Array2};

use crate::BoxError;

/// A model for the slices of one scan. It can be called from several threads.
pub trait SliceSegmenter: Send + Sync {
    /// Whether the slice's embedding is in memory.
    fn is_embedded(&self, slice: usize) -> bool;

    /// Computes the slice's embedding and stores it in memory; this is slow.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    fn embed(&self, slice: usize) -> Result<(), BoxError>;

    /// Segments one structure, counted from 0, from prompts on a slice; this is fast once the slice is embedded.
    ///
    /// # Errors
    /// If the slice cannot be embedded, or a prompt is outside it.
    fn segment(&self, slice: usize, structure: usize, prompts: &Prompts) -> Result<StructureMask, BoxError>;

    /// Whether the logits of the last answer, as the mask prompt of the next one, help with a structure.
    fn takes_logits(&self, _structure: usize) -> bool {
        false
    }
}

/// A structure's mask on a slice.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StructureMask {
    /// The pixels of the structure: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// The IoU that the model predicts for it.
    pub predicted_iou: f32,
    /// Its logits, as the mask prompt of a prediction that corrects it; `None` if the model has none.
    pub logits: Option<Array2<f32>>,
}

impl StructureMask {
    /// The pixels of the structure, `[rows, columns]`, and the IoU that the model predicts for them.
    pub fn new(mask: Array2<bool>, predicted_iou: f32) -> Self {
        Self { mask, predicted_iou, logits: None }
    }

    /// This mask with its logits.
    #[must_use]
    pub fn with_logits(self, logits: Array2<f32>) -> Self {
        Self { logits: Some(logits), ..self }
    }
}
