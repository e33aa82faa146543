//! An outlined slice, and its connected components.

use ndarray::{Array2, ArrayView2};
use sam_prompt::{PixelAspect, component_masks, mask_area, signed_distance_with};

/// An outlined slice.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    /// Position in the volume, counted from 0.
    pub(super) slice: usize,
    /// Signed distance to the edge of the whole outline.
    pub(super) signed: Array2<f32>,
    /// Number of pixels.
    pub(super) area: usize,
    /// The connected components, the largest first.
    pub(super) parts: Vec<Part>,
}

/// A connected component of an outline.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) mask: Array2<bool>,
    /// Row and column of its centroid.
    pub(super) centroid: (f32, f32),
    /// Standard deviation of its rows and columns.
    pub(super) spread: (f32, f32),
    /// Number of pixels.
    pub(super) area: usize,
}

impl Outline {
    pub(super) fn new(slice: usize, mask: ArrayView2<'_, bool>, aspect: PixelAspect) -> Self {
        let parts = component_masks(mask, 1).into_iter().map(Part::new).collect();
        Self { slice, signed: signed_distance_with(mask, aspect), area: mask_area(mask), parts }
    }

    /// Radius of a disc of the same area.
    pub(super) fn radius(&self) -> f32 {
        radius_of(self.area)
    }

    /// Whether it shows nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    pub(super) fn new(mask: Array2<bool>) -> Self {
        let places: Vec<_> = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(place, _)| place).collect();
        let (rows, columns) =
            (moments(places.iter().map(|place| place.0)), moments(places.iter().map(|place| place.1)));
        Self { mask, centroid: (rows.0, columns.0), spread: (rows.1, columns.1), area: places.len() }
    }

    /// Radius of a disc of the same area.
    pub(super) fn radius(&self) -> f32 {
        radius_of(self.area)
    }

    /// Distance between the centroids.
    pub(super) fn distance(&self, other: &Self, aspect: PixelAspect) -> f32 {
        aspect.length(self.centroid.0 - other.centroid.0, self.centroid.1 - other.centroid.1)
    }

    /// Whether both have a pixel.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.mask.iter().zip(&other.mask).any(|(&here, &there)| here && there)
    }
}

/// Radius of a disc of this many pixels.
fn radius_of(area: usize) -> f32 {
    (area as f32 / std::f32::consts::PI).sqrt()
}

/// Mean and standard deviation of the positions of pixels, which have a size themselves.
fn moments(positions: impl ExactSizeIterator<Item = usize>) -> (f32, f32) {
    let count = positions.len() as f64;
    let (sum, squares) = positions
        .fold((0.0, 0.0), |(sum, squares), position| (sum + position as f64, squares + (position * position) as f64));
    let mean = sum / count;
    (mean as f32, (squares / count - mean.powi(2) + 1.0 / 12.0).sqrt() as f32)
}
