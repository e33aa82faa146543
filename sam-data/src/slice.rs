//! How slices are cut from a volume, turned for viewing, and put back.

use std::{fmt, str::FromStr};

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{DataError, Grid};

/// Bytes that come from memory together.
const CACHE_LINE: usize = 64;

/// Voxels below which sharing a slice among cores takes longer than it saves.
const FEWEST_TO_SHARE: usize = 1 << 14;

/// Along which axis a volume is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceAxis {
    /// Through the plane in which voxels are finest; axial where no spacing stands out by more than 1 %.
    #[default]
    Auto,
    /// Slices from foot to head.
    Axial,
    /// Slices from back to front.
    Coronal,
    /// Slices from side to side.
    Sagittal,
    /// The first voxel index, wherever it points.
    I,
    /// The second voxel index.
    J,
    /// The third voxel index.
    K,
}

impl SliceAxis {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Auto, "auto"),
        (Self::Axial, "axial"),
        (Self::Coronal, "coronal"),
        (Self::Sagittal, "sagittal"),
        (Self::I, "i"),
        (Self::J, "j"),
        (Self::K, "k"),
    ];
}

impl FromStr for SliceAxis {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let named = Self::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        named.map(|(axis, _)| axis).ok_or_else(|| DataError::Word {
            expected: "auto, axial, coronal, sagittal, i, j or k",
            found: text.to_owned(),
        })
    }
}

impl fmt::Display for SliceAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(axis, _)| axis == self).map_or("auto", |(_, name)| name);
        f.write_str(name)
    }
}

/// A cut through a volume, and how its slices are turned to look as radiologists see them.
///
/// Axial slices have the front above and the patient's right at the left; coronal ones the head above; sagittal ones the head above
/// and the front at the left. Oblique volumes are turned by their nearest axes. Turning is a transposition and flips, so that it is
/// undone exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct SlicePlane {
    /// Voxel axis that is cut, and those that become rows and columns.
    axes: [usize; 3],
    flip_rows: bool,
    flip_columns: bool,
    shape: [usize; 3],
    spacing: [f64; 3],
}

impl SlicePlane {
    /// The cut along an axis of a grid.
    pub fn new(grid: &Grid, axis: SliceAxis) -> Self {
        let closest = grid.closest_axes();
        let voxel_axis = |patient: usize| (0..3).find(|&axis| closest[axis].0 == patient).unwrap_or(patient);
        let cut = match axis {
            SliceAxis::Auto => grid.through_plane_axis().unwrap_or_else(|| voxel_axis(2)),
            SliceAxis::Axial => voxel_axis(2),
            SliceAxis::Coronal => voxel_axis(1),
            SliceAxis::Sagittal => voxel_axis(0),
            SliceAxis::I => 0,
            SliceAxis::J => 1,
            SliceAxis::K => 2,
        };
        // Rows run from superior to inferior, or from anterior to posterior where the cut itself is superior.
        let rows = voxel_axis(if closest[cut].0 == 2 { 1 } else { 2 });
        let columns = 3 - cut - rows;
        Self {
            axes: [cut, rows, columns],
            flip_rows: closest[rows].1,
            flip_columns: closest[columns].1,
            shape: grid.shape,
            spacing: grid.spacing(),
        }
    }

    /// The voxel axis that is cut: 0, 1 or 2.
    pub fn axis(&self) -> usize {
        self.axes[0]
    }

    /// How many slices there are.
    pub fn count(&self) -> usize {
        self.shape[self.axes[0]]
    }

    /// Rows and columns of a slice.
    pub fn size(&self) -> (usize, usize) {
        (self.shape[self.axes[1]], self.shape[self.axes[2]])
    }

    /// Distance between rows and between columns, in mm.
    pub fn spacing(&self) -> (f64, f64) {
        (self.spacing[self.axes[1]], self.spacing[self.axes[2]])
    }

    /// The (fractional) voxel index of a place on a slice, in file order.
    pub fn voxel(&self, slice: f64, row: f64, column: f64) -> [f64; 3] {
        let mut voxel = [0.0; 3];
        let turned = |flip: bool, axis: usize, at: f64| if flip { (self.shape[axis] as f64 - 1.0) - at } else { at };
        voxel[self.axes[0]] = slice;
        voxel[self.axes[1]] = turned(self.flip_rows, self.axes[1], row);
        voxel[self.axes[2]] = turned(self.flip_columns, self.axes[2], column);
        voxel
    }

    /// Slice, row and column of a (fractional) voxel index: the inverse of [`SlicePlane::voxel`].
    pub fn place(&self, voxel: [f64; 3]) -> [f64; 3] {
        let [slice, row, column] = self.axes.map(|axis| voxel[axis]);
        // Turning is its own inverse.
        let turned = self.voxel(slice, row, column);
        self.axes.map(|axis| turned[axis])
    }

    /// Cuts a slice out of a volume in file order: `[rows, columns]`.
    ///
    /// # Panics
    /// If the volume has another shape than the grid, or the index is beyond [`SlicePlane::count`].
    pub fn extract<T: Clone + Send + Sync>(&self, volume: ArrayView3<'_, T>, index: usize) -> Array2<T> {
        self.check(volume.shape());
        self.turn(volume.index_axis_move(Axis(self.axes[0]), index))
    }

    /// Turns a slice whose axes are in file order.
    pub(crate) fn turn<T: Clone + Send + Sync>(&self, mut slice: ArrayView2<'_, T>) -> Array2<T> {
        if self.axes[1] > self.axes[2] {
            slice = slice.reversed_axes();
        }
        if self.flip_rows {
            slice.invert_axis(Axis(0));
        }
        if self.flip_columns {
            slice.invert_axis(Axis(1));
        }
        gathered(slice)
    }

    /// Puts a slice back into a volume in file order: the inverse of [`SlicePlane::extract`].
    ///
    /// # Panics
    /// If a shape differs, or the index is beyond [`SlicePlane::count`].
    pub fn insert<T: Clone>(&self, volume: &mut Array3<T>, index: usize, slice: ArrayView2<'_, T>) {
        self.check(volume.shape());
        assert_eq!(slice.dim(), self.size(), "a slice must have the plane's size");
        let mut target: ArrayViewMut2<'_, T> = volume.view_mut().index_axis_move(Axis(self.axes[0]), index);
        if self.axes[1] > self.axes[2] {
            target = target.reversed_axes();
        }
        if self.flip_rows {
            target.invert_axis(Axis(0));
        }
        if self.flip_columns {
            target.invert_axis(Axis(1));
        }
        target.assign(&slice);
    }

    pub(crate) fn check(&self, shape: &[usize]) {
        assert_eq!(shape, self.shape, "a volume must have its grid's shape");
    }
}

/// A copy.
///
/// Voxels that lie apart come from memory one by one, and a core waits for each; so the rows of such a slice are shared among the cores.
fn gathered<T: Clone + Send + Sync>(slice: ArrayView2<'_, T>) -> Array2<T> {
    let lie_together = slice.strides().iter().any(|&stride| stride.unsigned_abs() * size_of::<T>() < CACHE_LINE);
    if lie_together || slice.len() < FEWEST_TO_SHARE {
        return slice.to_owned();
    }
    let share = slice.nrows().div_ceil(rayon::current_num_threads()).max(1);
    let parts: Vec<_> = slice.axis_chunks_iter(Axis(0), share).collect();
    let parts: Vec<Array2<T>> = parts.into_par_iter().map(|part| part.to_owned()).collect();
    let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(0), &parts).expect("parts of one slice have its columns")
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ShapeBuilder};

    use super::*;

    /// All 48 ways in which voxel axes can run along patient axes, on a grid of unequal sides.
    fn all_orientations() -> impl Iterator<Item = Grid> {
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        permutations.into_iter().flat_map(|permutation| {
            (0..8).map(move |signs: usize| {
                let mut affine = [[0.0; 4]; 4];
                for (axis, patient) in permutation.into_iter().enumerate() {
                    affine[patient][axis] = if signs >> axis & 1 == 1 { -1.0 } else { 1.0 };
                }
                affine[3][3] = 1.0;
                Grid::new([3, 4, 5], affine)
            })
        })
    }

    const CUTS: [SliceAxis; 6] =
        [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal, SliceAxis::I, SliceAxis::J, SliceAxis::K];

    #[test]
    fn slices_go_back_where_they_came_from_in_every_orientation() {
        let volume = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| 100 * i + 10 * j + k);
        for grid in all_orientations() {
            for axis in CUTS {
                let plane = SlicePlane::new(&grid, axis);
                let mut rebuilt = Array3::zeros((3, 4, 5));
                for index in 0..plane.count() {
                    let slice = plane.extract(volume.view(), index);
                    assert_eq!(slice.dim(), plane.size());
                    plane.insert(&mut rebuilt, index, slice.view());
                }
                assert_eq!(rebuilt, volume, "{} {axis}", grid.orientation());
            }
        }
    }

    #[test]
    fn large_slices_are_shared_among_cores_and_come_back_whole() {
        let shape = [3, 160, 150];
        let volume = Array3::from_shape_fn((3, 160, 150).f(), |(i, j, k)| 100_000 * i + 1000 * j + k);
        let mut affine = [[0.0; 4]; 4];
        (0..4).for_each(|axis| affine[axis][axis] = if axis == 1 { -1.0 } else { 1.0 });
        let plane = SlicePlane::new(&Grid::new(shape, affine), SliceAxis::I);
        let slice = plane.extract(volume.view(), 2);
        assert!(slice.len() > FEWEST_TO_SHARE);
        for ((row, column), &voxel) in slice.indexed_iter() {
            let [i, j, k] = plane.voxel(2.0, row as f64, column as f64).map(|part| part as usize);
            assert_eq!(voxel, 100_000 * i + 1000 * j + k);
        }
    }

    #[test]
    fn places_on_slices_are_voxels_in_every_orientation() {
        for grid in all_orientations() {
            let numbered = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (i, j, k));
            for axis in [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal] {
                let plane = SlicePlane::new(&grid, axis);
                for index in 0..plane.count() {
                    for ((row, column), &(i, j, k)) in plane.extract(numbered.view(), index).indexed_iter() {
                        let voxel = plane.voxel(index as f64, row as f64, column as f64);
                        assert_eq!(voxel.map(|part| part as usize), [i, j, k], "{} {axis}", grid.orientation());
                        assert_eq!(plane.place(voxel).map(|part| part as usize), [index, row, column]);
                    }
                }
            }
        }
    }

    #[test]
    fn axial_slices_show_the_front_above_and_the_right_at_the_left() {
        for grid in all_orientations() {
            let plane = SlicePlane::new(&grid, SliceAxis::Axial);
            let position = |coordinate: usize| {
                Array3::from_shape_fn((3, 4, 5), |(i, j, k)| grid.world([i as f64, j as f64, k as f64])[coordinate])
            };
            let (right, front) = (plane.extract(position(0).view(), 0), plane.extract(position(1).view(), 0));
            let (rows, columns) = plane.size();
            assert!(right[(0, 0)] > right[(0, columns - 1)], "{}", grid.orientation());
            assert!(front[(0, 0)] > front[(rows - 1, 0)], "{}", grid.orientation());
        }
    }

    #[test]
    fn coronal_and_sagittal_slices_show_the_head_above() {
        for grid in all_orientations() {
            let position = |coordinate: usize| {
                Array3::from_shape_fn((3, 4, 5), |(i, j, k)| grid.world([i as f64, j as f64, k as f64])[coordinate])
            };
            // The patient's right at the left of coronal slices, the front at the left of sagittal ones.
            for (axis, leftmost) in [(SliceAxis::Coronal, 0), (SliceAxis::Sagittal, 1)] {
                let plane = SlicePlane::new(&grid, axis);
                let (above, left) = (plane.extract(position(2).view(), 0), plane.extract(position(leftmost).view(), 0));
                let (rows, columns) = plane.size();
                assert!(above[(0, 0)] > above[(rows - 1, 0)], "{} {axis}", grid.orientation());
                assert!(left[(0, 0)] > left[(0, columns - 1)], "{} {axis}", grid.orientation());
            }
        }
    }

    #[test]
    fn thick_slices_are_found() {
        let affine = [[0.0, 0.0, 5.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        assert_eq!(SlicePlane::new(&Grid::new([8, 8, 8], affine), SliceAxis::Auto).axis(), 2);
        let isotropic = [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        assert_eq!(SlicePlane::new(&Grid::new([8, 8, 8], isotropic), SliceAxis::Auto).axis(), 1);
    }

    #[test]
    fn words_are_read_back() {
        for (axis, name) in SliceAxis::ALL {
            assert_eq!((name.parse::<SliceAxis>().expect("a known word"), axis.to_string()), (axis, name.to_owned()));
        }
        assert!("sideways".parse::<SliceAxis>().is_err());
    }
}
