//! The multi-layer perceptron of the mask decoder.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Tensor, activation::relu, backend::Backend},
};

use crate::kernels::linear;

/// Linear layers with ReLU between them.
///
/// Source: `MLP` in segment-anything's `modeling/mask_decoder.py`.
#[derive(Module, Debug)]
pub(crate) struct Mlp<B: Backend> {
    layers: Vec<Linear<B>>,
}

impl<B: Backend> Mlp<B> {
    /// Creates `depth` layers: `input` to `hidden`, ..., `hidden` to `output`.
    pub(crate) fn new(input: usize, hidden: usize, output: usize, depth: usize, device: &B::Device) -> Self {
        let width = |layer| if layer == 0 { input } else { hidden };
        let layers = (0..depth)
            .map(|layer| (width(layer), if layer + 1 == depth { output } else { hidden }))
            .map(|(from, to)| LinearConfig::new(from, to).init(device))
            .collect();
        Self { layers }
    }

    /// # Shapes
    /// - input: `[n, input]`; output: `[n, output]`
    pub(crate) fn forward(&self, input: Tensor<B, 2>) -> Tensor<B, 2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(input, |values, (index, layer)| {
            let values = linear(layer, values);
            if index < last { relu(values) } else { values }
        })
    }
}
