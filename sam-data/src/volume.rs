//! Volumes of intensities and label volumes.

use std::collections::BTreeSet;

use ndarray::Array3;

use crate::{Grid, GridError};

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

    #[test]
    fn volumes_without_slices_are_refused() {
        assert!(matches!(Volume::try_new(Array3::zeros((4, 4, 0)), UNIT), Err(GridError::NoVoxels { .. })));
        assert!(matches!(
            LabelVolume::try_new(Array3::zeros((4, 4, 4)), [[0.0; 4]; 4]),
            Err(GridError::Singular { .. })
        ));
    }
}
