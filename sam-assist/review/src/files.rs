//! The files that a review writes: locked against other programs, and never written over what a program without the lock wrote.

use std::path::{Path, PathBuf};

use sam_annotate::{AnnotateError, CheckedOutput};
use sam_data::{LabelVolume, Scan, Segment};
use sam_files::{LockError, OutputError, OutputPlan, Outputs};
use serde_json::{Map, Value};

use crate::ReviewError;

/// How many names are tried for a mask beside the one that another program has changed.
const MAX_NAMES: u32 = 999;

/// The mask of a review, its DICOM SEG and its record.
///
/// A file that another program has changed since the review read or wrote it is left as it is, and the review goes on under another name. A
/// file that is to be overwritten is kept as `NAME.bak` by the first save.
#[derive(Debug)]
pub(crate) struct ReviewFiles {
    output: CheckedOutput,
    /// The files before the review got other names. Their locks are kept, so no third program begins on them.
    older: Vec<Outputs>,
    /// A file that another program has changed, because of which the review has other names. The person was not told yet.
    changed: Option<PathBuf>,
}

impl ReviewFiles {
    pub(crate) fn new(output: CheckedOutput) -> Self {
        Self { output, older: Vec::new(), changed: None }
    }

    /// The mask: `.nii` or `.nii.gz`.
    pub(crate) fn mask(&self) -> &Path {
        &self.output.output().mask
    }

    /// Writes all files. If another program has changed one of them, the review gets other names first.
    ///
    /// # Errors
    /// [`ReviewError::NoName`] and [`AnnotateError`]: the old mask is as it was. With [`AnnotateError::Segmentation`], the mask is written. If
    /// another program changes a file at the very moment of writing, the error names where the new mask is.
    pub(crate) fn save(
        &mut self,
        scan: &Scan,
        mask: &LabelVolume,
        segments: &[Segment],
        description: &str,
        record: Map<String, Value>,
    ) -> Result<(), ReviewError> {
        if let Some(changed) = self.output.outputs().changed() {
            self.choose_names()?;
            self.changed = Some(changed);
        }
        self.output.write(scan, mask, segments, description, record)?;
        Ok(())
    }

    /// Why the mask has another name than before; `None` once the person was told.
    pub(crate) fn take_note(&mut self) -> Option<String> {
        let (changed, mask) = (self.changed.take()?, self.mask().display());
        Some(format!(
            "Another program has changed {} since this review read or wrote it, so it was left as it is. This review is saved in \
             {mask} from now on: compare the two, and keep what you need of both.",
            changed.display()
        ))
    }

    /// Chooses names under which there is nothing, and locks them.
    fn choose_names(&mut self) -> Result<(), ReviewError> {
        let (output, outputs) = (self.output.output(), self.output.outputs());
        for number in 1..=MAX_NAMES {
            let other = output.clone().with_suffix(&format!("-review-{number}"));
            if other.files().any(|path| path.symlink_metadata().is_ok()) {
                continue;
            }
            let plan = OutputPlan::new().with_absolute_paths(outputs.has_absolute_paths());
            match other.plan(plan).open() {
                Ok(opened) => {
                    self.older.push(outputs.clone());
                    self.output = other.checked(opened)?;
                    return Ok(());
                }
                // A file that has appeared meanwhile, or another program's.
                Err(OutputError::Locked(LockError::InUse { .. }) | OutputError::NotOurs { .. }) => {}
                Err(error) => return Err(AnnotateError::from(error).into()),
            }
        }
        Err(ReviewError::NoName { mask: self.mask().to_path_buf() })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use sam_annotate::Output;
    use sam_data::PhantomConfig;
    use sam_files::OutputLock;
    use sam_prompt::ndarray::Array3;

    use super::*;
    use crate::BoxError;

    type Result<T, E = BoxError> = std::result::Result<T, E>;

    #[test]
    fn what_another_program_wrote_is_never_replaced() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let volume = PhantomConfig::default().with_shape([8, 8, 2]).generate().volume;
        sam_data::write_volume(path("scan.nii"), &volume)?;
        let scan = Arc::new(Scan::open(path("scan.nii"), None)?);
        let open = |mask: &str| {
            let output = Output::new(path(mask)).with_record_ending("review.json");
            output.open(&scan, std::iter::empty::<&Path>())
        };
        let labels = LabelVolume { labels: Array3::zeros((8, 8, 2)), grid: volume.grid.clone() };
        let save = |files: &mut ReviewFiles| -> Result<_> {
            files.save(&scan, &labels, &[], "", Map::new())?;
            Ok(files.take_note())
        };

        let mut files = ReviewFiles::new(open("mask.nii.gz")?);
        assert_eq!(save(&mut files)?, None);
        // What the review wrote itself, and a file that was deleted, can be replaced.
        fs::remove_file(path("mask.nii.gz"))?;
        assert_eq!(save(&mut files)?, None);

        // Names that are in use are passed over.
        fs::write(path("mask-review-1.nii.gz"), "")?;
        fs::write(path("mask-review-2.review.json"), "")?;
        let _other = OutputLock::acquire(path("mask-review-3.nii.gz"))?;
        fs::write(path("mask.review.json"), "theirs")?;
        let moved = save(&mut files)?.ok_or("the record was changed")?;
        assert_eq!(files.mask(), path("mask-review-4.nii.gz"));
        assert!(path("mask-review-4.nii.gz").exists() && path("mask-review-4.review.json").exists());
        assert_eq!(fs::read_to_string(path("mask.review.json"))?, "theirs");
        for name in ["mask.review.json", "mask-review-4.nii.gz"] {
            assert!(moved.contains(name), "{moved}");
        }
        assert_eq!(save(&mut files)?, None);
        assert!(open("mask.nii.gz").is_err(), "the old name is still held");
        assert!(open("mask-review-4.nii.gz").is_err());
        Ok(())
    }
}
