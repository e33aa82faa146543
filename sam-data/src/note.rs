//! What a person must know about how a scan was read.

use std::fmt;

#[cfg(feature = "dicom")]
use crate::DicomNote;

/// Something about a scan that does not stop the work, but that the person must know.
///
/// It is displayed as one line of text. A program shows each note once, before the work begins; see [`Scan::notes`](crate::Scan::notes).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ScanNote {
    /// A note on a DICOM series.
    #[cfg(feature = "dicom")]
    Dicom(DicomNote),
}

impl fmt::Display for ScanNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "dicom")]
            Self::Dicom(note) => note.fmt(f),
            #[cfg(not(feature = "dicom"))]
            _ => f.write_str("a note"),
        }
    }
}
