//! Errors of invalid grids, resampling and windows.

use thiserror::Error;

use crate::AffineForm;

/// The error for an invalid grid.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GridError {
    /// A side has no voxels.
    #[error("expected at least one voxel along each axis, found a shape of {shape:?}; crop less")]
    NoVoxels {
        /// Voxels along each axis.
        shape: [usize; 3],
    },
    /// The affine has NaN or infinite values.
    #[error("expected an affine of finite numbers, found {affine:?}; set spacing and orientation anew")]
    NotFinite {
        /// The affine's first three rows.
        affine: Box<[[f64; 4]; 3]>,
    },
    /// The affine has no inverse.
    #[error(
        "expected an affine with an inverse (three axes that span space), found {affine:?}; set spacing and orientation anew"
    )]
    Singular {
        /// The affine's first three rows.
        affine: Box<[[f64; 4]; 3]>,
    },
    /// Neither form of a NIfTI header has an inverse.
    #[error(
        "expected an sform or a qform with an inverse, found {sform} and {qform}; set spacing and orientation anew"
    )]
    NoForm {
        /// What is wrong with the sform.
        sform: String,
        /// What is wrong with the qform.
        qform: String,
    },
}

/// Why a label map cannot be put on the grid of a scan, although its voxels lie on those of the scan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The forms of the scan's header contradict each other, and the label map fits two of them.
    #[error(
        "its voxels lie on those of the scan in two ways: by the scan's {first_form} they {first}, by its {second_form} they {second}; \
         save the scan with one of the two alone, for example from 3D Slicer, and outline it anew or save the label map from there, too"
    )]
    TwoPlaces {
        /// A form of the scan.
        first_form: AffineForm,
        /// How the map lies by this form.
        first: String,
        /// Another form of the scan.
        second_form: AffineForm,
        /// How the map lies by that form.
        second: String,
    },
    /// The label map reaches beyond the scan, and is labelled there.
    #[error(
        "{count} of its labelled voxels lie outside the scan; crop it to the scan, or take the scan that it was outlined on"
    )]
    Outside {
        /// Number of labelled voxels outside the scan.
        count: usize,
    },
}

/// The error of resampling between two grids.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// The spacing is not positive or gives too many voxels.
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
    /// The voxel array and its grid differ in shape.
    #[error("an array of shape {found:?} does not fit its grid of shape {expected:?}")]
    Shape {
        /// The grid's shape.
        expected: [usize; 3],
        /// The array's shape.
        found: Vec<usize>,
    },
    /// An affine is not finite, or the volume's affine has no inverse.
    #[error("expected affines of finite numbers, the volume's with an inverse, found {from:?} and {onto:?}")]
    Affine {
        /// The volume's affine, without its last row.
        from: Box<[[f64; 4]; 3]>,
        /// The other grid's.
        onto: Box<[[f64; 4]; 3]>,
    },
    /// The result does not fit into memory.
    #[error("a volume of shape {shape:?} does not fit into memory; choose a larger spacing")]
    Memory {
        /// The result's shape.
        shape: [usize; 3],
    },
}

/// The error for a window that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WindowError {
    /// White is not above black.
    #[error("the second number must be larger than the first")]
    Order,
    /// The percentiles are not valid.
    #[error("percentiles must rise and lie between 0 and 100")]
    Percentiles,
    /// The window is in HU, but the image is not.
    #[error("it is in HU, which a single image does not have; use auto, minmax, percentile or LOW:HIGH")]
    HounsfieldUnits,
}
