//! Convolutions as matrix products, with gradients that are matrix products too.
//!
//! burn 0.21 computes the gradient of a convolution's weights as a convolution with kernels of the image's size. On a CPU this takes longer
//! than the rest of a step. Here, maps store the channels of a pixel together, so that a CPU's matrix product packs the small weights,
//! never the large map.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::Rng;

use crate::random::normal_pair;

/// A convolution with kernels of 1 x 1 pixel.
#[derive(Module, Debug)]
pub(crate) struct Pointwise<B: Backend> {
    /// `[input, output]`.
    weight: Param<Tensor<B, 2>>,
    /// `[1, output]`.
    bias: Param<Tensor<B, 2>>,
}

impl<B: Backend> Pointwise<B> {
    pub(crate) fn init(input: usize, output: usize, rng: &mut impl Rng, device: &B::Device) -> Self {
        let weight = kaiming([output, input], input, rng, device).transpose();
        Self { weight: Param::from_tensor(weight), bias: zeros(output, device) }
    }

    /// # Shapes
    /// - maps: `[n, pixels, input]`
    /// - output: `[n, pixels, output]`
    pub(crate) fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        let [_, pixels, _] = maps.dims();
        maps.matmul(self.weight.val().unsqueeze()) + everywhere(&self.bias, pixels)
    }
}

/// A convolution with kernels of 3 x 3 pixels and zero padding.
///
/// Every row of pixels is followed by a zero, so that a pixel's neighbours lie at fixed distances in memory.
#[derive(Module, Debug)]
pub(crate) struct Conv3x3<B: Backend> {
    /// Weights for the row above, the pixel's own row, and the row below: `[3 columns * input, output]`.
    lines: Vec<Param<Tensor<B, 2>>>,
    /// `[1, output]`.
    bias: Param<Tensor<B, 2>>,
    /// Height and width of the maps.
    size: [usize; 2],
}

impl<B: Backend> Conv3x3<B> {
    pub(crate) fn init(input: usize, output: usize, size: [usize; 2], rng: &mut impl Rng, device: &B::Device) -> Self {
        let weight = kaiming([output, 9 * input], 9 * input, rng, device).transpose();
        let line = |row: usize| Param::from_tensor(weight.clone().narrow(0, row * 3 * input, 3 * input));
        Self { lines: (0..3).map(line).collect(), bias: zeros(output, device), size }
    }

    /// # Shapes
    /// - maps: `[n, height * width, input]`
    /// - output: `[n, height * width, output]`
    #[expect(clippy::expect_used, reason = "a kernel has three lines")]
    pub(crate) fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        let ([n, _, input], [height, width], device) = (maps.dims(), self.size, maps.device());
        let line = width + 1;
        let zeros = |pixels: usize| Tensor::<B, 3>::zeros([n, pixels, input], &device);
        let lines = Tensor::cat(
            vec![maps.reshape([n, height, width, input]), Tensor::zeros([n, height, 1, input], &device)],
            2,
        );
        // A row of zeros above and below, and a pixel at both ends for the neighbours of the first and the last pixel.
        let padded = Tensor::cat(vec![zeros(line + 1), lines.reshape([n, height * line, input]), zeros(line + 1)], 1);
        let column = |shift: usize| padded.clone().narrow(1, shift, (height + 2) * line);
        let columns = Tensor::cat(vec![column(0), column(1), column(2)], 2);
        let weighted = |(row, weight): (usize, &Param<Tensor<B, 2>>)| {
            columns.clone().narrow(1, row * line, height * line).matmul(weight.val().unsqueeze())
        };
        let [_, output] = self.bias.dims();
        let sum = self.lines.iter().enumerate().map(weighted).reduce(|sum, more| sum + more);
        let sum = sum.expect("a kernel has three lines").reshape([n, height, line, output]).narrow(2, 0, width);
        sum.reshape([n, height * width, output]) + everywhere(&self.bias, height * width)
    }
}

/// A bias for every pixel, `[1, pixels, output]`, by a matrix product, so that its gradient is a matrix product too.
fn everywhere<B: Backend>(bias: &Param<Tensor<B, 2>>, pixels: usize) -> Tensor<B, 3> {
    let bias = bias.val();
    Tensor::ones([pixels, 1], &bias.device()).matmul(bias).unsqueeze()
}

/// Normal weights that keep the variance through a ReLU (He et al. 2015).
fn kaiming<B: Backend>(shape: [usize; 2], fan_in: usize, rng: &mut impl Rng, device: &B::Device) -> Tensor<B, 2> {
    let deviation = (2.0 / fan_in as f64).sqrt();
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = std::iter::repeat_with(|| normal_pair(rng))
        .flatten()
        .take(count)
        .map(|value| (value * deviation) as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn zeros<B: Backend>(output: usize, device: &B::Device) -> Param<Tensor<B, 2>> {
    Param::from_tensor(Tensor::zeros([1, output], device))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, module, ops::ConvOptions};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    type B = burn_flex::Flex;

    #[test]
    fn convolves_as_burn_does() {
        let device = burn_flex::FlexDevice;
        let (n, input, output, height, width) = (2, 3, 4, 5, 7);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let conv = Conv3x3::<B>::init(input, output, [height, width], &mut rng, &device);
        let maps = Tensor::<B, 4>::random([n, input, height, width], Distribution::Default, &device);
        let by_pixel = maps.clone().flatten::<3>(2, 3).swap_dims(1, 2);
        let found = conv.forward(by_pixel).swap_dims(1, 2).reshape([n, output, height, width]);

        // [rows, columns, input, output] to burn's [output, input, rows, columns].
        let weight = Tensor::cat(conv.lines.iter().map(Param::val).collect(), 0).reshape([3, 3, input, output]);
        let weight = weight.permute([3, 2, 0, 1]);
        let expected = module::conv2d(maps, weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        assert!(found.all_close(expected, Some(1e-5), Some(1e-5)));
    }
}
