//! Where voxels lie in the patient.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A grid of voxels in space.
///
/// Voxels keep the order of their file; the affine alone says where they lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Number of voxels along each index.
    pub shape: [usize; 3],
    /// Voxel index to millimetres in the patient, towards right, anterior and superior (RAS+), as in NIfTI.
    pub affine: [[f64; 4]; 4],
}

impl Grid {
    /// Joins a shape and an affine.
    pub fn new(shape: [usize; 3], affine: [[f64; 4]; 4]) -> Self {
        Self { shape, affine }
    }

    /// Distance between neighbouring voxels along each index, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        [0, 1, 2].map(|axis| norm(self.column(axis)))
    }

    /// Position of a (fractional) voxel index, in mm.
    pub fn world(&self, index: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|row| {
            let [x, y, z, origin] = self.affine[row];
            x * index[0] + y * index[1] + z * index[2] + origin
        })
    }

    /// For each voxel axis, the patient axis it runs along most (0 right, 1 anterior, 2 superior) and whether towards it.
    pub fn closest_axes(&self) -> [(usize, bool); 3] {
        let direction = |axis: usize| {
            let column = self.column(axis);
            let length = norm(column).max(f64::MIN_POSITIVE);
            column.map(|part| part / length)
        };
        let directions = [direction(0), direction(1), direction(2)];
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let fit = |patient: &[usize; 3]| (0..3).map(|axis| directions[axis][patient[axis]].abs()).sum::<f64>();
        let best = permutations.into_iter().max_by(|a, b| fit(a).total_cmp(&fit(b))).unwrap_or([0, 1, 2]);
        [0, 1, 2].map(|axis| (best[axis], directions[axis][best[axis]] >= 0.0))
    }

    /// Three letters for the directions in which the indices grow, such as `RAS` or `LPS`.
    pub fn orientation(&self) -> String {
        const LETTERS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];
        self.closest_axes().map(|(patient, towards)| LETTERS[patient][usize::from(towards)]).iter().collect()
    }

    /// Checks that another grid is the same, up to a displacement of `tolerance` mm at the volume's corners.
    ///
    /// # Errors
    /// [`GridMismatch`] says which field differs most and by how much.
    pub fn compare(&self, other: &Self, tolerance: f64) -> Result<(), GridMismatch> {
        let mismatch = |field, expected: String, found: String, displacement| {
            Err(GridMismatch { field, expected, found, displacement })
        };
        if self.shape != other.shape {
            return mismatch(GridField::Shape, format!("{:?}", self.shape), format!("{:?}", other.shape), f64::NAN);
        }
        let displacement = self.corners().map(|corner| distance(self.world(corner), other.world(corner)));
        let displacement = displacement
            .into_iter()
            .fold(0.0, |worst: f64, next| if next > worst || next.is_nan() { next } else { worst });
        if displacement <= tolerance {
            return Ok(());
        }
        // Name the most telling field: an origin off is the same at every corner, a spacing or direction off grows.
        let spacing_off = (0..3)
            .any(|axis| (self.spacing()[axis] - other.spacing()[axis]).abs() * self.shape[axis] as f64 > tolerance);
        let turned = (0..3).any(|axis| {
            let (a, b) = (self.column(axis), other.column(axis));
            distance(a, b) * self.shape[axis] as f64 > tolerance
        });
        let list = |values: [f64; 3]| format!("[{:.4}, {:.4}, {:.4}] mm", values[0], values[1], values[2]);
        if spacing_off {
            return mismatch(GridField::Spacing, list(self.spacing()), list(other.spacing()), displacement);
        }
        if turned {
            let direction =
                |grid: &Self| format!("{} {:?}", grid.orientation(), [0, 1, 2].map(|axis| grid.column(axis)));
            return mismatch(GridField::Direction, direction(self), direction(other), displacement);
        }
        mismatch(GridField::Origin, list(self.world([0.0; 3])), list(other.world([0.0; 3])), displacement)
    }

    fn column(&self, axis: usize) -> [f64; 3] {
        [0, 1, 2].map(|row| self.affine[row][axis])
    }

    /// Indices of the eight corner voxels.
    fn corners(&self) -> [[f64; 3]; 8] {
        std::array::from_fn(|corner| {
            std::array::from_fn(|axis| if corner >> axis & 1 == 1 { self.shape[axis] as f64 - 1.0 } else { 0.0 })
        })
    }
}

fn norm(vector: [f64; 3]) -> f64 {
    vector.iter().map(|part| part * part).sum::<f64>().sqrt()
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
}

/// In what two grids differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GridField {
    /// The numbers of voxels.
    Shape,
    /// The distances between voxels.
    Spacing,
    /// The directions of the axes.
    Direction,
    /// The position of the first voxel.
    Origin,
}

impl fmt::Display for GridField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "shape",
            Self::Spacing => "spacing",
            Self::Direction => "axis directions",
            Self::Origin => "origin",
        })
    }
}

/// How two grids differ.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the {field} differs: expected {expected}, found {found}{}", if displacement.is_nan() { String::new() } else { format!(", which moves a corner of the volume by {displacement:.3} mm") })]
pub struct GridMismatch {
    /// The field.
    pub field: GridField,
    /// The reference's value.
    pub expected: String,
    /// The other's value.
    pub found: String,
    /// By how much the worst corner moves, in mm; NaN where shapes differ.
    pub displacement: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(x: f64, y: f64, z: f64) -> Grid {
        let affine = [[x, 0.0, 0.0, 5.0], [0.0, y, 0.0, -7.0], [0.0, 0.0, z, 9.0], [0.0, 0.0, 0.0, 1.0]];
        Grid::new([10, 20, 30], affine)
    }

    #[test]
    fn letters_and_spacing() {
        assert_eq!(diagonal(1.0, 2.0, 3.0).orientation(), "RAS");
        assert_eq!(diagonal(-1.0, -2.0, 3.0).orientation(), "LPS");
        assert_eq!(diagonal(-1.0, -2.0, 3.0).spacing(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn mismatches_are_named_and_rounding_is_forgiven() {
        let grid = diagonal(1.0, 1.0, 3.0);
        let field = |other: &Grid| grid.compare(other, 0.01).expect_err("they differ").field;
        assert!(grid.compare(&diagonal(1.0 + 1e-6, 1.0, 3.0), 0.01).is_ok());
        assert_eq!(field(&diagonal(1.1, 1.0, 3.0)), GridField::Spacing);
        assert_eq!(field(&diagonal(-1.0, 1.0, 3.0)), GridField::Direction);
        let mut moved = grid.clone();
        moved.affine[1][3] += 0.5;
        let mismatch = grid.compare(&moved, 0.01).expect_err("they differ");
        assert_eq!(mismatch.field, GridField::Origin);
        assert!((mismatch.displacement - 0.5).abs() < 1e-9);
        let mut cropped = grid.clone();
        cropped.shape[2] = 29;
        assert_eq!(field(&cropped), GridField::Shape);
        let mut broken = grid.clone();
        broken.affine[0][0] = f64::NAN;
        assert!(grid.compare(&broken, 0.01).is_err());
    }
}
