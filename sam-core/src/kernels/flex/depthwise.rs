//! Convolutions of each channel by itself, on maps whose channels lie side by side.

use super::{
    fill::{blocks, fill_one},
    record::Array,
    simd::vectorised,
};

/// Channels whose sums are kept in registers.
const LANES: usize = 32;

/// Lines of output pixels of a task.
const LINES: usize = 4;

/// Maps `[n, h, w, channels]`, weights `[side * side, channels]` and a bias `[channels]` to maps, with zeros around them so that a stride
/// of 1 keeps their size; each line is finished while it is in the cache.
pub(super) fn forward([maps, weight, bias]: &[Array; 3], stride: usize, finish: impl Fn(&mut [f32]) + Sync) -> Array {
    let &[samples, height, width, channels] = maps.dims() else { unreachable!("maps have four dimensions") };
    let side = weight.dims()[0].isqrt();
    let (margin, found) = (side / 2, [height.div_ceil(stride), width.div_ceil(stride)]);
    let (maps, weight, bias) = (maps.values(), weight.values(), bias.values());
    // Where a kernel's row or column meets the map, seen from an output pixel.
    let meet = |at: usize, tap: usize, length: usize| (at * stride + tap).checked_sub(margin).filter(|&at| at < length);
    let lines = blocks(samples * found[0], LINES);
    let output = fill_one(&lines, found[1] * channels, |block, output| {
        vectorised(
            #[inline(always)]
            || {
                let mut taps = Vec::with_capacity(side * side);
                for (index, line) in output.chunks_exact_mut(found[1] * channels).enumerate() {
                    let line_index = block * LINES + index;
                    let (sample, row) = (line_index / found[0], line_index % found[0]);
                    for (column, pixel) in line.chunks_exact_mut(channels).enumerate() {
                        taps.clear();
                        for tap in 0..side * side {
                            let from = (meet(row, tap / side, height), meet(column, tap % side, width));
                            if let (Some(row), Some(column)) = from {
                                taps.push((((sample * height + row) * width + column) * channels, tap * channels));
                            }
                        }
                        convolve(pixel, &maps, &weight, &bias, &taps);
                    }
                }
            },
        );
        finish(output);
    });
    Array::new(&[samples, found[0], found[1], channels], output)
}

/// One pixel of the output, from where its taps lie in the maps and in the weights.
#[inline(always)]
fn convolve(pixel: &mut [f32], maps: &[f32], weight: &[f32], bias: &[f32], taps: &[(usize, usize)]) {
    let mut chunks = pixel.chunks_exact_mut(LANES);
    let mut first = 0;
    for chunk in &mut chunks {
        let mut sums = [0.0; LANES];
        sums.copy_from_slice(&bias[first..first + LANES]);
        for &(map, tap) in taps {
            let (map, weight) = (&maps[map + first..][..LANES], &weight[tap + first..][..LANES]);
            for lane in 0..LANES {
                sums[lane] += map[lane] * weight[lane];
            }
        }
        chunk.copy_from_slice(&sums);
        first += LANES;
    }
    for (channel, value) in chunks.into_remainder().iter_mut().enumerate() {
        let channel = first + channel;
        let products = taps.iter().map(|&(map, tap)| maps[map + channel] * weight[tap + channel]);
        *value = bias[channel] + products.sum::<f32>();
    }
}
