//! What was read of a DICOM folder, and what a person must know about it.

use std::{fmt, path::PathBuf};

use sam_prompt::counted;

use crate::SeriesSummary;

/// The most files or series that a note names.
const NAMED: usize = 5;

/// What was read of a DICOM folder, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DicomFolderReport {
    /// The series that make the volume.
    pub read: Vec<SeriesSummary>,
    /// The other series in the folder.
    pub others: Vec<SeriesSummary>,
    /// The files that were skipped, and why.
    pub skipped: Vec<SkippedFile>,
}

/// A file of a DICOM folder that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// Why it was skipped.
    pub reason: SkipReason,
}

/// Why a file of a DICOM folder was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is not a DICOM file.
    NotDicom,
    /// It is DICOM, but no image: a report, an index, a segmentation.
    NoImage,
    /// It cannot be read, and is no file of the series that was chosen.
    Unreadable {
        /// Series Instance UID of the file; `None` if it is unknown.
        series: Option<String>,
        /// Why it cannot be read.
        error: String,
    },
}

/// Something about a DICOM series that does not stop the work, but that the person must know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DicomNote {
    /// The series of the folder that make the volume.
    Read {
        /// The series.
        series: Vec<SeriesSummary>,
    },
    /// The folder holds other series, which were not read.
    OtherSeries {
        /// The other series.
        series: Vec<SeriesSummary>,
    },
    /// Files were skipped because they are no DICOM images.
    Skipped {
        /// The files.
        files: Vec<PathBuf>,
    },
    /// A file cannot be read. It belongs to another series, or its series is unknown and the user chose a series.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Series Instance UID of the file; `None` if it is unknown.
        series: Option<String>,
        /// Why it cannot be read.
        error: String,
    },
    /// Voxels outside the field of view (Pixel Padding Value) became the lowest intensity.
    Padding {
        /// Number of these voxels.
        voxels: usize,
        /// The lowest intensity.
        lowest: f32,
    },
    /// The slices are sheared, as with a tilted gantry.
    Sheared {
        /// The angle between the stack and the normal of its slices, in degrees.
        degrees: f64,
    },
    /// The images state no position: they are stacked at the distances that the user gave.
    Unplaced {
        /// Number of images.
        images: usize,
    },
}

impl DicomFolderReport {
    /// The notes on this report.
    pub(super) fn notes(&self) -> Vec<DicomNote> {
        let mut notes = vec![DicomNote::Read { series: self.read.clone() }];
        if !self.others.is_empty() {
            notes.push(DicomNote::OtherSeries { series: self.others.clone() });
        }
        let (mut files, mut unreadable) = (Vec::new(), Vec::new());
        for SkippedFile { path, reason } in &self.skipped {
            match reason {
                SkipReason::NotDicom | SkipReason::NoImage => files.push(path.clone()),
                SkipReason::Unreadable { series, error } => {
                    let (path, series, error) = (path.clone(), series.clone(), error.clone());
                    unreadable.push(DicomNote::Unreadable { path, series, error });
                }
            }
        }
        if !files.is_empty() {
            notes.push(DicomNote::Skipped { files });
        }
        notes.extend(unreadable);
        notes
    }
}

impl fmt::Display for DicomNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { series } if series.len() == 1 => write!(f, "read the series {}", series[0]),
            Self::Read { series } => write!(f, "read {} series as one volume: {}", series.len(), list(series)),
            Self::OtherSeries { series } => {
                write!(f, "the folder holds other series, which were not read: {}", list(series))
            }
            Self::Skipped { files } => {
                let names: Vec<_> =
                    files.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy()).collect();
                write!(f, "skipped files that are no DICOM images: {}", list(&names))
            }
            Self::Unreadable { path, series: Some(series), error } => {
                write!(
                    f,
                    "skipped {}, which is of another series, {series}, and cannot be read: {error}",
                    path.display()
                )
            }
            Self::Unreadable { path, series: None, error } => write!(
                f,
                "skipped {}, which cannot be read and whose series is unknown: if it is a slice of the series that was chosen, that slice is \
                 missing: {error}",
                path.display()
            ),
            Self::Padding { voxels, lowest } => write!(
                f,
                "found {} of padding outside the field of view (Pixel Padding Value), which became the lowest intensity, {lowest}",
                counted(*voxels, "voxel")
            ),
            Self::Sheared { degrees } => write!(
                f,
                "the slices are sheared by {degrees:.1} degrees, as with a tilted gantry: a mask keeps this grid, which programs built on ITK \
                 do not open as NIfTI; `sam-med resample` writes the scan and its mask at right angles for them"
            ),
            Self::Unplaced { images } => write!(
                f,
                "the images ({images}) do not say where they lie: they are stacked in the order of their numbers at the distances that were \
                 given, and directions in the patient mean nothing"
            ),
        }
    }
}

/// The first items, and the number of the others.
fn list(items: &[impl fmt::Display]) -> String {
    let named: Vec<_> = items.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if items.len() > NAMED { format!("; and {} more", items.len() - NAMED) } else { String::new() };
    named.join("; ") + &more
}
