//! Features of a pixel: its level and the levels around it, at several scales, and its place.

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis, AxisDescription, Slice, Zip};
use ndarray_ndimage::{BorderMode, gaussian_filter1d, uniform_filter};
use sam_core::{SliceError, SliceSource};

use crate::levels::{Region, levels};

/// Standard deviations of the Gaussians, in pixels, of which levels, gradients and curvatures are features.
const SCALES: [f32; 3] = [1.0, 2.0, 4.0];
/// Standard deviation of the Gaussian of which the level alone is a feature.
const LARGEST: f32 = 8.0;
/// Gaussians end at this many standard deviations.
const TRUNCATE: usize = 4;
/// Pixels that the largest Gaussian needs on each side.
const MARGIN: usize = LARGEST as usize * TRUNCATE;
/// Side of the square whose standard deviation is a feature.
const TEXTURE: usize = 5;

/// Number of features of a pixel.
pub(super) const COUNT: usize = 3 * SCALES.len() + 8;

/// A slice and its neighbours, with levels in 0..1. The first and the last slice of a volume are their own neighbours.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    slice: usize,
    pub(crate) levels: Array2<f32>,
    below: Array2<f32>,
    above: Array2<f32>,
}

impl Neighbourhood {
    pub(crate) fn read<B: Backend>(source: &dyn SliceSource<B>, slice: usize) -> Result<Self, SliceError> {
        let last = source.count().saturating_sub(1);
        let (below, above) = (levels(source, slice.saturating_sub(1))?, levels(source, (slice + 1).min(last))?);
        Ok(Self { slice, levels: levels(source, slice)?, below, above })
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
        let cut = |map: &Array2<f32>| {
            let within = |axis: AxisDescription| Slice::from(MARGIN..axis.len - MARGIN);
            map.slice_each_axis(within).to_owned()
        };
        let padded = |levels: &Array2<f32>| padded(levels.view(), &region);
        let levels = padded(&around.levels);
        let mut maps = vec![cut(&levels)];
        for scale in SCALES {
            let along_rows = [0, 1, 2].map(|order| filter(&levels, scale, Axis(0), order));
            let map = |rows: usize, columns: usize| filter(&along_rows[rows], scale, Axis(1), columns);
            let mut gradient = map(1, 0);
            Zip::from(&mut gradient).and(&map(0, 1)).for_each(|down, &right| *down = down.hypot(right));
            maps.extend([cut(&map(0, 0)), cut(&gradient), cut(&(map(2, 0) + map(0, 2)))]);
        }
        maps.push(cut(&smooth(&levels, LARGEST)));
        maps.push(cut(&texture(&levels)));
        maps.extend([&around.below, &around.above].map(|levels| cut(&smooth(&padded(levels), SCALES[0]))));
        Self { region, slice: around.slice, maps }
    }

    /// Appends the features of a pixel of the region, [`COUNT`] of them. `row` and `column` count from the region's corner.
    pub(super) fn push(&self, (row, column): (usize, usize), features: &mut Vec<f32>) {
        features.extend(self.maps.iter().map(|map| map[(row, column)]));
        let place = [self.region.0.start + row, self.region.1.start + column, self.slice];
        features.extend(place.map(|place| place as f32));
    }
}

/// A region with a margin for the filters. Beyond the slice, its outermost pixels are repeated.
fn padded(levels: ArrayView2<'_, f32>, (rows, columns): &Region) -> Array2<f32> {
    let (height, width) = levels.dim();
    let within = |start: usize, at: usize, end: usize| (start + at).saturating_sub(MARGIN).min(end - 1);
    Array2::from_shape_fn((rows.len() + 2 * MARGIN, columns.len() + 2 * MARGIN), |(row, column)| {
        levels[(within(rows.start, row, height), within(columns.start, column, width))]
    })
}

fn filter(levels: &Array2<f32>, scale: f32, axis: Axis, order: usize) -> Array2<f32> {
    gaussian_filter1d(levels, scale, axis, order, BorderMode::Nearest, TRUNCATE)
}

fn smooth(levels: &Array2<f32>, scale: f32) -> Array2<f32> {
    filter(&filter(levels, scale, Axis(0), 0), scale, Axis(1), 0)
}

/// The standard deviation of the levels in a square around each pixel.
fn texture(levels: &Array2<f32>) -> Array2<f32> {
    let mean = |levels: &Array2<f32>| uniform_filter(levels, TEXTURE, BorderMode::Nearest);
    let (squares, mean) = (mean(&levels.mapv(|level| level * level)), mean(levels));
    // Rounding can make the variance of a uniform square negative.
    Zip::from(&squares).and(&mean).map_collect(|&square, &mean| (square - mean * mean).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn around(levels: Array2<f32>) -> Neighbourhood {
        Neighbourhood { slice: 4, below: &levels * 0.5, above: &levels * 2.0, levels }
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
}
