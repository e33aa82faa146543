//! The neck: from the encoder's width to the embedding's channels.

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::LayerNorm2d;

use crate::kernels::layer_norm_2d;

/// The neck: two convolutions without bias, each followed by a normalisation over channels.
#[derive(Module, Debug)]
pub struct Neck<B: Backend> {
    conv1: Conv2d<B>,
    norm1: LayerNorm2d<B>,
    conv2: Conv2d<B>,
    norm2: LayerNorm2d<B>,
}

impl<B: Backend> Neck<B> {
    /// Creates a neck with random weights.
    pub(super) fn new(input: usize, output: usize, device: &B::Device) -> Self {
        Self {
            conv1: Conv2dConfig::new([input, output], [1, 1]).with_bias(false).init(device),
            norm1: LayerNorm2d::new(output, device),
            conv2: Conv2dConfig::new([output, output], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(device),
            norm2: LayerNorm2d::new(output, device),
        }
    }

    /// # Shapes
    /// - input: `[n, input, h, w]`; output: `[n, output, h, w]`
    pub fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        // Encoders keep each pixel's channels contiguous. In this layout a 1 x 1 convolution is a matrix product, and a norm is one pass.
        let [output, input, ..] = self.conv1.weight.dims();
        let weight = self.conv1.weight.val().reshape([output, input]).transpose();
        let narrowed = maps.permute([0, 2, 3, 1]).matmul(weight.unsqueeze());
        let narrowed = layer_norm_2d(&self.norm1, narrowed).permute([0, 3, 1, 2]);
        layer_norm_2d(&self.norm2, self.conv2.forward(narrowed).permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
    }
}
