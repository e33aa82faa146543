//! The levels of a slice, and the part of it around some of its pixels.

use std::ops::Range;

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis};
use sam_core::{SliceError, SliceSource};
use sam_prompt::bounding_box;

/// Rows and columns of a part of a slice.
pub(crate) type Region = (Range<usize>, Range<usize>);

/// The levels of a slice, in 0..1: `[rows, columns]`. Scans are grey: every channel is the same.
pub(crate) fn levels<B: Backend>(source: &dyn SliceSource<B>, slice: usize) -> Result<Array2<f32>, SliceError> {
    Ok(source.image(slice)?.index_axis(Axis(2), 0).mapv(|level| f32::from(level) / 255.0))
}

/// Rows and columns of the smallest box around the pixels of a mask.
pub(crate) fn region_of(mask: ArrayView2<'_, bool>) -> Option<Region> {
    // The edges of a box lie halfway between pixels.
    let pixels = |first: f32, last: f32| (first + 0.5) as usize..(last + 0.5) as usize;
    bounding_box(mask).map(|found| (pixels(found.y_min, found.y_max), pixels(found.x_min, found.x_max)))
}
