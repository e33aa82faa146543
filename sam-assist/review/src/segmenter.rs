//! The model behind the page, whatever it is.

use sam_prompt::{Prompts, ndarray::Array2};

use crate::BoxError;

/// A model on the slices of one scan. It can be asked from several threads.
pub trait SliceSegmenter: Send + Sync {
    /// Whether the slice's embedding is in memory.
    fn is_embedded(&self, slice: usize) -> bool;

    /// Computes the slice's embedding and keeps it: slow.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    fn embed(&self, slice: usize) -> Result<(), BoxError>;

    /// Segments one structure, counted from 0, from prompts on a slice: fast once the slice is embedded.
    ///
    /// # Errors
    /// If the slice cannot be embedded, or the prompts do not lie on it.
    fn segment(&self, slice: usize, structure: usize, prompts: &Prompts) -> Result<StructureMask, BoxError>;
}

/// A structure's mask on a slice.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StructureMask {
    /// Where the structure is: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// The IoU that the model predicts for it.
    pub predicted_iou: f32,
}

impl StructureMask {
    /// Where the structure is, `[rows, columns]`, and the IoU that the model predicts for it.
    pub fn new(mask: Array2<bool>, predicted_iou: f32) -> Self {
        Self { mask, predicted_iou }
    }
}
