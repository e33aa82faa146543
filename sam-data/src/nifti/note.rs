//! What a person must know about how a NIfTI file was read.

use std::fmt;

use sam_prompt::counted;

use super::form::AffineForm;

/// Something about a NIfTI file that does not stop the work, but that the person must know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum NiftiNote {
    /// The sform cannot be used, so the qform says where the voxels lie.
    UnusableSform {
        /// What is wrong with the sform.
        sform: String,
    },
    /// Behind the gzip stream are bytes that are neither gzip nor zeros.
    AfterGzip {
        /// Number of bytes.
        bytes: u64,
    },
    /// Voxels that are NaN or infinite have the lowest intensity.
    NonFinite {
        /// Number of these voxels.
        count: usize,
        /// Voxel index of the first.
        first: [usize; 3],
        /// Their new intensity.
        value: f32,
    },
    /// The label map does not lie on the form by which the scan is read, but on another one.
    OtherForm {
        /// The form of the label map that fits.
        map: AffineForm,
        /// The form of the scan that it fits.
        scan: AffineForm,
        /// The form by which the scan is read.
        used: AffineForm,
    },
    /// The axes of the label map run another way than the scan's, so its labels were turned.
    Turned {
        /// The orientation of the label map, such as `LPS`.
        found: String,
        /// The orientation of the scan.
        scan: String,
    },
    /// The label map covers a part of the scan, or more than the scan.
    Part {
        /// The sides of the label map along the scan's axes.
        sides: [usize; 3],
        /// The index of the scan at which the label map begins; negative if it begins before the scan.
        first: [i64; 3],
        /// The shape of the scan.
        shape: [usize; 3],
    },
}

impl fmt::Display for NiftiNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnusableSform { sform } => {
                write!(
                    f,
                    "it has {sform}, so its qform says where the voxels lie; set spacing and orientation anew if they are wrong"
                )
            }
            Self::AfterGzip { bytes } => {
                write!(
                    f,
                    "found {} behind the end of its gzip stream, and did not read them; the stream is whole",
                    counted(usize::try_from(*bytes).unwrap_or(usize::MAX), "byte")
                )
            }
            Self::NonFinite { count, first, value } => write!(
                f,
                "{count} voxel(s) are NaN or infinite, the first at index {first:?}; they count as the lowest intensity, {value}"
            ),
            Self::OtherForm { map, scan, used } => write!(
                f,
                "by its {map}, it lies on the scan's {scan}, but the scan is read by its {used}; the labels were taken voxel by voxel"
            ),
            Self::Turned { found, scan } => {
                write!(
                    f,
                    "its axes run to {found}, those of the scan to {scan}; the labels were turned, and none was resampled"
                )
            }
            Self::Part { sides, first, shape } => write!(
                f,
                "it has {} voxels along the axes of the scan, which has {}; it was put at the scan's index {first:?}, and everything \
                 outside it counts as not labelled",
                times(sides),
                times(shape)
            ),
        }
    }
}

fn times(sides: &[usize; 3]) -> String {
    sides.map(|side| side.to_string()).join(" x ")
}
