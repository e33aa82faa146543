//! How a scan is read.

use std::path::Path;

use crate::{DataError, NonFinite, ReadOptions};

/// How a scan is read. The default reads a file or folder that holds one volume.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ScanConfig {
    /// Series Instance UIDs of the DICOM series that make the volume; `all` alone for all of the folder. Empty: the only series in the folder.
    pub series: Vec<String>,
    /// Distances in mm between columns, between rows and between slices, for DICOM images without a position in the patient.
    pub spacing: Option<[f64; 3]>,
    /// Index of the volume, counted from 0, in a NIfTI file with a fourth dimension. `None`: the only volume of the file.
    pub volume_index: Option<usize>,
    /// The intensity of voxels of a NIfTI file that are NaN or infinite. `None`: the lowest finite intensity, with a note.
    pub nan: Option<f32>,
}

impl ScanConfig {
    /// Adds a DICOM series by its Series Instance UID. All series that are added make one volume.
    #[must_use]
    pub fn with_series(mut self, uid: impl Into<String>) -> Self {
        self.series.push(uid.into());
        self
    }

    /// Sets the distances in mm between columns, between rows and between slices, for DICOM images without a position in the patient.
    #[must_use]
    pub fn with_spacing(mut self, spacing: [f64; 3]) -> Self {
        self.spacing = Some(spacing);
        self
    }

    /// Chooses a volume, by its index counted from 0, of a NIfTI file with a fourth dimension.
    #[must_use]
    pub fn with_volume_index(mut self, index: usize) -> Self {
        self.volume_index = Some(index);
        self
    }

    /// Sets the intensity of voxels of a NIfTI file that are NaN or infinite. It must be finite.
    #[must_use]
    pub fn with_nan(mut self, intensity: f32) -> Self {
        self.nan = Some(intensity);
        self
    }

    /// The options for a NIfTI file.
    pub(super) fn read_options(&self) -> ReadOptions {
        let non_finite = self.nan.map_or(NonFinite::Lowest, NonFinite::Replace);
        ReadOptions { volume_index: self.volume_index, ..ReadOptions::default().with_non_finite(non_finite) }
    }

    /// Refuses a volume index for DICOM, whose volumes are series.
    pub(super) fn check_dicom(&self, path: &Path) -> Result<(), DataError> {
        if self.volume_index.is_none() {
            return Ok(());
        }
        let found = "DICOM, whose volumes are series; choose a series instead".to_owned();
        let expected = "a NIfTI file, because one of its volumes was chosen";
        Err(DataError::Format { path: path.to_path_buf(), expected, found })
    }
}
