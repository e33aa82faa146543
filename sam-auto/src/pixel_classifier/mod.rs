//! Pixel classification: what inside and outside of an outline look like, learned from the outlined slices alone.

mod config;
mod features;

use std::{collections::BTreeMap, fmt};

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2};
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use sam_core::SliceSource;
use sam_prompt::{is_mask_empty, signed_distance_with};
use smartcore::{
    ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters},
    linalg::basic::matrix::DenseMatrix,
};

pub use self::config::PixelClassifierConfig;
pub(crate) use self::features::Neighbourhood;
use self::features::{COUNT, Features};
use crate::{AutoError, PriorSlice, levels::region_of};

type Forest = ExtraTreesRegressor<f32, f32, DenseMatrix<f32>, Vec<f32>>;

/// A forest of extremely randomised trees (Geurts, Ernst and Wehenkel 2006) that tells inside from outside by the levels around a pixel at
/// several scales, and by its place. It is trained on the pixels near the outlines.
pub struct PixelClassifier {
    forest: Forest,
    band: f32,
}

impl fmt::Debug for PixelClassifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PixelClassifier").field("band", &self.band).finish_non_exhaustive()
    }
}

impl PixelClassifierConfig {
    /// Trains a classifier on the outlined slices of a volume.
    ///
    /// `width` is the usual width of the shape's edge between the outlines, in pixels of the area 1: see [`PriorSlice::width`].
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no outline has a pixel; [`AutoError::Slice`] if a slice cannot be read.
    pub fn fit<B: Backend>(
        &self,
        source: &dyn SliceSource<B>,
        outlines: &BTreeMap<usize, Array2<bool>>,
        width: f32,
    ) -> Result<PixelClassifier, AutoError> {
        self.check()?;
        // At least the pixels beside an outline, however long they are.
        let band = (self.band * width).max(self.min_band).max(source.pixel_aspect().longest());
        let mut training = Training::default();
        for (&slice, mask) in outlines.iter().filter(|(_, mask)| !is_mask_empty(mask.view())) {
            training.add(&Neighbourhood::read(source, slice)?, mask.view(), band);
        }
        if training.inside.is_empty() {
            return Err(AutoError::NothingAnnotated);
        }
        let forest = training.drawn(self).forest(self)?;
        Ok(PixelClassifier { forest, band })
    }
}

impl PixelClassifier {
    /// What the pixels of a slice look like: from -1, outside, to 1, inside. Far from the expected edge, the shape is believed.
    ///
    /// # Errors
    /// [`AutoError::Slice`] if a slice cannot be read.
    pub fn classify<B: Backend>(
        &self,
        source: &dyn SliceSource<B>,
        slice: usize,
        prior: &PriorSlice,
    ) -> Result<Array2<f32>, AutoError> {
        self.classify_read(&Neighbourhood::read(source, slice)?, prior)
    }

    /// As [`PixelClassifier::classify`], of a slice that was read.
    pub(crate) fn classify_read(&self, around: &Neighbourhood, prior: &PriorSlice) -> Result<Array2<f32>, AutoError> {
        let mut found = prior.signed.mapv(|distance| if distance > 0.0 { 1.0 } else { -1.0 });
        let band = self.band.max(FAR_WIDTHS * prior.width);
        let near = prior.signed.mapv(|distance| distance.abs() < band);
        let Some(region) = region_of(near.view()) else { return Ok(found) };
        let features = Features::new(around, region.clone());
        let pixels: Vec<_> = near.indexed_iter().filter_map(|(at, &near)| near.then_some(at)).collect();
        let mut rows = Vec::with_capacity(pixels.len() * COUNT);
        for (row, column) in &pixels {
            features.push((row - region.0.start, column - region.1.start), &mut rows);
        }
        let inside =
            matrix(pixels.len(), rows).and_then(|rows| self.forest.predict(&rows)).map_err(AutoError::Forest)?;
        for (at, inside) in pixels.into_iter().zip(inside) {
            found[at] = 2.0 * inside - 1.0;
        }
        Ok(found)
    }
}

/// Pixels within this many widths of the expected edge are classified.
const FAR_WIDTHS: f32 = 4.0;

/// Training pixels: [`COUNT`] features each, and whether they lie inside.
#[derive(Debug, Default)]
struct Training {
    features: Vec<f32>,
    inside: Vec<f32>,
}

impl Training {
    /// Adds the pixels near an outline.
    fn add(&mut self, around: &Neighbourhood, mask: ArrayView2<'_, bool>, band: f32) {
        let near = signed_distance_with(mask, around.aspect).mapv(|distance| distance.abs() < band);
        let Some(region) = region_of(near.view()) else { return };
        let features = Features::new(around, region.clone());
        for ((row, column), _) in near.indexed_iter().filter(|(_, near)| **near) {
            features.push((row - region.0.start, column - region.1.start), &mut self.features);
            self.inside.push(f32::from(u8::from(mask[(row, column)])));
        }
    }

    /// At most as many pixels as are learned from, drawn at random.
    fn drawn(self, config: &PixelClassifierConfig) -> Self {
        if self.inside.len() <= config.max_pixels {
            return self;
        }
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let drawn = index::sample(&mut random, self.inside.len(), config.max_pixels);
        let mut kept = Self::default();
        for pixel in drawn {
            kept.features.extend_from_slice(&self.features[pixel * COUNT..(pixel + 1) * COUNT]);
            kept.inside.push(self.inside[pixel]);
        }
        kept
    }

    /// Trains the trees. Inside and outside count alike, however many pixels they have.
    fn forest(self, config: &PixelClassifierConfig) -> Result<Forest, AutoError> {
        let inside = self.inside.iter().sum::<f32>();
        let outside = self.inside.len() as f32 - inside;
        let weight = |label: &f32| f64::from(1.0 / if *label > 0.5 { inside } else { outside });
        let weights: Vec<_> = self.inside.iter().map(weight).collect();
        let parameters = ExtraTreesRegressorParameters::default()
            .with_n_trees(config.trees)
            .with_min_samples_leaf(config.min_leaf)
            .with_m(COUNT)
            .with_seed(config.seed);
        matrix(self.inside.len(), self.features)
            .and_then(|features| Forest::fit_with_weights(&features, &self.inside, &weights, parameters))
            .map_err(AutoError::Forest)
    }
}

/// One pixel a row.
fn matrix(pixels: usize, features: Vec<f32>) -> Result<DenseMatrix<f32>, smartcore::error::Failed> {
    DenseMatrix::new(pixels, COUNT, features, false)
}
