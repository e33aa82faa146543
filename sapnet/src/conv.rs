//! Convolutions as matrix products, with gradients that are matrix products too.
//!
//! burn 0.21 computes the gradient of a convolution's weights as a convolution with kernels of the image's size, which on
//! a CPU takes longer than all the rest of a step.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::Rng;

use crate::random::normal_pair;

/// A convolution of 1 x 1 pixel.
#[derive(Module, Debug)]
pub(crate) struct Pointwise<B: Backend> {
    /// `[output, input]`.
    weight: Param<Tensor<B, 2>>,
    /// `[output, 1]`.
    bias: Param<Tensor<B, 2>>,
}

impl<B: Backend> Pointwise<B> {
    pub(crate) fn init(input: usize, output: usize, rng: &mut impl Rng, device: &B::Device) -> Self {
        Self { weight: kaiming([output, input], input, rng, device), bias: zeros(output, device) }
    }

    /// # Shapes
    /// - maps: `[n, input, pixels]`
    /// - output: `[n, output, pixels]`
    pub(crate) fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        self.weight.val().unsqueeze::<3>().matmul(maps.clone()) + everywhere(&self.bias, &maps)
    }
}

/// A convolution of 3 x 3 pixels on maps of one size, with zeros around them.
///
/// Columns are shifted before the weights, rows are shifted and summed behind them: so no map is copied nine times.
#[derive(Module, Debug)]
pub(crate) struct Conv3x3<B: Backend> {
    /// `[output * 3 rows, 3 columns * input]`: the rows of the kernel along the first, its columns along the second.
    weight: Param<Tensor<B, 2>>,
    /// `[output, 1]`.
    bias: Param<Tensor<B, 2>>,
    /// Maps times this are their left neighbours: `[width, width]`.
    left: Tensor<B, 2>,
    /// Its transpose: their right neighbours.
    right: Tensor<B, 2>,
    /// This times three maps, one below the other, is the sum of the first's upper neighbours, the second itself and the
    /// third's lower neighbours: `[height, 3 * height]`.
    rows: Tensor<B, 2>,
}

impl<B: Backend> Conv3x3<B> {
    pub(crate) fn init(
        input: usize,
        output: usize,
        [height, width]: [usize; 2],
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        let left = neighbours(width, 1, device);
        let rows =
            vec![neighbours(height, 1, device).transpose(), Tensor::eye(height, device), neighbours(height, 1, device)];
        Self {
            weight: kaiming([3 * output, 3 * input], 9 * input, rng, device),
            bias: zeros(output, device),
            right: left.clone().transpose(),
            left,
            rows: Tensor::cat(rows, 1),
        }
    }

    /// # Shapes
    /// - maps: `[n, input, height * width]`
    /// - output: `[n, output, height * width]`
    pub(crate) fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, input, pixels] = maps.dims();
        let ([height, _], [width, _]) = (self.rows.dims(), self.left.dims());
        let lines = maps.clone().reshape([n * input * height, width]);
        let shifted = |by: &Tensor<B, 2>| lines.clone().matmul(by.clone()).reshape([n, input, pixels]);
        let columns = Tensor::cat(vec![shifted(&self.left), maps.clone(), shifted(&self.right)], 1);
        let weighted = self.weight.val().unsqueeze::<3>().matmul(columns);
        let output = weighted.dims()[1] / 3;
        let summed = self.rows.clone().unsqueeze::<3>().matmul(weighted.reshape([n * output, 3 * height, width]));
        summed.reshape([n, output, pixels]) + everywhere(&self.bias, &maps)
    }
}

/// A bias on every pixel, `[1, output, pixels]`; a matrix product, whose gradient is one too.
fn everywhere<B: Backend>(bias: &Param<Tensor<B, 2>>, maps: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [.., pixels] = maps.dims();
    bias.val().matmul(Tensor::ones([1, pixels], &maps.device())).unsqueeze()
}

/// A row times this is its left neighbours, `shift` pixels away, with zeros where there is none.
fn neighbours<B: Backend>(count: usize, shift: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut matrix = vec![0.0_f32; count * count];
    for pixel in shift..count {
        matrix[(pixel - shift) * count + pixel] = 1.0;
    }
    Tensor::from_data(TensorData::new(matrix, [count, count]), device)
}

/// Normal weights that keep the variance through a ReLU (He et al. 2015).
fn kaiming<B: Backend>(
    shape: [usize; 2],
    fan_in: usize,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, 2>> {
    let deviation = (2.0 / fan_in as f64).sqrt();
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = std::iter::repeat_with(|| normal_pair(rng))
        .flatten()
        .take(count)
        .map(|value| (value * deviation) as f32)
        .collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

fn zeros<B: Backend>(output: usize, device: &B::Device) -> Param<Tensor<B, 2>> {
    Param::from_tensor(Tensor::zeros([output, 1], device))
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
        let found = conv.forward(maps.clone().reshape([n, input, height * width])).reshape([n, output, height, width]);

        // [output, rows, columns, input] to burn's [output, input, rows, columns].
        let weight = conv.weight.val().reshape([output, 3, 3, input]).permute([0, 3, 1, 2]);
        let expected = module::conv2d(maps, weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        assert!(found.all_close(expected, Some(1e-5), Some(1e-5)));
    }
}
