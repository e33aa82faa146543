//! Inverted bottleneck blocks of a convolutional stage: widen, depthwise convolution, narrow.
//!
//! The wide map is many times larger than the input and the output. It is never stored as a whole: some lines of some of its channels are
//! computed, convolved and narrowed while they are in the cache.

use super::{
    depthwise::{Depthwise, Weights},
    fill::{blocks, fill_one},
    gelu,
    matrix::{Matrix, MatrixMut},
    record::Array,
};

/// Lines of output pixels per task. The lines at a border between two tasks are widened by both.
const LINES: usize = 8;

/// Channels of the wide map that are computed at a time.
const CHANNELS: usize = 64;

/// Maps `[n, h, w, input]` to the block's output: affine map to the wide channels, GELU, depthwise convolution, GELU, affine map to the
/// output's channels. If `returns`, the input is added, followed by GELU.
pub(super) fn forward(
    [maps, widening, wide_bias, convolution, convolution_bias, narrowing, bias]: &[Array; 7],
    stride: usize,
    returns: bool,
) -> Array {
    let &[samples, height, width, _] = maps.dims() else { unreachable!("maps have four dimensions") };
    let depthwise = Depthwise { side: convolution.dims()[0].isqrt(), stride, size: [height, width] };
    let (x, widening, narrowing) = (maps.matrix(), widening.matrix(), narrowing.matrix());
    let (wide, channels, found) = (widening.columns(), narrowing.columns(), depthwise.output_size());
    let (wide_bias, taps, convolution_bias) = (wide_bias.values(), convolution.values(), convolution_bias.values());
    let (bias, values) = (bias.values(), maps.values());
    let lines = blocks(found[0], LINES);
    let tasks = lines.len();
    let output = fill_one(&lines.repeat(samples), found[1] * channels, |task, output| {
        let (sample, first) = (task / tasks, task % tasks * LINES);
        let pixels = output.len() / channels;
        let [from, to] = depthwise.lines(first, pixels / found[1]);
        let seen = x.slice_rows((sample * height + from) * width..(sample * height + to) * width);
        for row in output.chunks_exact_mut(channels) {
            row.copy_from_slice(&bias);
        }
        let (mut widened, mut convolved) = (vec![0.0; seen.rows() * CHANNELS], vec![0.0; pixels * CHANNELS]);
        for start in (0..wide).step_by(CHANNELS) {
            let part = start..wide.min(start + CHANNELS);
            let (widened, convolved) =
                (&mut widened[..seen.rows() * part.len()], &mut convolved[..pixels * part.len()]);
            for row in widened.chunks_exact_mut(part.len()) {
                row.copy_from_slice(&wide_bias[part.clone()]);
            }
            MatrixMut::new(widened, seen.rows(), part.len()).add(1.0, seen, widening.slice_columns(part.clone()));
            gelu::activate(widened);
            let weights = Weights { taps: &taps[start..], step: wide, bias: &convolution_bias[part.clone()] };
            depthwise.convolve(convolved, first, widened, from, weights);
            gelu::activate(convolved);
            let convolved = Matrix::new(convolved, pixels, part.len());
            MatrixMut::new(output, pixels, channels).add(1.0, convolved, narrowing.slice_rows(part));
        }
        if returns {
            let start = (sample * found[0] + first) * found[1] * channels;
            output.iter_mut().zip(&values[start..]).for_each(|(output, value)| *output += value);
            gelu::activate(output);
        }
    });
    Array::new(&[samples, found[0], found[1], channels], output)
}
