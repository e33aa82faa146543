//! The mask decoder's upscaling: from the transformer's pixels to logits at four times their resolution.
//!
//! The intermediate results would be the largest arrays of the whole decoder: each pixel becomes 16 pixels with an eighth of its channels.
//! So each block of pixels goes through all steps while it is in the cache, and no intermediate result is stored. The backward pass
//! recomputes them, which is faster than reading them from memory.

use super::{
    fill::{blocks, fill, fill_one},
    gelu,
    matrix::{Matrix, MatrixMut},
    norm::{self, Moments},
    record::{Array, Kernel},
    simd::vectorised,
};

/// Image pixels per block.
const BLOCK: usize = 128;

/// The upscaling: affine map, layer norm, GELU, affine map, GELU, and the product with each mask's weights.
///
/// Inputs: pixels `[n, pixels, channels]`; weight `[channels, 4 * middle]` and bias `[4 * middle]` of the first doubling; scale and
/// offset `[middle]` of the norm; weight `[middle, 4 * last]` and bias `[4 * last]` of the second doubling; the masks' weights
/// `[n, masks, last]`. Output: `[n, 16 * pixels, masks]`.
#[derive(Debug, Clone)]
pub(super) struct Upscale {
    pub(super) epsilon: f32,
}

impl Kernel<8> for Upscale {
    type Saved = ();

    fn forward(&self, inputs: &[Array; 8]) -> (Array, ()) {
        let sizes = Sizes::of(inputs);
        let layers = Layers { sizes, epsilon: self.epsilon, inputs };
        let output = fill_one(&sizes.blocks(), 16 * sizes.masks, |block, output| {
            let (pixels, masks) = (layers.pixels(block), layers.masks(block));
            let steps = layers.forward(pixels);
            let mut last = steps.doubled_twice;
            gelu::activate(&mut last);
            let rows = 16 * pixels.rows();
            MatrixMut::new(output, rows, sizes.masks).assign(
                1.0,
                Matrix::new(&last, rows, sizes.last),
                masks.transposed(),
            );
        });
        (Array::new(&[sizes.samples, 16 * sizes.pixels, sizes.masks], output), ())
    }

    fn backward(&self, inputs: &[Array; 8], (): &(), gradient: &Array, wanted: [bool; 8]) -> [Option<Array>; 8] {
        let sizes = Sizes::of(inputs);
        let layers = Layers { sizes, epsilon: self.epsilon, inputs };
        let gradient = gradient.values();
        let of_weights = wanted[1..7].contains(&true);
        let ([to_pixels], partial) = fill(&sizes.blocks(), [sizes.channels], |block, [to_pixels]| {
            let rows = 16 * layers.pixels(block).rows();
            let start = 16 * sizes.first_pixel(block) * sizes.masks;
            let gradient = Matrix::new(&gradient[start..start + rows * sizes.masks], rows, sizes.masks);
            layers.backward(block, gradient, to_pixels, of_weights)
        });
        let mut sums: [Vec<f32>; 8] = inputs.each_ref().map(|input| vec![0.0; input.dims().iter().product()]);
        for (block, (to_masks, to_weights)) in partial.into_iter().enumerate() {
            accumulate(&mut sums[7][sizes.sample(block) * sizes.masks * sizes.last..], &to_masks);
            for (sum, part) in sums[1..7].iter_mut().zip(to_weights.iter().flatten()) {
                accumulate(sum, part);
            }
        }
        sums[0] = to_pixels;
        let mut sums = sums.into_iter().zip(wanted);
        inputs.each_ref().map(|input| {
            let (sum, wanted) = sums.next()?;
            wanted.then(|| Array::new(input.dims(), sum))
        })
    }
}

fn accumulate(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

/// The sum of each column.
fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    values.chunks_exact(columns).for_each(|row| accumulate(&mut sums, row));
    sums
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    samples: usize,
    pixels: usize,
    channels: usize,
    /// Number of channels after the first doubling.
    middle: usize,
    /// Number of channels after the second doubling.
    last: usize,
    masks: usize,
}

impl Sizes {
    fn of(inputs: &[Array; 8]) -> Self {
        let (pixels, masks) = (inputs[0].dims(), inputs[7].dims());
        Self {
            samples: pixels[0],
            pixels: pixels[1],
            channels: pixels[2],
            middle: inputs[3].width(),
            last: masks[2],
            masks: masks[1],
        }
    }

    fn blocks(&self) -> Vec<usize> {
        blocks(self.pixels, BLOCK).repeat(self.samples)
    }

    fn sample(&self, block: usize) -> usize {
        block / self.pixels.div_ceil(BLOCK)
    }

    /// The first pixel of a block, counted over all samples.
    fn first_pixel(&self, block: usize) -> usize {
        self.sample(block) * self.pixels + block % self.pixels.div_ceil(BLOCK) * BLOCK
    }
}

/// Intermediate results of the forward pass.
struct Steps {
    /// After the first affine map: `[4 * pixels, middle]`.
    doubled: Vec<f32>,
    moments: Vec<Moments>,
    /// After the norm: `[4 * pixels, middle]`.
    normalised: Vec<f32>,
    /// After the first GELU: `[4 * pixels, middle]`.
    activated: Vec<f32>,
    /// After the second affine map: `[16 * pixels, last]`.
    doubled_twice: Vec<f32>,
}

/// The inputs, and the computation on one block of pixels.
struct Layers<'a> {
    sizes: Sizes,
    epsilon: f32,
    inputs: &'a [Array; 8],
}

impl Layers<'_> {
    fn pixels(&self, block: usize) -> Matrix<'_> {
        let first = self.sizes.first_pixel(block);
        let in_sample = first % self.sizes.pixels;
        self.inputs[0].matrix().slice_rows(first..first + BLOCK.min(self.sizes.pixels - in_sample))
    }

    fn masks(&self, block: usize) -> Matrix<'_> {
        let first = self.sizes.sample(block) * self.sizes.masks;
        self.inputs[7].matrix().slice_rows(first..first + self.sizes.masks)
    }

    fn forward(&self, pixels: Matrix<'_>) -> Steps {
        let [_, weight, bias, scale, offset, second_weight, second_bias, _] = self.inputs;
        let Sizes { middle, .. } = self.sizes;
        let rows = 4 * pixels.rows();
        let doubled = affine(pixels, weight, bias);
        let mut normalised = vec![0.0; doubled.len()];
        let (scale, offset) = (scale.values(), offset.values());
        let mut activated = Vec::new();
        let mut moments = Vec::with_capacity(rows);
        vectorised(
            #[inline(always)]
            || {
                for (output, row) in normalised.chunks_exact_mut(middle).zip(doubled.chunks_exact(middle)) {
                    moments.push(norm::row_forward(output, row, &scale, &offset, self.epsilon));
                }
                activated.extend_from_slice(&normalised);
                gelu::apply(&mut activated);
            },
        );
        let doubled_twice = affine(Matrix::new(&activated, rows, middle), second_weight, second_bias);
        Steps { doubled, moments, normalised, activated, doubled_twice }
    }

    /// The gradients of the masks' weights and of the second affine map's output, for one block.
    fn backward_of_masks(&self, block: usize, gradient: Matrix<'_>, steps: &Steps) -> [Vec<f32>; 2] {
        let Sizes { last, masks, .. } = self.sizes;
        let all = gradient.rows();
        let mut final_values = steps.doubled_twice.clone();
        gelu::activate(&mut final_values);
        let mut to_masks = vec![0.0; masks * last];
        MatrixMut::new(&mut to_masks, masks, last).assign(
            1.0,
            gradient.transposed(),
            Matrix::new(&final_values, all, last),
        );
        let mut to_second = final_values;
        MatrixMut::new(&mut to_second, all, last).assign(1.0, gradient, self.masks(block));
        vectorised(
            #[inline(always)]
            || gelu::backward(&mut to_second, &steps.doubled_twice),
        );
        [to_masks, to_second]
    }

    /// Writes the pixels' gradient. Returns the gradient of the masks' weights and, if needed, those of the other inputs.
    fn backward(
        &self,
        block: usize,
        gradient: Matrix<'_>,
        to_pixels: &mut [f32],
        of_weights: bool,
    ) -> (Vec<f32>, Option<[Vec<f32>; 6]>) {
        let [_, weight, _, scale, _, second_weight, ..] = self.inputs;
        let Sizes { channels, middle, last, .. } = self.sizes;
        let pixels = self.pixels(block);
        let rows = 4 * pixels.rows();
        let steps = self.forward(pixels);
        let [to_masks, to_second] = self.backward_of_masks(block, gradient, &steps);

        let to_second = Matrix::new(&to_second, rows, 4 * last);
        let mut to_normalised = vec![0.0; rows * middle];
        MatrixMut::new(&mut to_normalised, rows, middle).assign(1.0, to_second, second_weight.matrix().transposed());
        let mut to_first = vec![0.0; rows * middle];
        let scale = scale.values();
        vectorised(
            #[inline(always)]
            || {
                gelu::backward(&mut to_normalised, &steps.normalised);
                let rows = to_first.chunks_exact_mut(middle).zip(steps.doubled.chunks_exact(middle));
                for (((output, x), gradient), moments) in
                    rows.zip(to_normalised.chunks_exact(middle)).zip(&steps.moments)
                {
                    norm::row_backward(output, x, gradient, &scale, *moments);
                }
            },
        );
        let to_first_rows = Matrix::new(&to_first, pixels.rows(), 4 * middle);
        MatrixMut::new(to_pixels, pixels.rows(), channels).assign(1.0, to_first_rows, weight.matrix().transposed());

        let to_weights = of_weights.then(|| {
            let mut to_weight = vec![0.0; channels * 4 * middle];
            MatrixMut::new(&mut to_weight, channels, 4 * middle).assign(1.0, pixels.transposed(), to_first_rows);
            let mut to_second_weight = vec![0.0; middle * 4 * last];
            let activated = Matrix::new(&steps.activated, rows, middle);
            MatrixMut::new(&mut to_second_weight, middle, 4 * last).assign(1.0, activated.transposed(), to_second);
            let (to_scale, to_offset) = norm::columns_backward(&steps.doubled, &to_normalised, &steps.moments);
            [
                to_weight,
                column_sums(&to_first, 4 * middle),
                to_scale,
                to_offset,
                to_second_weight,
                column_sums(to_second.values(), 4 * last),
            ]
        });
        (to_masks, to_weights)
    }
}

/// `x W + b` of one block.
fn affine(x: Matrix<'_>, weight: &Array, bias: &Array) -> Vec<f32> {
    let bias = bias.values();
    let mut output = bias.repeat(x.rows());
    MatrixMut::new(&mut output, x.rows(), bias.len()).add(1.0, x, weight.matrix());
    output
}
