//! Resampling of volumes onto another grid: linear for intensities, nearest neighbour for labels.
//!
//! All positions are in millimetres, from voxel centre to voxel centre. A voxel fills the box around its centre, and a volume fills the
//! boxes of all its voxels. Only places beyond these boxes are outside.

use ndarray::{Array3, ArrayView3, ShapeBuilder};
use rayon::prelude::*;

use crate::{
    DataError, Grid, LabelVolume, ResampleError, Volume,
    geometry::{cross, dot, norm},
};

/// Largest number of voxels along a side, as in NIfTI-1. A spacing that needs more is a mistake.
const MOST_VOXELS: f64 = 32767.0;
/// Tolerance at the border of a volume, in voxels, for rounding errors of affines.
const BORDER_TOLERANCE: f64 = 1e-6;
/// A voxel centre may lie beyond the outermost centres of a right-angled grid by this share of a voxel.
const REACH_TOLERANCE: f64 = 1e-3;

impl Grid {
    /// The grid with another spacing, in mm, that covers the same box around the same centre.
    ///
    /// The axes keep their directions. Each side has the smallest number of voxels that covers the box, so it may extend beyond the box by
    /// less than half a voxel at either end. All voxel centres of each grid are inside the box of the other, so resampling there and back
    /// never samples outside.
    ///
    /// # Errors
    /// [`DataError::Resample`] if a spacing is not above 0, or so small that a side needs more than 32767 voxels.
    pub fn with_spacing(&self, spacing: [f64; 3]) -> Result<Self, DataError> {
        let own = self.spacing();
        let mut grid = self.clone();
        for axis in 0..3 {
            let extent = self.shape[axis] as f64 * own[axis];
            // 512 voxels of 0.7 mm must become 1024 of 0.35 mm, not 1025 because of rounding.
            let count = (extent / spacing[axis] - BORDER_TOLERANCE).ceil().max(1.0);
            let usable = spacing[axis] > 0.0 && own[axis] > 0.0 && count <= MOST_VOXELS;
            if !usable {
                return Err(ResampleError::Spacing { spacing, most: MOST_VOXELS, shape: self.shape, own }.into());
            }
            grid.shape[axis] = count as usize;
            for row in 0..3 {
                grid.affine[row][axis] *= spacing[axis] / own[axis];
            }
        }
        // Moves the centre back to where it was.
        let (before, after) = (self.centre(), grid.centre());
        for row in 0..3 {
            grid.affine[row][3] += before[row] - after[row];
        }
        Ok(grid)
    }

    /// The grid with axes at right angles that covers all voxel centres of this one, such as that of a series with a tilted gantry.
    ///
    /// The first axis keeps its direction, the second its plane with the first. The spacing along each axis is that of this grid, measured
    /// along the new axis. The first voxel of this grid is a voxel of the new one, too.
    ///
    /// ```
    /// use sam_data::Grid;
    ///
    /// let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    /// let upright = Grid::new([10, 10, 5], affine).right_angled()?;
    /// assert_eq!((upright.shape, upright.spacing()), ([10, 12, 5], [1.0, 1.0, 2.0]));
    /// # Ok::<(), sam_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::InvalidGrid`] if this grid is not valid.
    pub fn right_angled(&self) -> Result<Self, DataError> {
        self.check()?;
        let [i, j, k] = [0, 1, 2].map(|axis| [0, 1, 2].map(|row| self.affine[row][axis]));
        let unit = |vector: [f64; 3]| vector.map(|part| part / norm(vector));
        let first = unit(i);
        let third = unit(cross(i, j));
        // The sign follows the third axis, so a mirrored grid stays mirrored.
        let third = third.map(|part| part * dot(third, k).signum());
        let second = unit([0, 1, 2].map(|row| j[row] - dot(first, j) * first[row]));
        let (axes, columns) = ([first, second, third], [i, j, k]);
        let mut grid = self.clone();
        for (axis, direction) in axes.into_iter().enumerate() {
            let spacing = dot(direction, columns[axis]);
            // Voxel centres along the new axis, in its voxels from the first one.
            let reach = [0, 1, 2].map(|own| dot(direction, columns[own]) / spacing * (self.shape[own] as f64 - 1.0));
            let low: f64 = reach.iter().map(|reach| reach.min(0.0)).sum();
            let high: f64 = reach.iter().map(|reach| reach.max(0.0)).sum();
            let (low, high) = ((low + REACH_TOLERANCE).floor(), (high - REACH_TOLERANCE).ceil());
            grid.shape[axis] = (high - low) as usize + 1;
            for (row, part) in direction.into_iter().enumerate() {
                grid.affine[row][axis] = part * spacing;
                grid.affine[row][3] += part * spacing * low;
            }
        }
        Ok(grid)
    }

    /// The centre of the volume, in mm.
    pub fn centre(&self) -> [f64; 3] {
        self.world(self.shape.map(|side| (side as f64 - 1.0) / 2.0))
    }
}

impl Volume {
    /// Resamples this volume onto another grid: linearly between voxel centres, and constant from the outermost centres to the border.
    /// Voxels whose centre is outside this volume become `outside`.
    ///
    /// The result has no header, so writing it creates a new one.
    ///
    /// ```
    /// use sam_data::PhantomConfig;
    ///
    /// let scan = PhantomConfig::default().with_shape([32, 32, 8]).generate().volume;
    /// let isotropic = scan.resampled(&scan.grid.with_spacing([3.0; 3])?, 0.0)?;
    /// assert!(isotropic.grid.spacing().iter().all(|spacing| (spacing - 3.0).abs() < 1e-9));
    /// let back = isotropic.resampled(&scan.grid, 0.0)?;
    /// assert_eq!(back.voxels.dim(), scan.voxels.dim());
    /// # Ok::<(), sam_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Resample`] if this volume's affine has no inverse, its voxel array and its grid differ in shape, or the result does not
    /// fit into memory.
    pub fn resampled(&self, onto: &Grid, outside: f32) -> Result<Self, DataError> {
        let voxels = resample(self.voxels.view(), &self.grid, onto, outside, linear)?;
        Ok(Self { voxels, grid: onto.clone(), header: None })
    }
}

impl LabelVolume {
    /// Resamples these labels onto another grid by nearest neighbour. Voxels whose centre is outside become background.
    ///
    /// Resampling onto a finer grid and back gives the original labels.
    ///
    /// # Errors
    /// As [`Volume::resampled`].
    pub fn resampled(&self, onto: &Grid) -> Result<Self, DataError> {
        let labels = resample(self.labels.view(), &self.grid, onto, 0, nearest)?;
        Ok(Self { labels, grid: onto.clone() })
    }
}

/// Samples `voxels` at each voxel of the grid `onto`. `sample` is only called for places inside the volume.
#[expect(clippy::expect_used, reason = "the length is the product of the sides")]
fn resample<T: Copy + Send + Sync>(
    voxels: ArrayView3<'_, T>,
    from: &Grid,
    onto: &Grid,
    outside: T,
    sample: impl Fn(&ArrayView3<'_, T>, [f64; 3]) -> T + Sync,
) -> Result<Array3<T>, DataError> {
    if voxels.shape() != from.shape {
        return Err(ResampleError::Shape { expected: from.shape, found: voxels.shape().to_vec() }.into());
    }
    let steps = Steps::between(from, onto)?;
    let mut values = Vec::new();
    let count = onto.shape.iter().try_fold(1, |all: usize, &side| all.checked_mul(side));
    if count.is_none_or(|count| values.try_reserve_exact(count).is_err()) {
        return Err(ResampleError::Memory { shape: onto.shape }.into());
    }
    values.resize(count.unwrap_or(0), outside);
    let [i, j, k] = onto.shape;
    let last = from.shape.map(|side| side as f64 - 1.0);
    let border = 0.5 + BORDER_TOLERANCE;
    values.par_chunks_mut(i.max(1)).enumerate().for_each(|(number, row)| {
        let start = steps.start_of_row(number % j, number / j);
        for (i, value) in row.iter_mut().enumerate() {
            let at = steps.along_row(start, i);
            if (0..3).all(|axis| (-border..=last[axis] + border).contains(&at[axis])) {
                *value = sample(&voxels, [0, 1, 2].map(|axis| at[axis].clamp(0.0, last[axis])));
            }
        }
    });
    Ok(Array3::from_shape_vec((i, j, k).f(), values).expect("as many values as the shape needs"))
}

/// The affine map from voxel indices of one grid to those of another, as a step for each axis.
struct Steps {
    /// Place of the first voxel.
    first: [f64; 3],
    /// Step along each axis.
    axes: [[f64; 3]; 3],
}

impl Steps {
    fn between(from: &Grid, onto: &Grid) -> Result<Self, ResampleError> {
        let place =
            |index: [f64; 3]| from.index(onto.world(index)).filter(|place| place.iter().all(|part| part.is_finite()));
        let corners = [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(place);
        let [Some(first), Some(i), Some(j), Some(k)] = corners else {
            let [from, onto] = [from, onto].map(|grid| Box::new(grid.affine_rows()));
            return Err(ResampleError::Affine { from, onto });
        };
        Ok(Self { first, axes: [i, j, k].map(|next| [0, 1, 2].map(|axis| next[axis] - first[axis])) })
    }

    fn start_of_row(&self, j: usize, k: usize) -> [f64; 3] {
        let (j, k) = (j as f64, k as f64);
        [0, 1, 2].map(|axis| self.first[axis] + j * self.axes[1][axis] + k * self.axes[2][axis])
    }

    fn along_row(&self, start: [f64; 3], i: usize) -> [f64; 3] {
        [0, 1, 2].map(|axis| start[axis] + i as f64 * self.axes[0][axis])
    }
}

/// The label of the voxel with the nearest centre; in a tie, the one with the higher index.
fn nearest(labels: &ArrayView3<'_, u16>, at: [f64; 3]) -> u16 {
    // Places are at most at the last centre, so the index stays in range.
    labels[at.map(|part| (part + 0.5) as usize)]
}

/// Trilinear interpolation between the eight voxels around a place.
fn linear(voxels: &ArrayView3<'_, f32>, at: [f64; 3]) -> f32 {
    let low = at.map(|part| part as usize);
    let high = [0, 1, 2].map(|axis| (low[axis] + 1).min(voxels.shape()[axis] - 1));
    let share = [0, 1, 2].map(|axis| at[axis] - low[axis] as f64);
    let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
    let along_i = |j: usize, k: usize| mix(voxels[[low[0], j, k]].into(), voxels[[high[0], j, k]].into(), share[0]);
    let along_j = |k: usize| mix(along_i(low[1], k), along_i(high[1], k), share[1]);
    mix(along_j(low[2]), along_j(high[2]), share[2]) as f32
}
