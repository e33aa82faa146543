//! Values that a caller gave and that cannot be used.

use thiserror::Error;

/// A grid on which no volume can lie.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GridError {
    /// A side without a voxel.
    #[error("expected at least one voxel along each axis, found a shape of {shape:?}; crop less")]
    NoVoxels {
        /// Voxels along each axis.
        shape: [usize; 3],
    },
    /// NaN or an infinite number in the affine.
    #[error("expected an affine of finite numbers, found {affine:?}; set spacing and orientation anew")]
    NotFinite {
        /// The affine's first three rows.
        affine: Box<[[f64; 4]; 3]>,
    },
    /// An affine that takes different voxels to one place, as one of zeros does.
    #[error(
        "expected an affine with an inverse (three axes that span space), found {affine:?}; set spacing and orientation anew"
    )]
    Singular {
        /// The affine's first three rows.
        affine: Box<[[f64; 4]; 3]>,
    },
}

/// Grids between which voxels cannot be resampled.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// A spacing that is not positive, or gives too many voxels.
    #[error(
        "expected spacings above 0 mm that make 1 to {most} voxels of each side, found {spacing:?} mm for a volume of {shape:?} voxels \
         of {own:?} mm"
    )]
    Spacing {
        /// The spacing asked for, in mm.
        spacing: [f64; 3],
        /// The most voxels a side can have.
        most: f64,
        /// The volume's shape.
        shape: [usize; 3],
        /// The volume's spacing, in mm.
        own: [f64; 3],
    },
    /// Voxels of another shape than their grid.
    #[error("an array of shape {found:?} does not fit its grid of shape {expected:?}")]
    Shape {
        /// The grid's shape.
        expected: [usize; 3],
        /// The array's shape.
        found: Vec<usize>,
    },
    /// Affines that do not lead from one grid to the other.
    #[error("expected affines of finite numbers, the volume's with an inverse, found {from:?} and {onto:?}")]
    Affine {
        /// The volume's affine, without its last row.
        from: Box<[[f64; 4]; 3]>,
        /// The other grid's.
        onto: Box<[[f64; 4]; 3]>,
    },
    /// A result that is too large.
    #[error("a volume of shape {shape:?} does not fit into memory; choose a larger spacing")]
    Memory {
        /// The result's shape.
        shape: [usize; 3],
    },
}

/// A window that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WindowError {
    /// White is not above black.
    #[error("the second number must be larger than the first")]
    Order,
    /// Percentiles that do not exist.
    #[error("percentiles must rise and lie between 0 and 100")]
    Percentiles,
    /// A window in HU on an image that has none.
    #[error("it is in HU, which a single image does not have; use auto, minmax, percentile or LOW:HIGH")]
    HounsfieldUnits,
}
