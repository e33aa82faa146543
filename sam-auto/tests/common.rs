//! Slices in memory.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
};

use ndarray::{Array2, Array3};
use sam_core::{AnnotatedSlice, ImageEmbedding, SamPredictor, SliceError, SliceSource};
use sam_prompt::{PixelAspect, mask_dice, progress::Progress};
use sam_testing::{
    B,
    tiny::{SIZE, nothing, rectangle},
};

/// Images in memory, each embedded when it is first needed.
pub(crate) struct Images {
    predictor: SamPredictor<B>,
    levels: Vec<Array3<u8>>,
    aspect: PixelAspect,
    embedded: Mutex<BTreeMap<usize, ImageEmbedding<B>>>,
}

impl Images {
    pub(crate) fn new(predictor: &SamPredictor<B>, images: Vec<Array3<u8>>) -> Self {
        Self { predictor: predictor.clone(), levels: images, aspect: PixelAspect::SQUARE, embedded: Mutex::default() }
    }

    pub(crate) fn with_aspect(self, aspect: PixelAspect) -> Self {
        Self { aspect, ..self }
    }

    /// A slice and its outline.
    pub(crate) fn annotated(&self, index: usize, outline: Array2<bool>) -> AnnotatedSlice<B> {
        AnnotatedSlice::new(index, self.embedding(index).expect("in memory"), outline).expect("of one size")
    }
}

impl SliceSource<B> for Images {
    fn count(&self) -> usize {
        self.levels.len()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        self.levels.get(index).cloned().ok_or_else(|| SliceError::new(index, "it lies outside of the volume"))
    }

    fn pixel_aspect(&self) -> PixelAspect {
        self.aspect
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError> {
        let mut embedded = self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = embedded.get(&index) {
            return Ok(known.clone());
        }
        let embedding =
            self.predictor.embed(self.image(index)?.view()).map_err(|error| SliceError::new(index, error))?;
        embedded.insert(index, embedding.clone());
        Ok(embedding)
    }
}

/// Slices that cannot be read.
pub(crate) struct Gone(pub(crate) usize);

impl SliceSource<B> for Gone {
    fn count(&self) -> usize {
        self.0
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        Err(SliceError::new(index, "the disk is gone"))
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError> {
        Err(SliceError::new(index, "the disk is gone"))
    }
}

/// A square of 16 x 16 pixels.
pub(crate) fn square(shift: usize) -> Array2<bool> {
    rectangle(10..26, 14 + shift..30 + shift)
}

/// Image of a bright square in stripes, which moves from slice to slice. Slices outside of 2 to 7 have only other stripes.
pub(crate) fn moving_image(index: usize) -> Array3<u8> {
    let shows = (2..8).contains(&index);
    let level = |(row, column): (usize, usize)| match (shows, square(index)[(row, column)]) {
        (true, true) => 200 + (row * 3 % 7) as u8,
        (true, false) => 40 + 20 * (column % 4) as u8,
        (false, _) => 150 - 30 * (row % 5) as u8,
    };
    Array2::from_shape_fn(SIZE, level).insert_axis(ndarray::Axis(2))
}

/// The outline of [`moving_image`].
pub(crate) fn moving_outline(index: usize) -> Array2<bool> {
    if (2..8).contains(&index) { square(index) } else { nothing() }
}

/// Dice of two masks of one size.
pub(crate) fn dice(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    mask_dice(a.view(), b.view()).expect("masks of one size")
}

/// An observer that stops after this many calls.
pub(crate) fn stop_after(calls: usize) -> impl FnMut(&Progress) -> ControlFlow<()> {
    let mut seen = 0;
    move |_| {
        seen += 1;
        if seen >= calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
