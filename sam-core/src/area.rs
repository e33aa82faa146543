//! Resizing of 8-bit images, bit-exact with OpenCV's `INTER_AREA`.
//!
//! There are three cases. If both sides shrink by integer factors, whole pixels are summed. If both shrink by other factors, sums are
//! weighted in `f32`. If a side grows, pixels are interpolated between neighbours in fixed-point arithmetic. Source: the behaviour of
//! `cv::resize` (`modules/imgproc/src/resize.cpp`) in its portable form, which does not fuse multiply and add.

use ndarray::{Array3, ArrayView3};

/// Resizes an image to `height` x `width` pixels.
///
/// # Shapes
/// - pixels: `[rows, columns, channels]`, with no side of 0; output: `[height, width, channels]`
#[expect(clippy::expect_used, reason = "the length is the product of the sides")]
pub(crate) fn resize(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (rows, columns, channels) = pixels.dim();
    let (down, across) = (Axis::new(rows, height), Axis::new(columns, width));
    let image = Image { levels: &pixels.iter().copied().collect::<Vec<_>>(), columns, channels };
    let levels = match (down.whole_scale(), across.whole_scale()) {
        _ if down.scale < 1.0 || across.scale < 1.0 => image.interpolated(&down, &across),
        (Some(lines), Some(line)) => image.averaged([height, width], [lines, line]),
        _ => image.weighted(&down, &across),
    };
    Array3::from_shape_vec((height, width, channels), levels).expect("each way makes rows of the new size")
}

/// One axis: its length before and after resizing.
struct Axis {
    from: usize,
    to: usize,
    /// Length after resizing divided by length before, as OpenCV computes it.
    inverse: f64,
    /// Source pixels per target pixel: the reciprocal of `inverse`, whose last bit may differ from that of the quotient.
    scale: f64,
}

impl Axis {
    fn new(from: usize, to: usize) -> Self {
        let inverse = to as f64 / from as f64;
        Self { from, to, inverse, scale: 1.0 / inverse }
    }

    /// The scale, if it is an integer up to floating-point precision.
    fn whole_scale(&self) -> Option<usize> {
        let whole = self.scale.round_ties_even();
        ((self.scale - whole).abs() < f64::EPSILON).then_some(whole as usize)
    }

    /// For each target pixel, the source pixels under its area and the weight of each.
    fn shares(&self) -> Vec<Vec<(usize, f32)>> {
        (0..self.to).map(|target| self.shares_of(target)).collect()
    }

    fn shares_of(&self, target: usize) -> Vec<(usize, f32)> {
        /// Smaller parts of a pixel are ignored.
        const LEAST: f64 = 1e-3;
        let start = target as f64 * self.scale;
        let end = start + self.scale;
        let extent = self.scale.min(self.from as f64 - start);
        let last = (end.floor() as usize).min(self.from - 1);
        let first = (start.ceil() as usize).min(last);
        let mut shares = Vec::with_capacity(last + 2 - first);
        if first as f64 - start > LEAST {
            shares.push((first - 1, ((first as f64 - start) / extent) as f32));
        }
        shares.extend((first..last).map(|source| (source, (1.0 / extent) as f32)));
        let rest = end - last as f64;
        if rest > LEAST {
            shares.push((last, (rest.min(1.0).min(extent) / extent) as f32));
        }
        shares
    }

    /// For each target pixel, the first of its two neighbouring source pixels, and the weight of the second.
    fn neighbours(&self) -> impl Iterator<Item = (usize, f32)> {
        (0..self.to).map(|target| {
            let first = (target as f64 * self.scale).floor();
            let beyond = ((target as f64 + 1.0) - (first + 1.0) * self.inverse) as f32;
            let weight = if beyond <= 0.0 { 0.0 } else { beyond - beyond.floor() };
            (first as usize, weight)
        })
    }
}

/// Pixels in rows, with contiguous channels.
struct Image<'a> {
    levels: &'a [u8],
    columns: usize,
    channels: usize,
}

impl Image<'_> {
    fn row(&self, row: usize) -> &[u8] {
        let length = self.columns * self.channels;
        &self.levels[row * length..][..length]
    }

    /// Means of blocks of whole pixels.
    fn averaged(&self, [height, width]: [usize; 2], [lines, line]: [usize; 2]) -> Vec<u8> {
        let factor = 1.0 / (lines * line) as f32;
        let mut target = Vec::with_capacity(height * width * self.channels);
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            for channel in 0..self.channels {
                let block = (row * lines..(row + 1) * lines).flat_map(|row| {
                    self.row(row)[column * line * self.channels + channel..].iter().step_by(self.channels).take(line)
                });
                let sum: u32 = block.map(|&level| u32::from(level)).sum();
                // At half the size, sums are rounded half up in integers; at all other factors, half to even.
                target.push(if (lines, line) == (2, 2) {
                    (sum + 2) / 4
                } else {
                    (sum as f32 * factor).round_ties_even() as u32
                } as u8);
            }
        }
        target
    }

    /// Means of areas whose borders cross pixels.
    fn weighted(&self, down: &Axis, across: &Axis) -> Vec<u8> {
        let (row_shares, column_shares) = (down.shares(), across.shares());
        let mut target = Vec::with_capacity(down.to * across.to * self.channels);
        let along_row = |row: usize| {
            let levels = self.row(row);
            let places =
                column_shares.iter().flat_map(|shares| (0..self.channels).map(move |channel| (shares, channel)));
            places
                .map(|(shares, channel)| {
                    let products = shares
                        .iter()
                        .map(|&(source, share)| f32::from(levels[source * self.channels + channel]) * share);
                    products.fold(0.0_f32, |sum, product| sum + product)
                })
                .collect::<Vec<_>>()
        };
        for shares in row_shares {
            let mut sums = vec![0.0_f32; across.to * self.channels];
            for (row, share) in shares {
                sums.iter_mut().zip(along_row(row)).for_each(|(sum, value)| *sum += share * value);
            }
            target.extend(sums.into_iter().map(|sum| sum.round_ties_even() as u8));
        }
        target
    }

    /// Interpolation between neighbours, with weights of 11 bits. Only 2 of the fractional bits of their products with the columns' weights
    /// are left for rounding.
    fn interpolated(&self, down: &Axis, across: &Axis) -> Vec<u8> {
        let weights = |second: f32| [1.0 - second, second].map(|share| (share * 2048.0).round_ties_even() as i32);
        let columns: Vec<_> = across
            .neighbours()
            .map(|(first, second)| {
                let last = across.from - 1;
                if first >= last { ([last, last], weights(0.0)) } else { ([first, first + 1], weights(second)) }
            })
            .collect();
        let along_row = |row: usize| {
            let levels = self.row(row);
            let places = columns.iter().flat_map(|column| (0..self.channels).map(move |channel| (column, channel)));
            places
                .map(|((sources, weights), channel)| {
                    let level = |side: usize| i32::from(levels[sources[side] * self.channels + channel]);
                    level(0) * weights[0] + level(1) * weights[1]
                })
                .collect::<Vec<_>>()
        };
        let mut target = Vec::with_capacity(down.to * across.to * self.channels);
        for (first, second) in down.neighbours() {
            let last = down.from - 1;
            let [upper, lower] = [first.min(last), (first + 1).min(last)].map(along_row);
            let weights = weights(second);
            target.extend(upper.into_iter().zip(lower).map(|(upper, lower)| {
                let part = |weight: i32, sum: i32| (weight * (sum >> 4)) >> 16;
                ((part(weights[0], upper) + part(weights[1], lower) + 2) >> 2) as u8
            }));
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis as Direction};
    use proptest::prelude::*;

    use super::*;
    use crate::axes::within;

    fn image(rows: usize, columns: usize, channels: usize, levels: &[u8]) -> Array3<u8> {
        Array3::from_shape_fn((rows, columns, channels), |(row, column, channel)| {
            levels[(row * columns + column) * channels + channel]
        })
    }

    /// The mean over a target pixel's area, in `f64`.
    fn mean(image: &Array3<u8>, [height, width]: [usize; 2], (row, column, channel): (usize, usize, usize)) -> f64 {
        let (rows, columns, _) = image.dim();
        let overlap = |source: usize, target: usize, from: usize, to: usize| {
            let scale = from as f64 / to as f64;
            let (start, end) = (target as f64 * scale, (target as f64 + 1.0) * scale);
            (end.min(source as f64 + 1.0) - start.max(source as f64)).max(0.0) / scale
        };
        let mut sum = 0.0;
        for ((y, x), &level) in image.index_axis(Direction(2), channel).indexed_iter() {
            sum += overlap(y, row, rows, height) * overlap(x, column, columns, width) * f64::from(level);
        }
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shrinking_averages_areas(
            to in [1..20_usize, 1..20_usize],
            more in [0..20_usize, 0..20_usize],
            channels in prop::sample::select(vec![1_usize, 3]),
            levels in prop::collection::vec(any::<u8>(), 40 * 40 * 3),
        ) {
            let image = image(to[0] + more[0], to[1] + more[1], channels, &levels);
            let found = resize(image.view(), (to[0], to[1]));
            for (place, &level) in found.indexed_iter() {
                let expected = mean(&image, to, place);
                // Half a level for rounding, and parts of a pixel below a thousandth are ignored on each side.
                prop_assert!((f64::from(level) - expected).abs() <= 0.5 + 1.1, "{place:?}: {level}, not {expected}");
            }
        }

        #[test]
        fn whole_blocks_are_averaged_to_the_bit(
            to in [1..7_usize, 1..7_usize],
            scale in [1..6_usize, 1..6_usize],
            channels in prop::sample::select(vec![1_usize, 3]),
            levels in prop::collection::vec(any::<u8>(), 40 * 40 * 3),
        ) {
            let image = image(to[0] * scale[0], to[1] * scale[1], channels, &levels);
            let found = resize(image.view(), (to[0], to[1]));
            for ((row, column, channel), &level) in found.indexed_iter() {
                let block = [
                    row * scale[0]..(row + 1) * scale[0],
                    column * scale[1]..(column + 1) * scale[1],
                    channel..channel + 1,
                ];
                let sum: u32 = image.slice_each_axis(within(block)).iter().map(|&level| u32::from(level)).sum();
                let count = (scale[0] * scale[1]) as u32;
                let up = scale == [2, 2] || !(sum * 2).is_multiple_of(count) || (sum * 2 / count).is_multiple_of(2);
                let expected = if up { (2 * sum + count) / (2 * count) } else { (sum / count).next_multiple_of(2) };
                prop_assert_eq!(u32::from(level), expected);
            }
        }

        #[test]
        fn enlarging_stays_between_neighbours(
            from in [1..20_usize, 1..20_usize],
            more in [1..20_usize, 1..20_usize],
            levels in prop::collection::vec(any::<u8>(), 20 * 20),
        ) {
            let image = image(from[0], from[1], 1, &levels);
            let size = (from[0] + more[0], from[1] + more[1]);
            let found = resize(image.view(), size);
            for ((row, column, _), &level) in found.indexed_iter() {
                let source = |target: usize, from: usize, to: usize| {
                    let first = target * from / to;
                    // The quotient may be an integer that the reciprocal misses by its last bit.
                    first.saturating_sub(1)..(first + 2).min(from)
                };
                let part = image.slice_each_axis(within([source(row, from[0], size.0), source(column, from[1], size.1)]));
                let (low, high) = part.iter().fold((255, 0), |(low, high), &level| (level.min(low), level.max(high)));
                prop_assert!(level >= low.saturating_sub(1) && level <= high.saturating_add(1));
            }
        }
    }

    #[test]
    fn constants_stay_themselves() {
        let constant = Array3::from_elem((5, 7, 3), 77);
        for size in [(3, 4), (10, 14), (7, 5), (5, 14), (1, 1)] {
            assert!(resize(constant.view(), size).iter().all(|&level| level == 77), "{size:?}");
        }
    }
}
