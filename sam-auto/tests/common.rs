//! A tiny SAM of fixed weights, and slices in memory.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData},
};
use burn_flex::{Flex, FlexDevice};
use ndarray::{Array2, Array3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_core::{AnnotatedSlice, ImageEmbedding, Sam, SamConfig, SamPredictor, SliceError, SliceSource, ViTConfig};
use sam_prompt::progress::Progress;

pub(crate) const SIZE: (usize, usize) = (40, 50);

/// A tiny SAM whose weights depend on nothing but this file: burn's own generator is shared by the whole process.
pub(crate) fn predictor() -> SamPredictor<Flex> {
    let encoder = ViTConfig::new(32, 1, 2).with_image_size(64);
    let config = SamConfig::vit(encoder.clone());
    let sam = config.init::<Flex>(&FlexDevice);
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(5));
    let sam = Sam {
        image_encoder: Arc::new(encoder.init::<Flex>(&FlexDevice).map(&mut draw)),
        prompt_encoder: sam.prompt_encoder.map(&mut draw),
        mask_decoder: sam.mask_decoder.map(&mut draw),
    };
    SamPredictor::new(sam, config.preprocess)
}

/// Draws weights uniformly, with a variance of one over the number of inputs; the factors of norms stay 1.
struct Draw(ChaCha8Rng);

impl ModuleMapper<Flex> for Draw {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<Flex, D>>) -> Param<Tensor<Flex, D>> {
        let rng = &mut self.0;
        parameter.map(|old| {
            let dims = old.dims();
            let known: Vec<f32> = old.into_data().iter::<f32>().collect();
            let is_factor = known.iter().all(|value| (value - 1.0).abs() < f32::EPSILON);
            let bound = match D {
                1 => 0.02,
                2 => (3.0 / dims[0] as f32).sqrt(),
                _ => (3.0 / dims[1..].iter().product::<usize>() as f32).sqrt(),
            };
            let draw = |_: &f32| if is_factor { 1.0 } else { rng.random_range(-bound..bound) };
            Tensor::from_data(TensorData::new(known.iter().map(draw).collect::<Vec<_>>(), dims), &FlexDevice)
        })
    }
}

/// Images in memory, each embedded when it is first needed.
pub(crate) struct Images {
    predictor: SamPredictor<Flex>,
    levels: Vec<Array3<u8>>,
    embedded: Mutex<BTreeMap<usize, ImageEmbedding<Flex>>>,
}

impl Images {
    pub(crate) fn new(predictor: &SamPredictor<Flex>, images: Vec<Array3<u8>>) -> Self {
        Self { predictor: predictor.clone(), levels: images, embedded: Mutex::default() }
    }

    /// A slice and its outline.
    pub(crate) fn annotated(&self, index: usize, outline: Array2<bool>) -> AnnotatedSlice<Flex> {
        AnnotatedSlice::new(index, self.embedding(index).expect("in memory"), outline).expect("of one size")
    }
}

impl SliceSource<Flex> for Images {
    fn count(&self) -> usize {
        self.levels.len()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        self.levels.get(index).cloned().ok_or_else(|| SliceError::new(index, "it lies outside of the volume"))
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<Flex>, SliceError> {
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

impl SliceSource<Flex> for Gone {
    fn count(&self) -> usize {
        self.0
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        Err(SliceError::new(index, "the disk is gone"))
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<Flex>, SliceError> {
        Err(SliceError::new(index, "the disk is gone"))
    }
}

/// A square of 16 x 16 pixels.
pub(crate) fn square(shift: usize) -> Array2<bool> {
    Array2::from_shape_fn(SIZE, |(row, column)| (10..26).contains(&row) && (14 + shift..30 + shift).contains(&column))
}

pub(crate) fn nothing() -> Array2<bool> {
    Array2::from_elem(SIZE, false)
}

/// A bright square in stripes, which moves from slice to slice; outside of slices 2 to 7 there are other stripes alone.
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

/// Dice of two masks of which one has a pixel.
pub(crate) fn dice(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let both = a.iter().zip(b).filter(|&(&a, &b)| a && b).count();
    let total = a.iter().chain(b).filter(|&&inside| inside).count();
    2.0 * both as f64 / total as f64
}

/// An observer that stops after so many calls.
pub(crate) fn stop_after(calls: usize) -> impl FnMut(&Progress) -> ControlFlow<()> {
    let mut seen = 0;
    move |_| {
        seen += 1;
        if seen >= calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
