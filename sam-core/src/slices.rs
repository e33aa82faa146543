//! Where slices and their embeddings come from.

use std::{error::Error, ops::ControlFlow};

use burn::tensor::backend::Backend;
use ndarray::Array3;
use sam_prompt::progress::{Observer, Progress, Stage};
use thiserror::Error;

use crate::ImageEmbedding;

/// A slice that cannot be read or embedded.
#[derive(Debug, Error)]
#[error("slice {index} cannot be read or embedded")]
pub struct SliceError {
    /// The slice, counted from 0.
    pub index: usize,
    /// Why not.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl SliceError {
    /// An error of one slice.
    pub fn new(index: usize, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { index, source: source.into() }
    }
}

/// The slices of a volume along one axis, or the images of a set.
///
/// Embedding is nearly all of the work, and several callers ask for the same slice: a source keeps what it has embedded.
pub trait SliceSource<B: Backend>: Send + Sync {
    /// Number of slices.
    fn count(&self) -> usize;

    /// One slice as the model sees it, in 8-bit levels: `[rows, columns, channels]`, one channel or three.
    ///
    /// # Errors
    /// If there is no such slice, or it cannot be read.
    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError>;

    /// One slice, embedded.
    ///
    /// # Errors
    /// If there is no such slice, or it cannot be read or embedded.
    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError>;

    /// Embeds all slices, so that later calls of [`SliceSource::embedding`] are fast. Returns `Break` if the observer stopped it.
    ///
    /// # Errors
    /// If a slice cannot be read or embedded.
    fn embed_all(&self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>, SliceError> {
        for index in 0..self.count() {
            self.embedding(index)?;
            if observer(&Progress::new(Stage::Embed, index + 1, self.count()).at_slice(index)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
