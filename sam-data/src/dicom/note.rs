//! What a person must know about how a DICOM series was read.

use std::fmt;

use crate::SeriesSummary;

/// Something about a DICOM series that does not stop the work, but that the person must know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DicomNote {
    /// The folder holds other series, which were not read.
    OtherSeries {
        /// The other series.
        series: Vec<SeriesSummary>,
    },
}

impl fmt::Display for DicomNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSeries { series } => {
                let series: Vec<_> = series.iter().map(SeriesSummary::to_string).collect();
                write!(f, "the folder holds {} other series, which were not read: {}", series.len(), series.join("; "))
            }
        }
    }
}
