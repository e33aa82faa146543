//! Depthwise convolutions on maps with contiguous channels.

use super::{
    fill::{blocks, fill_one},
    record::Array,
    simd::vectorised,
};

/// Number of channels whose sums are kept in registers.
const LANES: usize = 32;

/// Lines of output pixels per task.
const LINES: usize = 4;

/// Depthwise convolution of maps `[n, h, w, channels]` with weights `[side * side, channels]` and a bias `[channels]`. Zero padding keeps
/// the maps' size at a stride of 1.
pub(super) fn forward([maps, weight, bias]: &[Array; 3], stride: usize) -> Array {
    let &[samples, height, width, channels] = maps.dims() else { unreachable!("maps have four dimensions") };
    let convolution = Depthwise { side: weight.dims()[0].isqrt(), stride, size: [height, width] };
    let found = convolution.output_size();
    let (maps, weight, bias) = (maps.values(), weight.values(), bias.values());
    let weights = Weights { taps: &weight, step: channels, bias: &bias };
    let lines = blocks(found[0], LINES);
    let tasks = lines.len();
    let output = fill_one(&lines.repeat(samples), found[1] * channels, |task, output| {
        let map = &maps[task / tasks * height * width * channels..][..height * width * channels];
        convolution.convolve(output, task % tasks * LINES, map, 0, weights);
    });
    Array::new(&[samples, found[0], found[1], channels], output)
}

/// Size of a depthwise convolution with zero padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depthwise {
    pub(super) side: usize,
    pub(super) stride: usize,
    /// Height and width of the map.
    pub(super) size: [usize; 2],
}

/// Weights and bias of some channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    /// The weights of all taps, starting at the first of the channels.
    pub(super) taps: &'a [f32],
    /// Distance from one tap to the next.
    pub(super) step: usize,
    /// The bias; its length is the number of channels.
    pub(super) bias: &'a [f32],
}

impl Depthwise {
    pub(super) fn output_size(&self) -> [usize; 2] {
        self.size.map(|length| length.div_ceil(self.stride))
    }

    /// The range of map lines that `count` output lines depend on, from `first` on; the end is exclusive.
    pub(super) fn lines(&self, first: usize, count: usize) -> [usize; 2] {
        let (margin, last) = (self.side / 2, (first + count - 1) * self.stride);
        [(first * self.stride).saturating_sub(margin), (last + margin + 1).min(self.size[0])]
    }

    /// Computes output lines starting at `first`, from map lines starting at `map_first`.
    pub(super) fn convolve(
        &self,
        output: &mut [f32],
        first: usize,
        map: &[f32],
        map_first: usize,
        weights: Weights<'_>,
    ) {
        let (width, channels, margin) = (self.size[1], weights.bias.len(), self.side / 2);
        let columns = self.output_size()[1];
        // Columns whose taps are all inside the map. There, the taps are those of the first such column, shifted.
        let inner = margin.div_ceil(self.stride)..width.saturating_sub(margin).div_ceil(self.stride);
        vectorised(
            #[inline(always)]
            || {
                for (line, output) in output.chunks_exact_mut(columns * channels).enumerate() {
                    let taps = |column| self.taps(first + line, column, map_first, channels, weights.step);
                    let shared = taps(inner.start);
                    for (column, pixel) in output.chunks_exact_mut(channels).enumerate() {
                        if inner.contains(&column) {
                            let further = (column - inner.start) * self.stride * channels;
                            sum_taps(pixel, &map[further..], weights, &shared);
                        } else {
                            sum_taps(pixel, map, weights, &taps(column));
                        }
                    }
                }
            },
        );
    }

    /// Offsets of the taps inside the map, for one output pixel: in the map and in the weights.
    fn taps(&self, row: usize, column: usize, map_first: usize, channels: usize, step: usize) -> Vec<(usize, usize)> {
        let [height, width] = self.size;
        let meet = |at: usize, tap: usize, length: usize| {
            (at * self.stride + tap).checked_sub(self.side / 2).filter(|&at| at < length)
        };
        let rows = (0..self.side).filter_map(|tap| Some((tap, meet(row, tap, height)?)));
        rows.flat_map(|(down, row)| {
            let columns = (0..self.side).filter_map(move |tap| Some((tap, meet(column, tap, width)?)));
            columns.map(move |(right, column)| {
                (((row - map_first) * width + column) * channels, (down * self.side + right) * step)
            })
        })
        .collect()
    }
}

/// Computes one output pixel from the offsets of its taps in the map and in the weights.
#[inline(always)]
fn sum_taps(pixel: &mut [f32], map: &[f32], weights: Weights<'_>, taps: &[(usize, usize)]) {
    let Weights { taps: weight, bias, .. } = weights;
    let mut chunks = pixel.chunks_exact_mut(LANES);
    let mut first = 0;
    for chunk in &mut chunks {
        let mut sums = [0.0; LANES];
        sums.copy_from_slice(&bias[first..first + LANES]);
        for &(at, tap) in taps {
            let (map, weight) = (&map[at + first..][..LANES], &weight[tap + first..][..LANES]);
            for lane in 0..LANES {
                sums[lane] += map[lane] * weight[lane];
            }
        }
        chunk.copy_from_slice(&sums);
        first += LANES;
    }
    for (channel, value) in chunks.into_remainder().iter_mut().enumerate() {
        let channel = first + channel;
        let products = taps.iter().map(|&(at, tap)| map[at + channel] * weight[tap + channel]);
        *value = bias[channel] + products.sum::<f32>();
    }
}
