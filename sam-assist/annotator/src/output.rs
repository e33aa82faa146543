//! Output files: the mask as NIfTI, DICOM SEG, and a record.

use std::path::{Path, PathBuf};

use sam_data::{LabelVolume, Scan, Segment};
use sam_files::write_atomic;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{AnnotateError, session::BoxError};

/// Output paths of a mask, and additional fields of its record.
///
/// The record is a JSON file with the mask's name and the extension `.json`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The mask: `.nii` or `.nii.gz`.
    pub mask: PathBuf,
    /// The mask as DICOM SEG: `.dcm`, for scans that are DICOM series.
    pub segmentation: Option<PathBuf>,
    /// Fields that the program adds to the record, such as its options.
    pub fields: Map<String, Value>,
}

impl Output {
    /// An output with a NIfTI mask.
    pub fn new(mask: impl AsRef<Path>) -> Self {
        Self { mask: mask.as_ref().to_path_buf(), segmentation: None, fields: Map::new() }
    }

    /// Adds DICOM SEG.
    #[must_use]
    pub fn with_segmentation(self, path: impl AsRef<Path>) -> Self {
        Self { segmentation: Some(path.as_ref().to_path_buf()), ..self }
    }

    /// Adds a field to the record. A value that JSON cannot represent, such as a map whose keys are not strings, is stored as `null`.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Serialize) -> Self {
        self.fields.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Checks, before any work, that all files can be written.
    ///
    /// # Errors
    /// [`AnnotateError::Write`] if a name or folder is wrong, or DICOM SEG is requested for a scan that is not DICOM.
    pub fn check(&self, scan: &Scan) -> Result<(), AnnotateError> {
        sam_data::check_output(&self.mask).map_err(AnnotateError::Write)?;
        let Some(path) = &self.segmentation else { return Ok(()) };
        scan.check_segmentation_output(path).map_err(AnnotateError::Write)
    }

    /// Path of the record.
    pub fn record(&self) -> PathBuf {
        self.mask.with_extension("").with_extension("json")
    }

    /// Writes a mask of the scan and its record, and returns the mask's paths. `description` is at most 64 characters for DICOM.
    ///
    /// [`Annotated::save`](crate::Annotated::save) and [`Session::save`](crate::Session::save) call it with their results. Call it yourself
    /// for masks from elsewhere.
    ///
    /// # Errors
    /// [`AnnotateError::Write`]; [`AnnotateError::Segmentation`]; [`AnnotateError::Record`].
    pub fn write(
        &self,
        scan: &Scan,
        mask: &LabelVolume,
        segments: &[Segment],
        description: &str,
        record: Map<String, Value>,
    ) -> Result<Vec<PathBuf>, AnnotateError> {
        let labels = mask.labels.view();
        scan.write_labels(&self.mask, labels).map_err(AnnotateError::Write)?;
        trace_written(&self.mask);
        let mut written = vec![self.mask.clone()];
        if let Some(path) = &self.segmentation {
            scan.write_segmentation(path, labels, segments, description)
                .map_err(|source| AnnotateError::Segmentation { mask: self.mask.clone(), source })?;
            trace_written(path);
            written.push(path.clone());
        }
        self.write_record(record)?;
        Ok(written)
    }

    fn write_record(&self, mut record: Map<String, Value>) -> Result<(), AnnotateError> {
        record.extend(self.fields.clone());
        let write = || -> Result<(), BoxError> {
            let text = serde_json::to_string_pretty(&record)?;
            Ok(write_atomic(self.record(), |file| file.write_all(text.as_bytes()))?)
        };
        write().map_err(AnnotateError::Record)?;
        trace_written(&self.record());
        Ok(())
    }
}

/// Logs that a file was written.
pub(crate) fn trace_written(path: &Path) {
    let bytes = std::fs::metadata(path).map(|file| file.len()).ok();
    tracing::info!(?path, bytes, "wrote a file");
}
