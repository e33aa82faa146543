//! How a scan is read.

/// How a scan is read. The default reads a file or folder that holds one volume.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ScanConfig {
    /// Series Instance UIDs of the DICOM series that make the volume. Empty: the only series in the folder.
    pub series: Vec<String>,
    /// Distances in mm between columns, between rows and between slices, for DICOM images without a position in the patient.
    pub spacing: Option<[f64; 3]>,
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
}
