//! The files that a review writes: locked against other programs, and never written over what a program without the lock wrote.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use sam_annotate::record_beside;
use sam_files::{LockError, OutputError, OutputLock, ReadError, Sha256Id};
use serde_json::{Map, Value};

use crate::ReviewError;

/// How many names are tried for a mask beside the one that another program has changed.
const MAX_NAMES: u32 = 999;

/// The mask of a review, its DICOM SEG and its record.
///
/// The mask and the DICOM SEG are locked until this value is dropped, also if they do not exist yet; a killed process leaves no lock behind.
/// The SHA-256 of each file is noted when the review begins and after each save. A file with another content was written by someone else:
/// it is left as it is, and the review goes on under another name.
#[derive(Debug)]
pub struct ReviewFiles {
    mask: PathBuf,
    segmentation: Option<PathBuf>,
    /// The extension of the record; it replaces the mask's own extension. `None` until it is known.
    ending: Option<&'static str>,
    /// The content of each file as the review read or wrote it last; `None` if there was no file.
    known: BTreeMap<PathBuf, Option<Sha256Id>>,
    locks: Vec<OutputLock>,
    /// A file that another program has changed, because of which the review has other names. The person was not told yet.
    changed: Option<PathBuf>,
}

impl ReviewFiles {
    /// Locks the mask and, for scans that are DICOM series, its DICOM SEG. Call it before the mask is read: a change between the two is then
    /// found.
    ///
    /// # Errors
    /// [`ReviewError::Lock`] if another process holds one of them; [`ReviewError::Read`] if an existing one cannot be read.
    pub fn open(mask: impl Into<PathBuf>, segmentation: Option<PathBuf>) -> Result<Self, ReviewError> {
        let mut files = Self::unlocked(mask.into(), segmentation, None);
        for path in files.locked() {
            files.locks.push(OutputLock::acquire(&path)?);
            files.note(&path)?;
        }
        Ok(files)
    }

    /// The mask: `.nii` or `.nii.gz`.
    pub fn mask(&self) -> &Path {
        &self.mask
    }

    /// The mask as DICOM SEG: `.dcm`.
    pub fn segmentation(&self) -> Option<&Path> {
        self.segmentation.as_deref()
    }

    /// The JSON file next to the mask.
    pub(crate) fn record(&self) -> Option<PathBuf> {
        self.ending.map(|ending| record_beside(&self.mask, ending))
    }

    /// Notes the content of the record, whose extension replaces the mask's.
    pub(crate) fn set_record(&mut self, ending: &'static str) -> Result<(), ReadError> {
        self.ending = Some(ending);
        self.record().map_or(Ok(()), |record| self.note(&record))
    }

    /// Notes the present content of a file, which the review has read or written.
    pub(crate) fn note(&mut self, path: &Path) -> Result<(), ReadError> {
        self.known.insert(path.to_path_buf(), content(path)?);
        Ok(())
    }

    /// Writes the record: these fields, and the SHA-256 of the other files, by which the program knows them as its own later.
    pub(crate) fn write_record(&mut self, fields: Map<String, Value>) -> Result<(), OutputError> {
        let Some(path) = self.record() else { return Ok(()) };
        sam_files::write_record(&path, fields, self.locked())?;
        Ok(self.note(&path)?)
    }

    /// Makes sure that a save replaces only what the review knows; if another program has changed a file, the review gets other names.
    ///
    /// # Errors
    /// If a file cannot be read, or no other name can be used. Nothing has changed then.
    pub(crate) fn prepare(&mut self) -> Result<(), ReviewError> {
        if let Some(changed) = self.find_change()? {
            self.choose_names()?;
            self.changed = Some(changed);
        }
        Ok(())
    }

    /// Why the mask has another name than before; `None` once the person was told.
    pub(crate) fn take_note(&mut self) -> Option<String> {
        let (changed, mask) = (self.changed.take()?, self.mask.display());
        Some(format!(
            "Another program has changed {} since this review read or wrote it, so it was left as it is. This review is saved in \
             {mask} from now on: compare the two, and keep what you need of both.",
            changed.display()
        ))
    }

    fn unlocked(mask: PathBuf, segmentation: Option<PathBuf>, ending: Option<&'static str>) -> Self {
        Self { mask, segmentation, ending, known: BTreeMap::new(), locks: Vec::new(), changed: None }
    }

    fn find_change(&self) -> Result<Option<PathBuf>, ReadError> {
        for (path, known) in &self.known {
            let found = content(path)?;
            // A file that was deleted holds nobody's work.
            if found.is_some() && found != *known {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Chooses names under which there is nothing, and locks them. The old locks are kept, so no third program begins on the old files.
    fn choose_names(&mut self) -> Result<(), ReviewError> {
        for number in 1..=MAX_NAMES {
            let segmentation = self.segmentation.as_deref().map(|path| beside(path, number));
            let mut other = Self::unlocked(beside(&self.mask, number), segmentation, self.ending);
            let (locked, record) = (other.locked(), other.record());
            if locked.iter().chain(&record).any(|path| path.symlink_metadata().is_ok()) {
                continue;
            }
            match locked.iter().map(OutputLock::acquire).collect::<Result<Vec<_>, _>>() {
                Ok(locks) => other.locks = locks,
                Err(LockError::InUse { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            other.known = locked.into_iter().chain(record).map(|path| (path, None)).collect();
            other.locks.append(&mut self.locks);
            *self = other;
            return Ok(());
        }
        Err(ReviewError::NoName { mask: self.mask.clone() })
    }

    fn locked(&self) -> Vec<PathBuf> {
        [Some(&self.mask), self.segmentation.as_ref()].into_iter().flatten().cloned().collect()
    }
}

/// The SHA-256 of a file; `None` if there is none.
fn content(path: &Path) -> Result<Option<Sha256Id>, ReadError> {
    match Sha256Id::of_file(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name beside a file's: `mask-review-1.nii.gz` beside `mask.nii.gz`.
fn beside(path: &Path, number: u32) -> PathBuf {
    let (mut stem, mut ending) = (path.to_path_buf(), OsString::new());
    // `.nii.gz` has two parts.
    while let Some(part) =
        stem.extension().filter(|part| ["nii", "gz", "dcm"].iter().any(|known| part.eq_ignore_ascii_case(known)))
    {
        let mut longer = OsString::from(".");
        longer.push(part);
        longer.push(&ending);
        ending = longer;
        stem = stem.with_extension("");
    }
    let mut name = stem.into_os_string();
    name.push(format!("-review-{number}"));
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::BoxError;

    type Result<T, E = BoxError> = std::result::Result<T, E>;

    #[test]
    fn other_names_keep_the_ending() {
        for (name, other) in [
            ("a/mask.nii.gz", "a/mask-review-2.nii.gz"),
            ("mask.nii", "mask-review-2.nii"),
            ("liver.v1.NII.gz", "liver.v1-review-2.NII.gz"),
            ("mask.dcm", "mask-review-2.dcm"),
            ("mask", "mask-review-2"),
        ] {
            assert_eq!(beside(Path::new(name), 2), Path::new(other));
        }
    }

    #[test]
    fn a_second_review_of_a_mask_is_refused_and_told_who_has_it() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let [mask, seg] = ["mask.nii.gz", "mask.dcm"].map(|name| folder.path().join(name));
        let held = ReviewFiles::open(&mask, Some(seg.clone()))?;
        for (mask, seg) in [(&mask, None), (&folder.path().join("other.nii.gz"), Some(seg.clone()))] {
            let refused = ReviewFiles::open(mask, seg).expect_err("it is held");
            assert!(matches!(refused, ReviewError::Lock(LockError::InUse { .. })));
            let message = sam_prompt::error_chain(&refused);
            assert!(message.contains(&std::process::id().to_string()) && message.contains("mask."), "{message}");
        }
        drop(held);
        ReviewFiles::open(&mask, Some(seg))?;
        assert_eq!(fs::read_dir(folder.path())?.count(), 0, "no lock is left behind");
        Ok(())
    }

    #[test]
    fn what_another_program_wrote_is_never_replaced() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("mask.nii.gz"), "mine")?;
        let mut files = ReviewFiles::open(path("mask.nii.gz"), None)?;
        files.set_record("review.json")?;
        let check = |files: &mut ReviewFiles| -> Result<_> {
            files.prepare()?;
            Ok(files.take_note())
        };
        assert_eq!(check(&mut files)?, None);
        // What the review wrote itself, and a file that was deleted, can be replaced.
        fs::write(path("mask.nii.gz"), "mine, later")?;
        files.note(&path("mask.nii.gz"))?;
        fs::remove_file(path("mask.nii.gz"))?;
        assert_eq!(check(&mut files)?, None);

        // Names that are in use are passed over.
        fs::write(path("mask-review-1.nii.gz"), "")?;
        fs::write(path("mask-review-2.review.json"), "")?;
        let _other = OutputLock::acquire(path("mask-review-3.nii.gz"))?;
        fs::write(path("mask.review.json"), "theirs")?;
        let moved = check(&mut files)?.ok_or("the record was changed")?;
        assert_eq!(files.mask(), path("mask-review-4.nii.gz"));
        assert_eq!(files.record(), Some(path("mask-review-4.review.json")));
        for name in ["mask.review.json", "mask-review-4.nii.gz"] {
            assert!(moved.contains(name), "{moved}");
        }
        assert_eq!(check(&mut files)?, None);
        assert!(ReviewFiles::open(path("mask.nii.gz"), None).is_err(), "the old name is still held");
        assert!(ReviewFiles::open(path("mask-review-4.nii.gz"), None).is_err());
        Ok(())
    }
}
