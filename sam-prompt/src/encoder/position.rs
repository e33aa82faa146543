//! SAM's random Fourier position encoding.

use std::f32::consts::TAU;

use burn::{
    module::{Module, Param},
    tensor::{Distribution, Tensor, backend::Backend},
};

/// Random Fourier position encoding: `[sin(2 pi B v), cos(2 pi B v)]`, with `v` scaled to [-1, 1].
///
/// Source: `PositionEmbeddingRandom` in segment-anything's `modeling/prompt_encoder.py`; Tancik et al. 2020.
#[derive(Module, Debug)]
pub struct PositionEncoding<B: Backend> {
    /// The frequencies `B`: `[2, channels / 2]`. A buffer, never trained.
    pub(crate) positional_encoding_gaussian_matrix: Param<Tensor<B, 2>>,
}

impl<B: Backend> PositionEncoding<B> {
    /// Draws new frequencies from a standard normal distribution, for an encoding of `channels` values.
    pub fn new(channels: usize, device: &B::Device) -> Self {
        let frequencies = Tensor::random([2, channels / 2], Distribution::Normal(0.0, 1.0), device);
        Self { positional_encoding_gaussian_matrix: Param::from_tensor(frequencies).set_require_grad(false) }
    }

    /// Encodes coordinates given in pixels of an image of `height` x `width`.
    ///
    /// # Shapes
    /// - coordinates: `[n, tokens, 2]` as `(x, y)`
    /// - output: `[n, tokens, channels]`
    pub fn encode(&self, coordinates: Tensor<B, 3>, height: usize, width: usize) -> Tensor<B, 3> {
        let size = Tensor::<B, 1>::from_floats([width as f32, height as f32], &coordinates.device());
        let unit = coordinates / size.reshape([1, 1, 2]);
        self.encode_unit(unit)
    }

    /// Encodes the cell centres of a grid that spans the whole image.
    ///
    /// # Shapes
    /// - output: `[1, channels, height, width]`
    pub fn grid(&self, height: usize, width: usize) -> Tensor<B, 4> {
        let centres = (0..height)
            .flat_map(|row| (0..width).map(move |column| (row, column)))
            .flat_map(|(row, column)| [(column as f32 + 0.5) / width as f32, (row as f32 + 0.5) / height as f32])
            .collect::<Vec<f32>>();
        let device = self.positional_encoding_gaussian_matrix.val().device();
        let centres = Tensor::<B, 1>::from_floats(centres.as_slice(), &device).reshape([1, height * width, 2]);
        let encoded = self.encode_unit(centres);
        let channels = encoded.dims()[2];
        encoded.swap_dims(1, 2).reshape([1, channels, height, width])
    }

    /// Encodes coordinates in [0, 1].
    fn encode_unit(&self, unit: Tensor<B, 3>) -> Tensor<B, 3> {
        let frequencies = self.positional_encoding_gaussian_matrix.val().unsqueeze::<3>();
        let phase = (unit * 2.0 - 1.0).matmul(frequencies) * TAU;
        Tensor::cat(vec![phase.clone().sin(), phase.cos()], 2)
    }
}
