//! An outlined slice, and its connected components.

use super::field::Field;
use ndarray::{Array2, ArrayView2};
use sam_prompt::{component_masks, mask_area, signed_distance};

/// An outlined slice.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    /// Position in the volume, counted from 0.
    pub(super) slice: usize,
    /// Signed distance to the edge of the whole outline, in pixels.
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
    /// Signed distances to its own edge.
    pub(super) field: Field,
    /// Row and column of its centroid.
    pub(super) centroid: (f32, f32),
    /// Standard deviation of its rows and columns.
    pub(super) spread: (f32, f32),
    /// Number of pixels.
    pub(super) area: usize,
}

impl Outline {
    pub(super) fn new(slice: usize, mask: ArrayView2<'_, bool>) -> Self {
        let parts = component_masks(mask, 1).into_iter().map(Part::new).collect();
        Self { slice, signed: signed_distance(mask), area: mask_area(mask), parts }
    }

    /// Whether it shows nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    pub(super) fn new(mask: Array2<bool>) -> Self {
        let field = Field::new(mask.view(), 0);
        let (mut area, mut rows, mut columns) = (0, 0.0, 0.0);
        let (mut rr, mut cc) = (0.0, 0.0);
        for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
            area += 1;
            rr += (row * row) as f64;
            cc += (column * column) as f64;
            rows += row as f64;
            columns += column as f64;
        }
        let centroid = ((rows / f64::from(area)) as f32, (columns / f64::from(area)) as f32);
        let n = f64::from(area);
        // A pixel has a size.
        let spread = (
            ((rr / n - (rows / n).powi(2)) + 1.0 / 12.0).sqrt() as f32,
            ((cc / n - (columns / n).powi(2)) + 1.0 / 12.0).sqrt() as f32,
        );
        Self { mask, spread, field, centroid, area: area as usize }
    }

    /// Lets the distances reach this many pixels beyond the image.
    pub(super) fn widen(&mut self, beyond: usize) {
        self.field = Field::new(self.mask.view(), beyond);
    }

    /// Radius of a disc of the same area.
    pub(super) fn radius(&self) -> f32 {
        (self.area as f32 / std::f32::consts::PI).sqrt()
    }

    /// Distance between the centroids.
    pub(super) fn distance(&self, other: &Self) -> f32 {
        (self.centroid.0 - other.centroid.0).hypot(self.centroid.1 - other.centroid.1)
    }

    /// Whether both have a pixel.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.mask.iter().zip(&other.mask).any(|(&here, &there)| here && there)
    }
}
