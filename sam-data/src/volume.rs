//! Volumes of intensities and of labels.

use std::collections::BTreeSet;

use ndarray::Array3;

use crate::Grid;

/// What a NIfTI file says before its voxels, kept byte for byte so that a mask can leave with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHeader {
    /// The header: 348 bytes of NIfTI-1 or 540 of NIfTI-2.
    pub(crate) bytes: Vec<u8>,
    /// All between the header and the voxels of a single file, at least 4 bytes: the extension flag and extensions.
    pub(crate) extensions: Vec<u8>,
    /// Whether numbers are stored low byte first.
    pub(crate) little_endian: bool,
}

/// A volume of intensities (HU, or MR's arbitrary units), scaling applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Intensities in file order: `[i, j, k]`.
    pub voxels: Array3<f32>,
    /// Where the voxels lie.
    pub grid: Grid,
    /// The header of the file it came from; `None` for a volume that was made.
    pub header: Option<SourceHeader>,
}

impl Volume {
    /// A volume that came from no file. The grid takes the array's shape.
    pub fn new(voxels: Array3<f32>, affine: [[f64; 4]; 4]) -> Self {
        let grid = Grid::new(shape_of(&voxels), affine);
        Self { voxels, grid, header: None }
    }
}

/// A volume of labels: 0 is background.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelVolume {
    /// Labels in file order: `[i, j, k]`.
    pub labels: Array3<u16>,
    /// Where the voxels lie.
    pub grid: Grid,
}

impl LabelVolume {
    /// Joins labels and where they lie. The grid takes the array's shape.
    pub fn new(labels: Array3<u16>, affine: [[f64; 4]; 4]) -> Self {
        let grid = Grid::new(shape_of(&labels), affine);
        Self { labels, grid }
    }

    /// All labels that occur, background left out.
    pub fn values(&self) -> BTreeSet<u16> {
        self.labels.iter().copied().filter(|&label| label != 0).collect()
    }

    /// Where any of some labels is.
    pub fn mask(&self, values: &[u16]) -> Array3<bool> {
        self.labels.mapv(|label| values.contains(&label))
    }
}

fn shape_of<T>(array: &Array3<T>) -> [usize; 3] {
    let (i, j, k) = array.dim();
    [i, j, k]
}
