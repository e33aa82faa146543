//! Fourier position encoding.

use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::SapnetError;
use crate::random::normal_pair;
use crate::setters::setters;

/// Hyperparameters of a [`FourierPosition`]. The paper gives none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FourierPositionConfig {
    /// Number of frequencies, m; the encoding has twice as many channels.
    pub frequencies: usize,
    /// Standard deviation of the frequencies, sigma, in periods per unit of a coordinate that runs from -1 to 1. The
    /// similarity of two positions falls as `exp(-2 pi² sigma² d²)` with their distance d: with 0.5, to 1/e at 23 % of the
    /// image's width.
    pub sigma: f64,
    /// Seed of the frequencies. The same seed gives the same encoding on every backend; support and query must share it.
    pub seed: u64,
}

setters!(FourierPositionConfig { with_frequencies: frequencies: usize, with_sigma: sigma: f64, with_seed: seed: u64 });

impl Default for FourierPositionConfig {
    fn default() -> Self {
        Self { frequencies: 32, sigma: 0.5, seed: 0 }
    }
}

impl FourierPositionConfig {
    /// Checks every hyperparameter. [`FourierPositionConfig::init`] does it first.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if there is not at least one frequency or sigma is not finite and greater than 0.
    pub fn check(&self) -> Result<(), SapnetError> {
        ConfigError::check_count("position.frequencies", self.frequencies)?;
        Ok(ConfigError::check_positive("position.sigma", self.sigma)?)
    }

    /// Draws the frequencies, from `ChaCha8` and by the Box-Muller transform.
    ///
    /// # Errors
    /// As [`FourierPositionConfig::check`].
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<FourierPosition<B>, SapnetError> {
        self.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let gaussian = (0..self.frequencies).flat_map(|_| normal_pair(&mut rng)).map(|b| (b * self.sigma) as f32);
        let data = TensorData::new(gaussian.collect::<Vec<f32>>(), [2, self.frequencies]);
        FourierPosition::from_matrix(Tensor::from_data(data, device))
    }
}

/// Fourier position encoding: the sines and cosines of a pixel's coordinates along fixed random frequencies.
///
/// `PE(v) = [sin(2 pi B v), cos(2 pi B v)]` with `v = (x, y)` the pixel's centre, each coordinate from -1 to 1 across
/// the image, and B drawn from N(0, sigma²) once and never trained. The frequencies are constants of the module: a burn
/// record does not store them; the configuration's seed reproduces them.
///
/// # Source
/// Paper, Eq. 6; order of sine and cosine and of x and y as in segment-anything's `PositionEmbeddingRandom`
/// (`modeling/prompt_encoder.py`).
#[derive(Module, Debug)]
pub struct FourierPosition<B: Backend> {
    gaussian: Tensor<B, 2>,
}

impl<B: Backend> FourierPosition<B> {
    /// Makes an encoding from given frequencies, for example SAM's.
    ///
    /// # Shapes
    /// - gaussian: `[2, frequencies]`, the first row for x, the second for y
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] if there are not two rows, [`SapnetError::Empty`] if there is no frequency.
    pub fn from_matrix(gaussian: Tensor<B, 2>) -> Result<Self, SapnetError> {
        let [_, frequencies] = gaussian.dims();
        SapnetError::check_shape("frequencies", &[2, frequencies], &gaussian.dims())?;
        Ok(Self { gaussian })
    }

    /// Number of channels of the encoding, two per frequency.
    pub fn channels(&self) -> usize {
        2 * self.gaussian.dims()[1]
    }

    /// Encodes every pixel of a grid of `[height, width]`. Every pixel's vector has the length `sqrt(frequencies)`.
    ///
    /// # Shapes
    /// - output: `[2 * frequencies, height, width]`, all sines before all cosines
    pub fn forward(&self, size: [usize; 2]) -> Tensor<B, 3> {
        let [height, width] = size;
        let [_, frequencies] = self.gaussian.dims();
        let device = self.gaussian.device();
        let along = |row: usize| self.gaussian.clone().narrow(0, row, 1).reshape([frequencies, 1, 1]) * TAU;
        let x = centres(width, &device).reshape([1, 1, width]);
        let y = centres(height, &device).reshape([1, height, 1]);
        // Products and sums instead of a matrix product, because some devices round a matrix product to fewer bits.
        let phase = along(0) * x + along(1) * y;
        Tensor::cat(vec![phase.clone().sin(), phase.cos()], 0)
    }
}

/// Centres of a row of pixels that spans -1 to 1.
fn centres<B: Backend>(count: usize, device: &B::Device) -> Tensor<B, 1> {
    (Tensor::<B, 1, Int>::arange(0..count as i64, device).float() + 0.5) * (2.0 / count as f64) - 1.0
}
