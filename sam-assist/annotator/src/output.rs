//! Output files: the mask as NIfTI, DICOM SEG, and a record.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use sam_data::{LabelVolume, Scan, Segment};
use sam_files::{OutputPlan, Outputs};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::AnnotateError;

/// Output paths of a mask, and additional fields of its record. [`Output::open`] checks them; then they can be written.
///
/// The record is a JSON file with the mask's name and its own ending. It lists the files with their SHA-256, by which later runs
/// tell the program's own files from those of others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The mask: `.nii` or `.nii.gz`.
    pub mask: PathBuf,
    /// The mask as DICOM SEG: `.dcm`, for scans that are DICOM series.
    pub segmentation: Option<PathBuf>,
    /// The ending of the record, in place of the mask's: `json` by default. A second step on the same mask takes another.
    pub record_ending: String,
    /// Fields that the program adds to the record, such as its options.
    pub fields: Map<String, Value>,
}

/// An output that was checked before the work: no input, no file of others and no other program is in its way.
#[derive(Debug, Clone)]
pub struct CheckedOutput {
    output: Output,
    outputs: Outputs,
}

impl Output {
    /// An output with a NIfTI mask.
    pub fn new(mask: impl AsRef<Path>) -> Self {
        Self {
            mask: mask.as_ref().to_path_buf(),
            segmentation: None,
            record_ending: "json".to_owned(),
            fields: Map::new(),
        }
    }

    /// Adds DICOM SEG.
    #[must_use]
    pub fn with_segmentation(self, path: impl AsRef<Path>) -> Self {
        Self { segmentation: Some(path.as_ref().to_path_buf()), ..self }
    }

    /// Sets the ending of the record, so that it does not replace that of another step on the same mask.
    #[must_use]
    pub fn with_record_ending(self, ending: &str) -> Self {
        Self { record_ending: ending.to_owned(), ..self }
    }

    /// Adds a field to the record. A value that JSON cannot represent, such as a map whose keys are not strings, is stored as `null`.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Serialize) -> Self {
        self.fields.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Adds the files to a plan, which has the program's inputs and its other outputs.
    pub fn plan(&self, plan: OutputPlan) -> OutputPlan {
        let plan = plan.output("--out", &self.mask).record("the record of --out", self.record());
        self.segmentation.iter().fold(plan, |plan, path| plan.output("--seg", path))
    }

    /// Checks that the names fit the formats and the scan.
    ///
    /// # Errors
    /// [`AnnotateError::Write`] if a name is wrong, or DICOM SEG is requested for a scan that is not DICOM.
    pub fn check(&self, scan: &Scan) -> Result<(), AnnotateError> {
        sam_data::check_output(&self.mask).map_err(AnnotateError::Write)?;
        let Some(path) = &self.segmentation else { return Ok(()) };
        scan.check_segmentation_output(path).map_err(AnnotateError::Write)
    }

    /// Checks and locks the files of this output, whose only inputs are the scan and the files of `inputs`. Call it before any work.
    ///
    /// # Errors
    /// [`AnnotateError::Write`]; [`AnnotateError::Output`] if a file must not be replaced, cannot be written, or is in use.
    pub fn open(
        self,
        scan: &Scan,
        inputs: impl IntoIterator<Item = impl AsRef<Path>>,
    ) -> Result<CheckedOutput, AnnotateError> {
        self.check(scan)?;
        let plan = OutputPlan::new().inputs("the scan", scan.files()).inputs("an input", inputs);
        let outputs = self.plan(plan).open()?;
        self.checked(outputs)
    }

    /// This output as a part of a plan that was checked.
    ///
    /// # Errors
    /// [`AnnotateError::Output`] if its files are not in the plan; see [`Output::plan`].
    pub fn checked(self, outputs: Outputs) -> Result<CheckedOutput, AnnotateError> {
        for path in self.files() {
            outputs.check_planned(path)?;
        }
        Ok(CheckedOutput { output: self, outputs })
    }

    /// The same files with a suffix in their names: `mask-2.nii.gz` for `mask.nii.gz`.
    #[must_use]
    pub fn with_suffix(self, suffix: &str) -> Self {
        let renamed = |path: &Path| {
            let (mut name, ending) = split_name(path);
            name.push(suffix);
            name.push(ending);
            path.with_file_name(name)
        };
        let (mask, segmentation) = (renamed(&self.mask), self.segmentation.as_deref().map(renamed));
        Self { mask, segmentation, ..self }
    }

    /// Every file of this output, the record last.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        [Some(self.mask.clone()), self.segmentation.clone(), Some(self.record())].into_iter().flatten()
    }

    /// Path of the record.
    pub fn record(&self) -> PathBuf {
        let (mut name, _) = split_name(&self.mask);
        name.push(".");
        name.push(&self.record_ending);
        self.mask.with_file_name(name)
    }
}

impl CheckedOutput {
    /// Adds a field to the record; see [`Output::with_field`].
    #[must_use]
    pub fn with_field(self, name: &str, value: impl Serialize) -> Self {
        Self { output: self.output.with_field(name, value), ..self }
    }

    /// Path of the record.
    pub fn record(&self) -> PathBuf {
        self.output.record()
    }

    /// The paths, and the fields of the record.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// All outputs of the plan.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Writes a mask of the scan and its record, and returns the mask's paths. `description` is at most 64 characters for DICOM.
    ///
    /// [`Annotated::save`](crate::Annotated::save) and [`Session::save`](crate::Session::save) call it with their results. Call it yourself
    /// for masks from elsewhere.
    ///
    /// # Errors
    /// [`AnnotateError::Write`] and [`AnnotateError::Output`]: no file has changed. [`AnnotateError::Segmentation`]: the mask and its record
    /// are written.
    pub fn write(
        &self,
        scan: &Scan,
        mask: &LabelVolume,
        segments: &[Segment],
        description: &str,
        mut record: Map<String, Value>,
    ) -> Result<Vec<PathBuf>, AnnotateError> {
        let Self { output: Output { mask: path, segmentation, fields, .. }, outputs } = self;
        let labels = mask.labels.view();
        outputs.stage(path, |staged| scan.write_labels(staged, labels).map_err(AnnotateError::Write))?;
        let stage_segmentation = |segmentation: &PathBuf| {
            outputs.stage(segmentation, |staged| {
                let written = scan.write_segmentation(staged, labels, segments, description);
                // Its notes are those of `Scan::segmentation_notes`, which a caller shows before the work.
                let written = written.map(drop);
                written.map_err(|source| AnnotateError::Segmentation { mask: path.clone(), source })
            })
        };
        let segmentation = segmentation.as_ref().map_or(Ok(()), stage_segmentation);
        record.extend(fields.clone());
        let written = outputs.publish_with_record(self.record(), record)?;
        for path in written.iter().chain([&self.record()]) {
            trace_written(path);
        }
        segmentation.map(|()| written)
    }
}

/// A file's name without the ending of its format, and that ending: `case.001` and `.nii.gz`. Other points are part of the name.
fn split_name(path: &Path) -> (OsString, OsString) {
    let (mut stem, mut ending) = (PathBuf::from(path.file_name().unwrap_or_default()), OsString::new());
    while let Some(part) =
        stem.extension().filter(|part| ["nii", "gz", "dcm"].iter().any(|known| part.eq_ignore_ascii_case(known)))
    {
        let mut longer = OsString::from(".");
        longer.push(part);
        longer.push(&ending);
        ending = longer;
        stem = stem.with_extension("");
    }
    (stem.into_os_string(), ending)
}

/// Logs that a file was written.
pub(crate) fn trace_written(path: &Path) {
    let bytes = std::fs::metadata(path).map(|file| file.len()).ok();
    tracing::info!(?path, bytes, "wrote a file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_all_but_the_ending_of_the_format() {
        for (mask, record, other) in [
            ("a/mask.nii.gz", "a/mask.json", "a/mask-2.nii.gz"),
            ("mask.nii", "mask.json", "mask-2.nii"),
            ("case.001.nii", "case.001.json", "case.001-2.nii"),
            ("case.002.NII.gz", "case.002.json", "case.002-2.NII.gz"),
            ("mask.dcm", "mask.json", "mask-2.dcm"),
            ("mask", "mask.json", "mask-2"),
        ] {
            let output = Output::new(mask);
            assert_eq!(output.record(), Path::new(record));
            assert_eq!(output.with_suffix("-2").mask, Path::new(other));
        }
        let reviewed = Output::new("case.001.nii.gz").with_record_ending("review.json").with_segmentation("seg.dcm");
        let files: Vec<_> = reviewed.with_suffix("-1").files().collect();
        assert_eq!(files, ["case.001-1.nii.gz", "seg-1.dcm", "case.001-1.review.json"].map(PathBuf::from));
    }
}
