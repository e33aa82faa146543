//! The grid of a volume: its shape, and the position of its voxels in the patient.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::GridError;

/// Smallest share of a right-angled voxel's volume that a voxel must have. Below it, the axes are in one plane, except for rounding errors.
const FLATTEST: f64 = 1e-6;
/// Largest distance between the voxels of a scan and of its label map, as a share of the voxel's side. Tools round affines and make axes
/// orthogonal, and how much that moves a voxel depends on its size.
pub(crate) const TOLERANCE: f64 = 0.1;

/// A voxel grid in space.
///
/// Voxels keep the order of their file. The affine alone gives their positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Number of voxels along each axis.
    pub shape: [usize; 3],
    /// The affine from voxel index to millimetres in the patient (RAS+: right, anterior, superior), as in NIfTI.
    pub affine: [[f64; 4]; 4],
}

impl Grid {
    /// Creates a grid from a shape and an affine that are known to be valid. Use [`Grid::try_new`] for those from a file or a user.
    ///
    /// # Panics
    /// If a side has no voxels, or the affine is not finite or has no inverse.
    #[track_caller]
    pub fn new(shape: [usize; 3], affine: [[f64; 4]; 4]) -> Self {
        match Self::try_new(shape, affine) {
            Ok(grid) => grid,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates a grid from a shape and an affine.
    ///
    /// # Errors
    /// As [`Grid::check`].
    pub fn try_new(shape: [usize; 3], affine: [[f64; 4]; 4]) -> Result<Self, GridError> {
        let grid = Self { shape, affine };
        grid.check()?;
        Ok(grid)
    }

    /// Checks that the grid is valid. Its fields are public, so it can become invalid.
    ///
    /// # Errors
    /// [`GridError`] if a side has no voxels, or the affine holds NaN or infinity or has no inverse.
    pub fn check(&self) -> Result<(), GridError> {
        let affine = || Box::new(self.affine_rows());
        if self.shape.contains(&0) {
            return Err(GridError::NoVoxels { shape: self.shape });
        }
        if !self.affine.iter().flatten().all(|value| value.is_finite()) {
            return Err(GridError::NotFinite { affine: affine() });
        }
        let [x, y, z] = [0, 1, 2].map(|axis| self.column(axis));
        // The voxel's volume as a share of a right-angled voxel with the same sides.
        let (voxel, right_angled) = (dot(x, cross(y, z)).abs(), norm(x) * norm(y) * norm(z));
        if voxel.is_normal() && voxel > FLATTEST * right_angled {
            return Ok(());
        }
        Err(GridError::Singular { affine: affine() })
    }

    /// Voxel spacing along each axis, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        [0, 1, 2].map(|axis| norm(self.column(axis)))
    }

    /// The position of a (fractional) voxel index in the patient, in mm.
    pub fn world(&self, index: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|row| {
            let [x, y, z, origin] = self.affine[row];
            x * index[0] + y * index[1] + z * index[2] + origin
        })
    }

    /// The (fractional) voxel index of a position in mm: the inverse of [`Grid::world`]. `None` if the affine has no inverse.
    pub fn index(&self, world: [f64; 3]) -> Option<[f64; 3]> {
        let [x, y, z] = [0, 1, 2].map(|axis| self.column(axis));
        let determinant = dot(x, cross(y, z));
        if !determinant.is_normal() {
            return None;
        }
        // Cramer's rule.
        let offset = [0, 1, 2].map(|row| world[row] - self.affine[row][3]);
        Some(
            [dot(offset, cross(y, z)), dot(x, cross(offset, z)), dot(x, cross(y, offset))]
                .map(|part| part / determinant),
        )
    }

    /// For each voxel axis, the closest patient axis (0 right, 1 anterior, 2 superior), and whether the two point the same way.
    pub fn closest_axes(&self) -> [(usize, bool); 3] {
        let directions = [0, 1, 2].map(|axis| self.direction(axis));
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let fit = |patient: &[usize; 3]| (0..3).map(|axis| directions[axis][patient[axis]].abs()).sum::<f64>();
        let best = permutations.into_iter().max_by(|a, b| fit(a).total_cmp(&fit(b))).unwrap_or([0, 1, 2]);
        [0, 1, 2].map(|axis| (best[axis], directions[axis][best[axis]] >= 0.0))
    }

    /// The orientation as three letters, such as `RAS` or `LPS`: the directions in which the indices grow.
    pub fn orientation(&self) -> String {
        const LETTERS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];
        self.closest_axes().map(|(patient, towards)| LETTERS[patient][usize::from(towards)]).iter().collect()
    }

    /// The through-plane axis: the one whose spacing is more than 1 % larger than those of both others; `None` if there is none.
    pub fn through_plane_axis(&self) -> Option<usize> {
        let spacing = self.spacing();
        (0..3).find(|&axis| (0..3).all(|other| other == axis || spacing[axis] > 1.01 * spacing[other]))
    }

    /// Checks that a label map's grid is the same as this one: no corner voxel is moved by more than a tenth of the voxel's side along any
    /// axis. Tools round affines, and make axes orthogonal that are not quite so.
    ///
    /// # Errors
    /// [`GridMismatch`] with the field that moves the corners most.
    pub fn check_same(&self, other: &Self) -> Result<(), GridMismatch> {
        self.compare_shape(other)?;
        let apart = |corner: [f64; 3]| {
            let found = self.index(other.world(corner));
            found.map_or(f64::INFINITY, |found| largest([0, 1, 2].map(|axis| found[axis] - corner[axis])))
        };
        if largest(self.corners().map(apart)) <= TOLERANCE { Ok(()) } else { Err(self.mismatch(other)) }
    }

    /// Checks that another grid is the same, within a tolerance in mm.
    ///
    /// The grids' corner voxels are compared by position, in mm. So rounding in an affine's eighth digit does not matter.
    ///
    /// # Errors
    /// [`GridMismatch`] if a corner moves by more than `tolerance_mm`. It names the field that moves the corners most.
    pub fn compare(&self, other: &Self, tolerance_mm: f64) -> Result<(), GridMismatch> {
        self.compare_shape(other)?;
        let mismatch = self.mismatch(other);
        if mismatch.displacement <= tolerance_mm { Ok(()) } else { Err(mismatch) }
    }

    /// How another grid of the same shape differs.
    pub(crate) fn mismatch(&self, other: &Self) -> GridMismatch {
        let apart = |corner| distance(self.world(corner), other.world(corner));
        let displacement = largest(self.corners().map(apart));
        let (ours, theirs) = (self.spacing(), other.spacing());
        let reach = |axis: usize| self.shape[axis].saturating_sub(1) as f64;
        let turned = |axis: usize| distance(self.direction(axis), other.direction(axis)) * ours[axis].max(theirs[axis]);
        let fields = [
            (GridField::Origin, apart([0.0; 3])),
            (GridField::Spacing, largest([0, 1, 2].map(|axis| (ours[axis] - theirs[axis]).abs() * reach(axis)))),
            (GridField::Direction, largest([0, 1, 2].map(|axis| turned(axis) * reach(axis)))),
        ];
        let worst =
            fields.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(GridField::Origin, |(field, _)| field);
        let say = |grid: &Self| match worst {
            GridField::Spacing => format!("{} mm", list(grid.spacing())),
            GridField::Direction => {
                format!("{} along {}", grid.orientation(), [0, 1, 2].map(|axis| list(grid.direction(axis))).join(", "))
            }
            _ => format!("{} mm", list(grid.world([0.0; 3]))),
        };
        GridMismatch { field: worst, expected: say(self), found: say(other), displacement }
    }

    /// Checks that another grid has the same shape. Positions are not compared.
    ///
    /// # Errors
    /// [`GridMismatch`] with both shapes.
    pub fn compare_shape(&self, other: &Self) -> Result<(), GridMismatch> {
        if self.shape == other.shape {
            return Ok(());
        }
        let shape = |grid: &Self| grid.shape.map(|side| side.to_string()).join(" x ");
        let (expected, found) = (shape(self), shape(other));
        Err(GridMismatch { field: GridField::Shape, expected, found, displacement: f64::NAN })
    }

    /// The unit vector along a voxel axis; zeros if the spacing is 0.
    fn direction(&self, axis: usize) -> [f64; 3] {
        let column = self.column(axis);
        let length = norm(column).max(f64::MIN_POSITIVE);
        column.map(|part| part / length)
    }

    /// The affine without its last row, for messages.
    pub(crate) fn affine_rows(&self) -> [[f64; 4]; 3] {
        [self.affine[0], self.affine[1], self.affine[2]]
    }

    fn column(&self, axis: usize) -> [f64; 3] {
        [0, 1, 2].map(|row| self.affine[row][axis])
    }

    /// Indices of the eight corner voxels.
    pub(crate) fn corners(&self) -> [[f64; 3]; 8] {
        std::array::from_fn(|corner| {
            std::array::from_fn(
                |axis| if corner >> axis & 1 == 1 { self.shape[axis].saturating_sub(1) as f64 } else { 0.0 },
            )
        })
    }
}

pub(crate) fn norm(vector: [f64; 3]) -> f64 {
    dot(vector, vector).sqrt()
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
}

/// The largest value; NaN if any value is NaN.
pub(crate) fn largest<const N: usize>(values: [f64; N]) -> f64 {
    values.into_iter().map(f64::abs).max_by(f64::total_cmp).unwrap_or(0.0)
}

pub(crate) fn list(values: [f64; 3]) -> String {
    format!("[{:.4}, {:.4}, {:.4}]", values[0], values[1], values[2])
}

/// The property in which two grids differ.
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

/// The difference between two grids.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the {field} differs: expected {expected}, found {found}{}", if displacement.is_nan() { String::new() } else { format!(", which moves a corner of the volume by {displacement:.3} mm") })]
#[non_exhaustive]
pub struct GridMismatch {
    /// The field.
    pub field: GridField,
    /// The reference's value.
    pub expected: String,
    /// The other grid's value.
    pub found: String,
    /// Largest displacement of a corner, in mm; NaN if the shapes differ.
    pub displacement: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diagonal(x: f64, y: f64, z: f64) -> Grid {
        let affine = [[x, 0.0, 0.0, 5.0], [0.0, y, 0.0, -7.0], [0.0, 0.0, z, 9.0], [0.0, 0.0, 0.0, 1.0]];
        Grid::new([10, 20, 30], affine)
    }

    #[test]
    fn letters_spacing_and_thick_slices() {
        assert_eq!(diagonal(1.0, 2.0, 3.0).orientation(), "RAS");
        assert_eq!(diagonal(-1.0, -2.0, 3.0).orientation(), "LPS");
        assert!(diagonal(-1.0, -2.0, 3.0).spacing().iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(diagonal(1.0, 5.0, 1.0).through_plane_axis(), Some(1));
        assert_eq!(diagonal(1.0, 1.005, 1.0).through_plane_axis(), None);
    }

    #[test]
    fn positions_lead_back_to_their_voxels() {
        // An oblique and sheared affine whose second axis is flipped.
        let affine = [[1.2, -0.3, 0.4, -80.0], [0.2, -0.9, 0.1, 30.0], [-0.5, 0.2, 4.8, 700.0], [0.0, 0.0, 0.0, 1.0]];
        let grid = Grid::new([10, 20, 30], affine);
        for voxel in [[0.0, 0.0, 0.0], [3.5, -2.0, 17.25], [9.0, 19.0, 29.0]] {
            let found = grid.index(grid.world(voxel)).expect("the affine has an inverse");
            assert!(found.iter().zip(voxel).all(|(found, voxel)| (found - voxel).abs() < 1e-9), "{found:?}");
        }
        let mut flat = grid;
        flat.affine[1] = flat.affine[0];
        assert_eq!(flat.index([0.0; 3]), None);
    }

    #[test]
    fn grids_that_cannot_exist_are_refused() {
        let Grid { shape, affine } = diagonal(1.0, 2.0, 3.0);
        assert_eq!(Grid::try_new([4, 5, 0], affine), Err(GridError::NoVoxels { shape: [4, 5, 0] }));
        assert!(matches!(Grid::try_new(shape, [[0.0; 4]; 4]), Err(GridError::Singular { .. })));
        let (mut nan, mut flat, mut sheared) = (affine, affine, affine);
        nan[1][3] = f64::NAN;
        assert!(matches!(Grid::try_new(shape, nan), Err(GridError::NotFinite { .. })));
        // The third axis is in the plane of the others, except for rounding errors.
        (0..3).for_each(|row| flat[row][2] = 0.1 * flat[row][0] + 0.7 * flat[row][1]);
        assert!(matches!(Grid::try_new(shape, flat), Err(GridError::Singular { .. })));
        (0..3).for_each(|row| sheared[row][2] += 5.0 * sheared[row][0]);
        assert!(Grid::try_new(shape, sheared).is_ok());
    }

    #[test]
    #[should_panic(expected = "expected at least one voxel along each axis, found a shape of [0, 1, 1]")]
    fn a_wrong_grid_panics_with_its_reason() {
        Grid::new([0, 1, 1], diagonal(1.0, 1.0, 1.0).affine);
    }

    #[test]
    fn the_same_grid_is_a_matter_of_the_voxels_size() {
        for size in [0.001, 1.0, 100.0] {
            let grid = diagonal(size, size, 3.0 * size);
            let moved = |axis: usize, share: f64| {
                let mut moved = grid.clone();
                moved.affine[axis][3] += share * grid.spacing()[axis];
                grid.check_same(&moved)
            };
            assert!(moved(0, 0.09).is_ok() && moved(2, -0.09).is_ok());
            assert_eq!(moved(0, 0.11).expect_err("too far").field, GridField::Origin);
            assert_eq!(moved(2, -0.11).expect_err("too far").field, GridField::Origin);
            // 9 voxels of 1.02 are 0.18 further than 9 of 1.
            assert_eq!(
                grid.check_same(&diagonal(1.02 * size, size, 3.0 * size)).expect_err("too large").field,
                GridField::Spacing
            );
        }
        let mut broken = diagonal(1.0, 1.0, 3.0);
        broken.affine[0][0] = f64::NAN;
        assert!(diagonal(1.0, 1.0, 3.0).check_same(&broken).is_err());
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
        assert!(mismatch.to_string().contains("0.500 mm"), "{mismatch}");
        let mut cropped = grid.clone();
        cropped.shape[2] = 29;
        assert_eq!(field(&cropped), GridField::Shape);
        assert!(grid.compare_shape(&moved).is_ok() && grid.compare_shape(&cropped).is_err());
        let mut broken = grid.clone();
        broken.affine[0][0] = f64::NAN;
        assert!(grid.compare(&broken, 0.01).is_err());
    }

    proptest! {
        #[test]
        fn comparing_is_symmetric_and_moving_is_measured(
            noise in prop::collection::vec(-0.02_f64..0.02, 9),
            shift in prop::array::uniform3(-2.0_f64..2.0),
        ) {
            let grid = diagonal(0.8, -0.8, 3.0);
            let mut other = grid.clone();
            for (index, value) in noise.iter().enumerate() {
                other.affine[index / 3][index % 3] += value;
            }
            for (row, value) in shift.into_iter().enumerate() {
                other.affine[row][3] += value;
            }
            prop_assert!(grid.compare(&grid, 0.0).is_ok());
            let (there, back) = (grid.compare(&other, 0.0).expect_err("moved"), other.compare(&grid, 0.0).expect_err("moved"));
            prop_assert_eq!(there.field, back.field);
            prop_assert!((there.displacement - back.displacement).abs() < 1e-12);
            prop_assert!(there.displacement >= norm(shift) - 1e-9, "the first voxel is a corner");
            prop_assert!(grid.compare(&other, there.displacement).is_ok());
        }
    }
}
