//! Volumes of intensities and label volumes.

use std::collections::BTreeSet;

use ndarray::{Array3, Axis};

use crate::{Grid, GridError, SliceAxis};

/// The header of a NIfTI file, kept byte for byte so that masks can be written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHeader {
    /// The header: 348 bytes for NIfTI-1, 540 for NIfTI-2.
    pub(crate) bytes: Vec<u8>,
    /// The extension flag and the extensions: all bytes between the header and the voxels of a single file, at least 4.
    pub(crate) extensions: Vec<u8>,
    /// Whether numbers are little-endian.
    pub(crate) little_endian: bool,
}

/// A volume of intensities, after scaling (HU, or arbitrary units for MR).
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Intensities in file order: `[i, j, k]`.
    pub voxels: Array3<f32>,
    /// The grid of the volume.
    pub grid: Grid,
    /// The header of the file; `None` if the volume was not read from a NIfTI file.
    pub header: Option<SourceHeader>,
}

impl Volume {
    /// Creates a volume without a file. The grid gets the array's shape.
    ///
    /// # Panics
    /// As [`Grid::new`]; see [`Volume::try_new`].
    #[track_caller]
    pub fn new(voxels: Array3<f32>, affine: [[f64; 4]; 4]) -> Self {
        let grid = Grid::new(shape_of(&voxels), affine);
        Self { voxels, grid, header: None }
    }

    /// Creates a volume without a file. The grid gets the array's shape.
    ///
    /// # Errors
    /// As [`Grid::try_new`].
    pub fn try_new(voxels: Array3<f32>, affine: [[f64; 4]; 4]) -> Result<Self, GridError> {
        let grid = Grid::try_new(shape_of(&voxels), affine)?;
        Ok(Self { voxels, grid, header: None })
    }
}

/// A label volume: a label for each voxel. 0 is background.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelVolume {
    /// Labels in file order: `[i, j, k]`.
    pub labels: Array3<u16>,
    /// The grid of the volume.
    pub grid: Grid,
}

impl LabelVolume {
    /// Creates a label volume. The grid gets the array's shape.
    ///
    /// # Panics
    /// As [`Grid::new`]; see [`LabelVolume::try_new`].
    #[track_caller]
    pub fn new(labels: Array3<u16>, affine: [[f64; 4]; 4]) -> Self {
        let grid = Grid::new(shape_of(&labels), affine);
        Self { labels, grid }
    }

    /// Creates a label volume. The grid gets the array's shape.
    ///
    /// # Errors
    /// As [`Grid::try_new`].
    pub fn try_new(labels: Array3<u16>, affine: [[f64; 4]; 4]) -> Result<Self, GridError> {
        let grid = Grid::try_new(shape_of(&labels), affine)?;
        Ok(Self { labels, grid })
    }

    /// All labels in the volume except background.
    pub fn values(&self) -> BTreeSet<u16> {
        self.labels.iter().copied().filter(|&label| label != 0).collect()
    }

    /// The axis along which a person outlined slices: the one with the fewest slices that hold a label.
    ///
    /// Returns a `given` axis other than [`SliceAxis::Auto`] unchanged. Returns `Auto` if several axes have the fewest slices.
    #[must_use]
    pub fn outlined_axis(&self, given: SliceAxis) -> SliceAxis {
        if given != SliceAxis::Auto {
            return given;
        }
        let outlined = |axis: usize| {
            self.labels.axis_iter(Axis(axis)).filter(|slice| slice.iter().any(|&label| label != 0)).count()
        };
        let counts = [outlined(0), outlined(1), outlined(2)];
        let fewest = counts.into_iter().min().unwrap_or(0);
        let stands_out = counts.iter().filter(|&&count| count == fewest).count() == 1;
        let axes = [SliceAxis::I, SliceAxis::J, SliceAxis::K];
        let found = axes.into_iter().zip(counts).find(|&(_, count)| stands_out && count == fewest);
        found.map_or(SliceAxis::Auto, |(axis, _)| axis)
    }

    /// The mask of some label values.
    pub fn mask(&self, values: &[u16]) -> Array3<bool> {
        self.labels.mapv(|label| values.contains(&label))
    }
}

fn shape_of<T>(array: &Array3<T>) -> [usize; 3] {
    let (i, j, k) = array.dim();
    [i, j, k]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    /// A cube with labels in a box of voxels. With `axis`, only two slices along it have labels.
    fn labelled(axis: Option<usize>) -> LabelVolume {
        let inside = |index: [usize; 3]| {
            let is_drawn = |place: usize| {
                if Some(place) == axis { [1, 4].contains(&index[place]) } else { (1..5).contains(&index[place]) }
            };
            (0..3).all(is_drawn)
        };
        LabelVolume::new(Array3::from_shape_fn((6, 6, 6), |(i, j, k)| 3 * u16::from(inside([i, j, k]))), UNIT)
    }

    #[test]
    fn the_outlined_axis_has_the_fewest_labelled_slices() {
        for (axis, expected) in [SliceAxis::I, SliceAxis::J, SliceAxis::K].into_iter().enumerate() {
            let annotations = labelled(Some(axis));
            assert_eq!(annotations.outlined_axis(SliceAxis::Auto), expected);
            assert_eq!(annotations.outlined_axis(SliceAxis::Coronal), SliceAxis::Coronal, "a given axis stays");
        }
        let nothing = LabelVolume::new(Array3::zeros((6, 6, 6)), UNIT);
        assert_eq!(nothing.outlined_axis(SliceAxis::Auto), SliceAxis::Auto, "nothing is outlined");
        assert_eq!(labelled(None).outlined_axis(SliceAxis::Auto), SliceAxis::Auto, "no axis stands out");
    }

    #[test]
    fn volumes_without_slices_are_refused() {
        assert!(matches!(Volume::try_new(Array3::zeros((4, 4, 0)), UNIT), Err(GridError::NoVoxels { .. })));
        assert!(matches!(
            LabelVolume::try_new(Array3::zeros((4, 4, 4)), [[0.0; 4]; 4]),
            Err(GridError::Singular { .. })
        ));
    }
}
