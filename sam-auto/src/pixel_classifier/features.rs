//! Features of a pixel: its level and the levels around it, at several scales, and its place.

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis, AxisDescription, Slice, Zip};
use ndarray_ndimage::{BorderMode, gaussian_filter1d, uniform_filter1d};
use sam_core::{SliceError, SliceSource};
use sam_prompt::PixelAspect;

use crate::levels::{Region, levels};

/// Standard deviations of the Gaussians, in pixels of the area 1, of which levels, gradients and curvatures are features.
const SCALES: [f32; 3] = [1.0, 2.0, 4.0];
/// Standard deviation of the Gaussian of which the level alone is a feature.
const LARGEST: f32 = 8.0;
/// Gaussians end at this many standard deviations.
const TRUNCATE: usize = 4;
/// A derivative of a narrower Gaussian, in pixels, is wrong: too few pixels lie under it.
const NARROWEST: f32 = 0.7;
/// Side of the square whose standard deviation is a feature.
const TEXTURE: f32 = 5.0;

/// Number of features of a pixel.
pub(super) const COUNT: usize = 3 * SCALES.len() + 8;

/// A slice and its neighbours, with levels in 0..1. The first and the last slice of a volume are their own neighbours.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    slice: usize,
    pub(crate) levels: Array2<f32>,
    below: Array2<f32>,
    above: Array2<f32>,
    pub(crate) aspect: PixelAspect,
}

impl Neighbourhood {
    pub(crate) fn read<B: Backend>(source: &dyn SliceSource<B>, slice: usize) -> Result<Self, SliceError> {
        let last = source.count().saturating_sub(1);
        let (below, above) = (levels(source, slice.saturating_sub(1))?, levels(source, (slice + 1).min(last))?);
        Ok(Self { slice, levels: levels(source, slice)?, below, above, aspect: source.pixel_aspect() })
    }
}

/// The features of all pixels of a region: one map for each feature.
#[derive(Debug)]
pub(super) struct Features {
    region: Region,
    slice: usize,
    maps: Vec<Array2<f32>>,
}

impl Features {
    /// # Shapes
    /// - region: rows and columns, within the slice
    pub(super) fn new(around: &Neighbourhood, region: Region) -> Self {
        let grid = Grid { spacing: [around.aspect.rows(), around.aspect.columns()] };
        let cut = |map: &Array2<f32>| {
            let within = |axis: AxisDescription| {
                let margin = grid.margin(axis.axis);
                Slice::from(margin..axis.len - margin)
            };
            map.slice_each_axis(within).to_owned()
        };
        let padded = |levels: &Array2<f32>| grid.padded(levels.view(), &region);
        let levels = padded(&around.levels);
        let mut maps = vec![cut(&levels)];
        for scale in SCALES {
            let along_rows = [0, 1, 2].map(|order| grid.filter(&levels, scale, Axis(0), order));
            let map = |rows: usize, columns: usize| grid.filter(&along_rows[rows], scale, Axis(1), columns);
            let mut gradient = map(1, 0);
            Zip::from(&mut gradient).and(&map(0, 1)).for_each(|down, &right| *down = down.hypot(right));
            maps.extend([cut(&map(0, 0)), cut(&gradient), cut(&(map(2, 0) + map(0, 2)))]);
        }
        maps.push(cut(&grid.smooth(&levels, LARGEST)));
        maps.push(cut(&grid.texture(&levels)));
        maps.extend([&around.below, &around.above].map(|levels| cut(&grid.smooth(&padded(levels), SCALES[0]))));
        Self { region, slice: around.slice, maps }
    }

    /// Appends the features of a pixel of the region, [`COUNT`] of them. `row` and `column` count from the region's corner.
    pub(super) fn push(&self, (row, column): (usize, usize), features: &mut Vec<f32>) {
        features.extend(self.maps.iter().map(|map| map[(row, column)]));
        let place = [self.region.0.start + row, self.region.1.start + column, self.slice];
        features.extend(place.map(|place| place as f32));
    }
}

/// Filters on a grid of pixels that may not be square.
struct Grid {
    /// Distance between rows, and between columns.
    spacing: [f32; 2],
}

impl Grid {
    /// Pixels that the largest Gaussian needs on each side.
    fn margin(&self, axis: Axis) -> usize {
        (LARGEST * TRUNCATE as f32 / self.spacing[axis.index()]).ceil() as usize
    }

    /// A region with a margin for the filters. Beyond the slice, its outermost pixels are repeated.
    fn padded(&self, levels: ArrayView2<'_, f32>, (rows, columns): &Region) -> Array2<f32> {
        let (height, width) = levels.dim();
        let (above, left) = (self.margin(Axis(0)), self.margin(Axis(1)));
        let within =
            |start: usize, at: usize, margin: usize, end: usize| (start + at).saturating_sub(margin).min(end - 1);
        Array2::from_shape_fn((rows.len() + 2 * above, columns.len() + 2 * left), |(row, column)| {
            levels[(within(rows.start, row, above, height), within(columns.start, column, left, width))]
        })
    }

    /// A Gaussian along an axis, or its derivative of an order.
    fn filter(&self, levels: &Array2<f32>, scale: f32, axis: Axis, order: usize) -> Array2<f32> {
        let spacing = self.spacing[axis.index()];
        let pixels = scale / spacing;
        if order == 0 {
            return gaussian_filter1d(levels, pixels, axis, order, BorderMode::Nearest, TRUNCATE);
        }
        let found = gaussian_filter1d(levels, pixels.max(NARROWEST), axis, order, BorderMode::Nearest, TRUNCATE);
        found / spacing.powi(order as i32)
    }

    fn smooth(&self, levels: &Array2<f32>, scale: f32) -> Array2<f32> {
        self.filter(&self.filter(levels, scale, Axis(0), 0), scale, Axis(1), 0)
    }

    /// The standard deviation of the levels in a square around each pixel.
    fn texture(&self, levels: &Array2<f32>) -> Array2<f32> {
        // An odd number of pixels, with the pixel in the middle.
        let sides = self.spacing.map(|spacing| 2 * (0.5 * (TEXTURE / spacing - 1.0)).round() as usize + 1);
        let mean = |levels: &Array2<f32>| {
            let along_rows = uniform_filter1d(levels, sides[0], Axis(0), BorderMode::Nearest);
            uniform_filter1d(&along_rows, sides[1], Axis(1), BorderMode::Nearest)
        };
        let (squares, mean) = (mean(&levels.mapv(|level| level * level)), mean(levels));
        // Rounding can make the variance of a uniform square negative.
        Zip::from(&squares).and(&mean).map_collect(|&square, &mean| (square - mean * mean).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn around(levels: Array2<f32>) -> Neighbourhood {
        around_with(levels, PixelAspect::SQUARE)
    }

    fn around_with(levels: Array2<f32>, aspect: PixelAspect) -> Neighbourhood {
        Neighbourhood { slice: 4, below: &levels * 0.5, above: &levels * 2.0, levels, aspect }
    }

    fn at(features: &Features, pixel: (usize, usize)) -> Vec<f32> {
        let mut found = Vec::new();
        features.push(pixel, &mut found);
        assert_eq!(found.len(), COUNT);
        found
    }

    #[test]
    fn a_uniform_slice_has_no_gradient_no_curvature_and_no_texture() {
        let features = Features::new(&around(Array2::from_elem((3, 5), 0.4)), (0..3, 0..5));
        let found = at(&features, (2, 4));
        let expected = [0.4, 0.4, 0.0, 0.0, 0.4, 0.0, 0.0, 0.4, 0.0, 0.0, 0.4, 0.0, 0.2, 0.8, 2.0, 4.0, 4.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }

    #[test]
    fn a_region_has_the_features_of_the_whole_slice() {
        let levels = Array2::from_shape_fn((40, 30), |(row, column)| ((row * 7 + column * 13) % 11) as f32 / 11.0);
        let around = around(levels);
        let (whole, part) = (Features::new(&around, (0..40, 0..30)), Features::new(&around, (10..20, 3..9)));
        assert_eq!(at(&whole, (12, 8)), at(&part, (2, 5)));
    }

    #[test]
    fn the_gradient_of_a_ramp_is_its_slope() {
        let levels = Array2::from_shape_fn((60, 60), |(row, _)| row as f32 / 60.0);
        let found = at(&Features::new(&around(levels), (0..60, 0..60)), (30, 30));
        assert!((found[2] - 1.0 / 60.0).abs() < 1e-4, "{}", found[2]);
    }

    /// A pattern that looks the same from all directions has the same features, however often columns are read.
    #[test]
    fn features_do_not_depend_on_the_aspect_of_pixels() {
        let wave = |distance: f32| 0.5 + 0.4 * (0.2 * distance).cos();
        // The areas of pixels are alike: rows are 2 apart, columns a half.
        let aspect = PixelAspect::of_spacing(4.0, 1.0).expect("positive numbers");
        let square =
            Array2::from_shape_fn((81, 81), |(row, column)| wave((row as f32 - 40.0).hypot(column as f32 - 40.0)));
        let thick = Array2::from_shape_fn((41, 161), |(row, column)| {
            wave((2.0 * (row as f32 - 20.0)).hypot(0.5 * (column as f32 - 80.0)))
        });
        let square = Features::new(&around(square), (0..81, 0..81));
        let thick = Features::new(&around_with(thick, aspect), (0..41, 0..161));
        for (down, right) in [(40, 40), (40, 52), (52, 40), (48, 31)] {
            let (square, thick) = (at(&square, (down, right)), at(&thick, (down / 2, 2 * right)));
            // All but the place, and the texture of a window of whole pixels.
            for feature in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13] {
                let (square, thick) = (square[feature], thick[feature]);
                assert!((square - thick).abs() < 0.02, "{feature} at {down}, {right}: {square} and {thick}");
            }
        }
    }

    #[test]
    fn pixels_can_be_as_long_as_they_may() {
        for aspect in [(1000.0, 1.0), (1.0, 1000.0)] {
            let aspect = PixelAspect::of_spacing(aspect.0, aspect.1).expect("positive numbers");
            let found = at(&Features::new(&around_with(Array2::from_elem((2, 3), 0.4), aspect), (0..2, 0..3)), (1, 2));
            assert!(found.iter().all(|feature| feature.is_finite()));
            assert!((found[1] - 0.4).abs() < 1e-3 && found[2].abs() < 1e-3 && found[11] < 1e-3, "{found:?}");
        }
    }
}
