//! Sources of slices and their embeddings.

use std::{error::Error, fmt, ops::ControlFlow, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::Array3;
use sam_prompt::{
    PixelAspect, SliceNumber,
    progress::{Observer, Progress, Stage},
};
use thiserror::Error;

use crate::{CoreError, ImageEmbedding};

/// Error of reading or embedding a slice.
#[derive(Debug, Error)]
#[error("slice {} cannot be read or embedded", SliceNumber::of_index(*index))]
pub struct SliceError {
    /// The slice, counted from 0.
    pub index: usize,
    /// The cause.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl SliceError {
    /// Creates the error of one slice.
    pub fn new(index: usize, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { index, source: source.into() }
    }

    /// Creates the error of a source of `count` slices that has no slice `index`.
    pub fn no_such_slice(index: usize, count: usize) -> Self {
        Self::new(index, CoreError::NoSuchSlice { index, count })
    }
}

/// A sequence of images: the slices of a volume along one axis, or the images of a set.
pub trait ImageSource: Send + Sync {
    /// Number of images.
    fn count(&self) -> usize;

    /// One image in 8-bit levels, as the model reads it: `[rows, columns, channels]`, one channel or three.
    ///
    /// Several threads may call this at the same time.
    ///
    /// # Errors
    /// If there is no such image, or it cannot be read.
    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError>;

    /// The aspect of the pixels of all images; square if the source does not say.
    fn pixel_aspect(&self) -> PixelAspect {
        PixelAspect::SQUARE
    }
}

impl ImageSource for Vec<Array3<u8>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        self.get(index).cloned().ok_or_else(|| SliceError::no_such_slice(index, self.len()))
    }
}

impl<S: ImageSource + ?Sized> ImageSource for Arc<S> {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        (**self).image(index)
    }

    fn pixel_aspect(&self) -> PixelAspect {
        (**self).pixel_aspect()
    }
}

/// An [`ImageSource`] that calls a function for each image.
///
/// ```
/// use ndarray::Array3;
/// use sam_core::{ImageFn, ImageSource};
///
/// let stripes = ImageFn::new(3, |index| Ok(Array3::from_elem((16, 16, 1), 80 * index as u8)));
/// assert_eq!(stripes.image(2)?[(0, 0, 0)], 160);
/// assert!(stripes.image(3).is_err());
/// # Ok::<(), sam_core::SliceError>(())
/// ```
#[derive(Clone)]
pub struct ImageFn<F> {
    count: usize,
    read: F,
    pixel_aspect: PixelAspect,
}

impl<F> ImageFn<F>
where
    F: Fn(usize) -> Result<Array3<u8>, SliceError> + Send + Sync,
{
    /// Creates a source of `count` images, each read by a function of its index.
    pub fn new(count: usize, read: F) -> Self {
        Self { count, read, pixel_aspect: PixelAspect::SQUARE }
    }

    /// This source with another aspect of its pixels, formerly square.
    #[must_use]
    pub fn with_pixel_aspect(self, pixel_aspect: PixelAspect) -> Self {
        Self { pixel_aspect, ..self }
    }
}

impl<F> ImageSource for ImageFn<F>
where
    F: Fn(usize) -> Result<Array3<u8>, SliceError> + Send + Sync,
{
    fn count(&self) -> usize {
        self.count
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        if index < self.count { (self.read)(index) } else { Err(SliceError::no_such_slice(index, self.count)) }
    }

    fn pixel_aspect(&self) -> PixelAspect {
        self.pixel_aspect
    }
}

impl<F> fmt::Debug for ImageFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFn").field("count", &self.count).finish_non_exhaustive()
    }
}

/// A sequence of slices and their embeddings: the slices of a volume along one axis, or the images of a set.
///
/// Embedding takes nearly all of the time, and several callers ask for the same slice. So a source should keep its embeddings;
/// [`EmbeddingStore`](crate::EmbeddingStore) does.
pub trait SliceSource<B: Backend>: Send + Sync {
    /// Number of slices.
    fn count(&self) -> usize;

    /// One slice in 8-bit levels, as the model reads it: `[rows, columns, channels]`, one channel or three.
    ///
    /// # Errors
    /// If there is no such slice, or it cannot be read.
    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError>;

    /// The aspect of the pixels of all slices; square if the source does not say.
    fn pixel_aspect(&self) -> PixelAspect {
        PixelAspect::SQUARE
    }

    /// The embedding of one slice.
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
