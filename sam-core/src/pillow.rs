//! Resizing of 8-bit images, bit-exact with Pillow.
//!
//! There are two passes, each rounded to 8 bits. Coefficients are fixed-point values with 22 fractional bits, so results do not depend on
//! the processor. The order of the passes is that of Pillow 13, see [`columns_first`]. Source: the behaviour of `Image.resize` of Pillow
//! (`src/libImaging/Resample.c`), which `tests/resize/check.py` compares.

use ndarray::{Array3, ArrayView3};

/// Fractional bits of a coefficient: of 32 bits, 8 are for the pixel, and 2 are reserved for sums beyond its range.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The supported filters of Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// `Resampling.BILINEAR`: triangle filter.
    Bilinear,
    /// `Resampling.BICUBIC`: Catmull-Rom cubic.
    Bicubic,
}

impl Filter {
    /// Radius of the filter, in pixels of the smaller image.
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The source pixels of a target pixel: index of the first, and a coefficient for each.
struct Taps {
    first: usize,
    coefficients: Vec<i32>,
}

impl Taps {
    /// The weighted sum, rounded and clipped to 8 bits. `pixels` starts at the first source pixel; the next ones follow at intervals of
    /// `step`.
    fn sum(&self, pixels: &[u8], step: usize) -> u8 {
        let products = self
            .coefficients
            .iter()
            .zip(pixels.iter().step_by(step))
            .map(|(&factor, &pixel)| factor * i32::from(pixel));
        let half = 1 << (PRECISION_BITS - 1);
        ((half + products.sum::<i32>()) >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

/// The source pixels of each target pixel along one axis.
fn taps(filter: Filter, from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let of = |target: usize| {
        let center = (target as f64 + 0.5) * scale;
        // Pillow truncates towards zero and then clips.
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as i64).min(from as i64) as usize;
        let inverse = 1.0 / stretch;
        let weights: Vec<_> =
            (first..end).map(|source| filter.weight((source as f64 - center + 0.5) * inverse)).collect();
        let total: f64 = weights.iter().sum();
        let share = |weight: f64| if total == 0.0 { weight } else { weight / total };
        let coefficients = weights.into_iter().map(|weight| fixed_point(share(weight))).collect();
        Taps { first, coefficients }
    };
    (0..to).map(of).collect()
}

/// Converts to fixed point: rounds to nearest, halves away from zero.
fn fixed_point(share: f64) -> i32 {
    let scaled = share * f64::from(1_u32 << PRECISION_BITS);
    (if share < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Whether Pillow 13 resizes columns before rows: if the image loses more than twice as many rows as columns. Earlier versions always
/// resize rows first. If the aspect ratio is kept, this affects images that are more than twice as high as wide.
const fn columns_first((rows, columns): (usize, usize), (height, width): (usize, usize)) -> bool {
    // rows - height > 2 * (columns - width), without negative values.
    height < rows && rows + 2 * width > height + 2 * columns
}

/// Resizes an image to `height` x `width` pixels.
///
/// # Shapes
/// - pixels: `[rows, columns, channels]`, with no side of 0; output: `[height, width, channels]`
#[expect(clippy::expect_used, reason = "the length is the product of the sides")]
pub(crate) fn resize(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize), filter: Filter) -> Array3<u8> {
    let (rows, columns, channels) = pixels.dim();
    let levels = pixels.iter().copied().collect::<Vec<_>>();
    let levels = if columns_first((rows, columns), (height, width)) {
        let levels = along_columns(levels, [rows, height], columns * channels, filter);
        along_rows(levels, [columns, width], channels, filter)
    } else {
        let levels = along_rows(levels, [columns, width], channels, filter);
        along_columns(levels, [rows, height], width * channels, filter)
    };
    Array3::from_shape_vec((height, width, channels), levels).expect("both passes make rows of the new size")
}

/// Resizes each row from `from` to `to` pixels.
fn along_rows(levels: Vec<u8>, [from, to]: [usize; 2], channels: usize, filter: Filter) -> Vec<u8> {
    if from == to {
        return levels;
    }
    let taps = taps(filter, from, to);
    let mut target = Vec::with_capacity(levels.len() / from * to);
    for row in levels.chunks_exact(from * channels) {
        for taps in &taps {
            target.extend((0..channels).map(|channel| taps.sum(&row[taps.first * channels + channel..], channels)));
        }
    }
    target
}

/// Resizes an image from `from` to `to` rows of `line` values each.
fn along_columns(levels: Vec<u8>, [from, to]: [usize; 2], line: usize, filter: Filter) -> Vec<u8> {
    if from == to {
        return levels;
    }
    let mut target = Vec::with_capacity(to * line);
    for taps in taps(filter, from, to) {
        target.extend((0..line).map(|place| taps.sum(&levels[taps.first * line + place..], line)));
    }
    target
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    /// Straightforward implementation of one pass along the columns: each target pixel sums over all source pixels, in `i64`.
    fn naive_pass(image: &Array3<u8>, width: usize, filter: Filter) -> Array3<u8> {
        let (rows, columns, channels) = image.dim();
        let scale = columns as f64 / width as f64;
        let wide = if scale < 1.0 { 1.0 } else { scale };
        Array3::from_shape_fn((rows, width, channels), |(row, target, channel)| {
            let center = (target as f64 + 0.5) * scale;
            let reach = filter.support() * wide;
            let inside = |source: usize| {
                let (low, high) = ((center - reach + 0.5).max(0.0).floor(), (center + reach + 0.5).floor());
                source as f64 >= low && (source as f64) < high
            };
            let weight = |source: usize| {
                let x = ((source as f64 - center + 0.5) * (1.0 / wide)).abs();
                match filter {
                    Filter::Bilinear => (1.0 - x).max(0.0),
                    Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                    Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
                    Filter::Bicubic => 0.0,
                }
            };
            let total: f64 = (0..columns).filter(|&source| inside(source)).map(weight).sum();
            let sum: i64 = (0..columns)
                .filter(|&source| inside(source))
                .map(|source| {
                    let fixed = (weight(source) / total * 4_194_304.0).round() as i64;
                    fixed * i64::from(image[(row, source, channel)])
                })
                .sum();
            (sum + 2_097_152).div_euclid(4_194_304).clamp(0, 255) as u8
        })
    }

    fn naive(image: &Array3<u8>, (height, width): (usize, usize), filter: Filter) -> Array3<u8> {
        let (rows, columns, _) = image.dim();
        let turned = |image: Array3<u8>| image.permuted_axes([1, 0, 2]).as_standard_layout().into_owned();
        let across = |image: Array3<u8>| if width == columns { image } else { naive_pass(&image, width, filter) };
        let down = |image: Array3<u8>| {
            if height == rows { image } else { turned(naive_pass(&turned(image), height, filter)) }
        };
        let lost = |from: usize, to: usize| from as i64 - to as i64;
        if height < rows && lost(rows, height) > 2 * lost(columns, width) {
            across(down(image.clone()))
        } else {
            down(across(image.clone()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn resizing_is_two_rounded_passes(
            from in (1..40_usize, 1..40_usize),
            to in (1..40_usize, 1..40_usize),
            channels in prop::sample::select(vec![1_usize, 3]),
            filter in prop::sample::select(vec![Filter::Bilinear, Filter::Bicubic]),
            levels in prop::collection::vec(any::<u8>(), 40 * 40 * 3),
        ) {
            let image = Array3::from_shape_fn((from.0, from.1, channels), |(row, column, channel)| {
                levels[(row * from.1 + column) * channels + channel]
            });
            prop_assert_eq!(resize(image.view(), to, filter), naive(&image, to, filter));
        }
    }
}
