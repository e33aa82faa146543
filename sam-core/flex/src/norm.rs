//! Layer normalisation over the last axis.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill, fill_one},
    record::{Array, Kernel},
    simd::{sum, vectorised},
};

/// Layer norm: normalises each row to mean 0 and variance 1, then applies a scale and an offset for each column.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub(super) epsilon: f32,
}

/// Statistics of a row for the backward pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    mean: f32,
    /// 1 divided by the standard deviation.
    sharpness: f32,
}

impl Kernel<3> for Norm {
    type Saved = Vec<Moments>;

    fn forward(&self, [x, scale, offset]: &[Array; 3]) -> (Array, Vec<Moments>) {
        let (values, width) = (x.values(), x.width());
        let (scale, offset) = (scale.values(), offset.values());
        let ([output], moments) = fill(&blocks(values.len() / width, BLOCK_ROWS), [width], |block, [output]| {
            let rows = output.chunks_exact_mut(width).zip(values[block * BLOCK_ROWS * width..].chunks_exact(width));
            vectorised(
                #[inline(always)]
                || rows.map(|(output, x)| row_forward(output, x, &scale, &offset, self.epsilon)).collect::<Vec<_>>(),
            )
        });
        (Array::new(x.dims(), output), moments.concat())
    }

    fn backward(
        &self,
        [x, scale, offset]: &[Array; 3],
        moments: &Vec<Moments>,
        gradient: &Array,
        wanted: [bool; 3],
    ) -> [Option<Array>; 3] {
        let width = x.width();
        let (values, gradients) = (x.values(), gradient.values());
        let to_x = wanted[0].then(|| {
            let scale = scale.values();
            let output = fill_one(&blocks(values.len() / width, BLOCK_ROWS), width, |block, output| {
                let start = block * BLOCK_ROWS;
                let rows = output.chunks_exact_mut(width).zip(values[start * width..].chunks_exact(width));
                let rows = rows.zip(gradients[start * width..].chunks_exact(width)).zip(&moments[start..]);
                vectorised(
                    #[inline(always)]
                    || {
                        for (((output, x), gradient), moments) in rows {
                            row_backward(output, x, gradient, &scale, *moments);
                        }
                    },
                );
            });
            Array::new(x.dims(), output)
        });
        let to_columns = (wanted[1] || wanted[2]).then(|| {
            let (to_scale, to_offset) = columns_backward(&values, &gradients, moments);
            (Array::new(scale.dims(), to_scale), Array::new(offset.dims(), to_offset))
        });
        let (to_scale, to_offset) = to_columns.unzip();
        [to_x, to_scale, to_offset]
    }
}

/// Normalises a row.
#[inline(always)]
pub(super) fn row_forward(output: &mut [f32], x: &[f32], scale: &[f32], offset: &[f32], epsilon: f32) -> Moments {
    let width = x.len() as f32;
    let mean = sum(x, x, |x, _| x) / width;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / width;
    let sharpness = 1.0 / (variance + epsilon).sqrt();
    for (((output, &x), &scale), &offset) in output.iter_mut().zip(x).zip(scale).zip(offset) {
        *output = (x - mean) * sharpness * scale + offset;
    }
    Moments { mean, sharpness }
}

/// The gradient of a normalised row.
#[inline(always)]
pub(super) fn row_backward(
    output: &mut [f32],
    x: &[f32],
    gradient: &[f32],
    scale: &[f32],
    Moments { mean, sharpness }: Moments,
) {
    let width = x.len() as f32;
    for ((output, &gradient), &scale) in output.iter_mut().zip(gradient).zip(scale) {
        *output = gradient * scale;
    }
    let level = sum(output, x, |gradient, _| gradient) / width;
    let slope = sum(output, x, |gradient, x| gradient * (x - mean) * sharpness) / width;
    for (output, &x) in output.iter_mut().zip(x) {
        *output = sharpness * (*output - level - (x - mean) * sharpness * slope);
    }
}

/// The gradients of scale and offset.
pub(super) fn columns_backward(values: &[f32], gradients: &[f32], moments: &[Moments]) -> (Vec<f32>, Vec<f32>) {
    let width = values.len() / moments.len().max(1);
    let (mut to_scale, mut to_offset) = (vec![0.0; width], vec![0.0; width]);
    for ((x, gradient), moments) in values.chunks_exact(width).zip(gradients.chunks_exact(width)).zip(moments) {
        for column in 0..width {
            to_scale[column] += gradient[column] * (x[column] - moments.mean) * moments.sharpness;
            to_offset[column] += gradient[column];
        }
    }
    (to_scale, to_offset)
}
