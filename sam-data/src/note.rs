//! What a person must know about how a scan was read.

use std::{fmt, path::PathBuf};

#[cfg(feature = "dicom")]
use crate::DicomNote;
use crate::NiftiNote;

/// Logs notes as warnings, for functions that cannot return them.
pub(crate) fn log(notes: &[ScanNote]) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

/// Something about a scan that does not stop the work, but that the person must know.
///
/// It is displayed as one line of text. A program shows each note once, before the work begins; see [`Scan::notes`](crate::Scan::notes).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ScanNote {
    /// A note on a DICOM series.
    #[cfg(feature = "dicom")]
    Dicom(DicomNote),
    /// A note on a NIfTI file: the scan or a label map.
    Nifti {
        /// The file.
        path: PathBuf,
        /// The note.
        note: NiftiNote,
    },
}

impl fmt::Display for ScanNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "dicom")]
            Self::Dicom(note) => note.fmt(f),
            Self::Nifti { path, note } => write!(f, "{}: {note}", path.display()),
        }
    }
}
