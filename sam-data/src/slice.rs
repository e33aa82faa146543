//! Cutting slices from a volume, turning them for viewing, and putting them back.

use std::{fmt, str::FromStr};

use ndarray::{Array2, Array3, ArrayBase, ArrayView2, ArrayView3, Axis, Ix2, RawData};
use rayon::prelude::*;
use sam_prompt::{CutAxis, SliceGeometry};
use serde::{Deserialize, Serialize};

use crate::{DataError, Grid};

/// Size of a CPU cache line in bytes.
const CACHE_LINE: usize = 64;

/// For slices with fewer elements, copying in parallel takes longer than it saves.
const FEWEST_TO_SHARE: usize = 1 << 14;

/// The axis along which a volume is cut into slices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SliceAxis {
    /// The through-plane axis; axial if no spacing is more than 1 % larger than the others.
    #[default]
    Auto,
    /// Slices from foot to head.
    Axial,
    /// Slices from back to front.
    Coronal,
    /// Slices from side to side.
    Sagittal,
    /// Along the first voxel index, whatever its direction.
    I,
    /// Along the second voxel index.
    J,
    /// Along the third voxel index.
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
    /// The corresponding axes of a [`PromptDocument`](sam_prompt::PromptDocument).
    const CUTS: [(CutAxis, Self); 6] = [
        (CutAxis::Axial, Self::Axial),
        (CutAxis::Coronal, Self::Coronal),
        (CutAxis::Sagittal, Self::Sagittal),
        (CutAxis::I, Self::I),
        (CutAxis::J, Self::J),
        (CutAxis::K, Self::K),
    ];

    /// The axis that a prompt document names; `None` for a single image.
    pub fn from_cut(axis: CutAxis) -> Option<Self> {
        Self::CUTS.into_iter().find(|(cut, _)| *cut == axis).map(|(_, axis)| axis)
    }

    /// The axis as a prompt document names it; `None` for [`SliceAxis::Auto`], which can become any of them.
    pub fn to_cut(self) -> Option<CutAxis> {
        Self::CUTS.into_iter().find(|(_, axis)| *axis == self).map(|(cut, _)| cut)
    }
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

/// A cut of a volume into slices, which are turned to the radiological orientation.
///
/// Axial slices have anterior at the top and the patient's right on the left. Coronal slices have the head at the top and the patient's
/// right on the left. Sagittal slices have the head at the top and anterior on the left. Oblique volumes are turned by their closest axes.
/// Turning consists of a transposition and flips, so it can be undone exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct SlicePlane {
    /// The voxel axis that is cut, and those of rows and columns.
    axes: [usize; 3],
    flip_rows: bool,
    flip_columns: bool,
    grid: Grid,
    spacing: [f64; 3],
}

impl SlicePlane {
    /// The cut of a grid along an axis.
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
        // Rows are from superior to inferior. If the cut is along the superior axis, they are from anterior to posterior.
        let rows = voxel_axis(if closest[cut].0 == 2 { 1 } else { 2 });
        let columns = 3 - cut - rows;
        Self {
            axes: [cut, rows, columns],
            flip_rows: closest[rows].1,
            flip_columns: closest[columns].1,
            grid: grid.clone(),
            spacing: grid.spacing(),
        }
    }

    /// The grid that is cut.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The cut axis as prompt documents name it, by voxel index.
    pub const fn cut_axis(&self) -> CutAxis {
        match self.axes[0] {
            0 => CutAxis::I,
            1 => CutAxis::J,
            _ => CutAxis::K,
        }
    }

    /// The voxel axis that is cut: 0, 1 or 2.
    pub fn axis(&self) -> usize {
        self.axes[0]
    }

    /// The patient axis closest to the cut axis: `Axial`, `Coronal` or `Sagittal`.
    pub fn orientation(&self) -> SliceAxis {
        [SliceAxis::Sagittal, SliceAxis::Coronal, SliceAxis::Axial][self.patient_axis()]
    }

    /// The patient axis closest to the cut axis: 0 right, 1 anterior, 2 superior.
    fn patient_axis(&self) -> usize {
        self.grid.closest_axes()[self.axes[0]].0
    }

    /// Where a slice lies, in mm along the patient axis closest to the cut axis (RAS+: right, anterior, superior), at the slice's centre.
    pub fn millimetres(&self, index: usize) -> f64 {
        let (rows, columns) = self.size();
        let middle = |count: usize| (count as f64 - 1.0) / 2.0;
        self.grid.world(self.voxel(index as f64, middle(rows), middle(columns)))[self.patient_axis()]
    }

    /// Number of slices.
    pub fn count(&self) -> usize {
        self.grid.shape[self.axes[0]]
    }

    /// Rows and columns of a slice.
    pub fn size(&self) -> (usize, usize) {
        (self.grid.shape[self.axes[1]], self.grid.shape[self.axes[2]])
    }

    /// Distance between rows and between columns, in mm.
    pub fn spacing(&self) -> (f64, f64) {
        (self.spacing[self.axes[1]], self.spacing[self.axes[2]])
    }

    /// The (fractional) voxel index of a place on a slice.
    pub fn voxel(&self, slice: f64, row: f64, column: f64) -> [f64; 3] {
        let mut voxel = [0.0; 3];
        let turned =
            |flip: bool, axis: usize, at: f64| if flip { (self.grid.shape[axis] as f64 - 1.0) - at } else { at };
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

    /// Cuts a slice from a volume in file order: `[rows, columns]`.
    ///
    /// # Panics
    /// If the volume differs in shape from the grid, or the index is not below [`SlicePlane::count`]; see [`SlicePlane::try_extract`].
    #[track_caller]
    pub fn extract<T: Clone + Send + Sync>(&self, volume: ArrayView3<'_, T>, index: usize) -> Array2<T> {
        expected(self.try_extract(volume, index))
    }

    /// Cuts a slice from a volume in file order: `[rows, columns]`.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the volume differs in shape from the grid; [`DataError::NoSuchSlice`].
    pub fn try_extract<T: Clone + Send + Sync>(
        &self,
        volume: ArrayView3<'_, T>,
        index: usize,
    ) -> Result<Array2<T>, DataError> {
        self.check(volume.dim(), index)?;
        Ok(self.turn(volume.index_axis_move(Axis(self.axes[0]), index)))
    }

    /// Copies a slice in file order, turned for viewing.
    pub(crate) fn turn<T: Clone + Send + Sync>(&self, slice: ArrayView2<'_, T>) -> Array2<T> {
        gathered(self.turned(slice))
    }

    /// Turns a slice in file order for viewing.
    fn turned<S: RawData>(&self, mut slice: ArrayBase<S, Ix2>) -> ArrayBase<S, Ix2> {
        if self.axes[1] > self.axes[2] {
            slice = slice.reversed_axes();
        }
        if self.flip_rows {
            slice.invert_axis(Axis(0));
        }
        if self.flip_columns {
            slice.invert_axis(Axis(1));
        }
        slice
    }

    /// Puts a slice back into a volume in file order: the inverse of [`SlicePlane::extract`].
    ///
    /// # Panics
    /// If a shape is wrong, or the index is not below [`SlicePlane::count`]; see [`SlicePlane::try_insert`].
    #[track_caller]
    pub fn insert<T: Clone>(&self, volume: &mut Array3<T>, index: usize, slice: ArrayView2<'_, T>) {
        expected(self.try_insert(volume, index, slice));
    }

    /// Puts a slice back into a volume in file order: the inverse of [`SlicePlane::try_extract`].
    ///
    /// # Errors
    /// [`DataError::Shape`] if the volume differs in shape from the grid; [`DataError::NoSuchSlice`]; [`DataError::SliceSize`].
    pub fn try_insert<T: Clone>(
        &self,
        volume: &mut Array3<T>,
        index: usize,
        slice: ArrayView2<'_, T>,
    ) -> Result<(), DataError> {
        self.check(volume.dim(), index)?;
        if slice.dim() != self.size() {
            return Err(DataError::SliceSize { expected: self.size(), found: slice.dim() });
        }
        let target = volume.view_mut().index_axis_move(Axis(self.axes[0]), index);
        self.turned(target).assign(&slice);
        Ok(())
    }

    /// Checks that a volume of this shape fits the grid and has this slice.
    pub(crate) fn check(&self, (i, j, k): (usize, usize, usize), index: usize) -> Result<(), DataError> {
        if [i, j, k] != self.grid.shape {
            return Err(DataError::Shape { expected: self.grid.shape, found: [i, j, k] });
        }
        if index >= self.count() {
            return Err(DataError::NoSuchSlice { index, count: self.count() });
        }
        Ok(())
    }
}

/// Converts prompts between millimetres (RAS+) and pixels of this plane's slices.
impl SliceGeometry for SlicePlane {
    fn pixel(&self, position: [f64; 3]) -> Option<(usize, [f32; 2])> {
        let [slice, row, column] = self.place(self.grid.index(position)?);
        let nearest = slice.round();
        let exists = (slice - nearest).abs() <= 0.5 && (0.0..self.count() as f64).contains(&nearest);
        exists.then_some((nearest as usize, [column as f32, row as f32]))
    }

    fn position(&self, slice: usize, [x, y]: [f32; 2]) -> Option<[f64; 3]> {
        let exists = slice < self.count();
        exists.then(|| self.grid.world(self.voxel(slice as f64, f64::from(y), f64::from(x))))
    }
}

/// Returns the value, or panics with the error's text. Used for caller mistakes that each function documents under `# Panics`.
#[track_caller]
pub(crate) fn expected<T>(result: Result<T, DataError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Copies a slice to a new array.
///
/// If elements are not adjacent in memory, each needs its own cache line, and a core waits for each. So the rows of such a slice are copied
/// in parallel.
#[expect(clippy::expect_used, reason = "parts of one slice have its columns")]
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
mod tests;
