//! Layer normalisation over the channels of a map.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};

/// Normalises each pixel of a map over its channels.
///
/// Source: `LayerNorm2d` in segment-anything's `modeling/common.py`, epsilon 1e-6.
#[derive(Module, Debug)]
pub struct LayerNorm2d<B: Backend> {
    /// Scale: `[channels]`.
    pub weight: Param<Tensor<B, 1>>,
    /// Offset: `[channels]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> LayerNorm2d<B> {
    /// Added to the variance.
    pub const EPSILON: f64 = 1e-6;

    /// A normalisation with scale 1 and offset 0 for maps of `channels` channels.
    pub fn new(channels: usize, device: &B::Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
        }
    }

    /// Normalises maps.
    ///
    /// # Shapes
    /// - input and output: `[n, channels, height, width]`
    pub fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let centred = maps.clone() - maps.mean_dim(1);
        let variance = centred.clone().powi_scalar(2).mean_dim(1);
        let channels = centred.dims()[1];
        let per_channel = |parameter: &Param<Tensor<B, 1>>| parameter.val().reshape([1, channels, 1, 1]);
        centred / (variance + Self::EPSILON).sqrt() * per_channel(&self.weight) + per_channel(&self.bias)
    }
}
