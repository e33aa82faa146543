//! Inputs of a case: files and folders whose content decides its result.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use sam_files::{FileId, Sha256Hasher, Sha256Id, kept_for, own_files};

/// An input of a case: a file, or a folder with all files in it. If its content changes, the case is done again.
///
/// Three kinds of files of a folder do not count: hidden ones, the outputs of the batch, and those that a record in the folder lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Input {
    /// Its name in messages, such as the column that names it.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
}

impl Input {
    /// An input.
    pub fn new(name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        Self { name: name.into(), path: path.as_ref().to_path_buf() }
    }

    /// SHA-256 of the content: of a file, with the other file of a NIfTI pair; of a folder, of the names and contents of all files in it,
    /// but for hidden files and those that this program wrote, `outputs` among them. `None` if it cannot be read: whoever reads it next says
    /// why.
    pub(super) fn sha256(&self, outputs: &[PathBuf]) -> Option<Sha256Id> {
        self.readable(if self.path.is_dir() {
            of_folder(&self.path, Some(Own::new(outputs)))
        } else {
            of_files(&self.path)
        })
    }

    /// Whether the content is another one than `before`. An input that cannot be read has not changed.
    pub(super) fn has_changed(&self, before: Sha256Id, outputs: &[PathBuf]) -> bool {
        let Some(now) = self.sha256(outputs) else { return false };
        // Earlier versions counted all files of a folder.
        let as_before = || self.path.is_dir() && self.readable(of_folder(&self.path, None)) == Some(before);
        now != before && !as_before()
    }

    fn readable(&self, hashed: io::Result<Sha256Id>) -> Option<Sha256Id> {
        match hashed {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::debug!(input = self.name, path = ?self.path, %error, "cannot read an input of a case");
                None
            }
        }
    }
}

/// What is in a folder and is no input: hidden files, which no reader takes, and what this program wrote.
struct Own {
    outputs: HashSet<FileId>,
    /// The records that were found so far, and what they list.
    recorded: BTreeSet<PathBuf>,
}

impl Own {
    fn new(outputs: &[PathBuf]) -> Self {
        // What has no identity is not there.
        let outputs = outputs.iter().filter_map(|output| FileId::of(output).ok()).collect();
        Self { outputs, recorded: BTreeSet::new() }
    }

    fn has(&self, path: &Path) -> bool {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_output =
            |path: &Path| self.recorded.contains(path) || FileId::of(path).is_ok_and(|id| self.outputs.contains(&id));
        is_hidden || is_output(path) || kept_for(path).is_some_and(|output| is_output(&output))
    }
}

/// SHA-256 of a file. Of a pair of `.hdr` and `.img`, of both.
fn of_files(path: &Path) -> io::Result<Sha256Id> {
    let of = |path: &PathBuf| Sha256Id::of_file(path).map_err(io::Error::other);
    let ids = sam_data::nifti_files(path).iter().map(of).collect::<io::Result<Vec<_>>>()?;
    match &ids[..] {
        [id] => Ok(*id),
        ids => {
            let mut hasher = Sha256Hasher::new();
            for id in ids {
                hasher.update_part(id.to_string());
            }
            Ok(hasher.finish())
        }
    }
}

/// SHA-256 of the names and contents of the files of a folder and of its folders, without `own`. A link counts as its name alone if it leads
/// to a folder, because it could lead back.
fn of_folder(folder: &Path, mut own: Option<Own>) -> io::Result<Sha256Id> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        if let Some(own) = &mut own {
            own.recorded.extend(own_files(&next)?);
        }
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let path = entry.path();
            if own.as_ref().is_some_and(|own| own.has(&path)) {
                continue;
            }
            if entry.file_type()?.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hasher = Sha256Hasher::new();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        hasher.update_part(name.as_os_str().as_encoded_bytes());
        if fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            hasher.update_part(Sha256Id::of_file(&path).map_err(io::Error::other)?.to_string());
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_files_and_folders_decides() -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let folder = scratch.path().join("series");
        fs::create_dir_all(folder.join("more"))?;
        for (name, text) in [("1.dcm", "one"), ("more/2.dcm", "two")] {
            fs::write(folder.join(name), text)?;
        }
        let [whole, file, missing] =
            ["series", "series/1.dcm", "none"].map(|name| Input::new("image", scratch.path().join(name)));
        let before = (whole.sha256(&[]), file.sha256(&[]));
        assert_eq!(before.1, Some(Sha256Id::of("one")));
        assert_eq!((whole.sha256(&[]), missing.sha256(&[])), (before.0, None));
        fs::write(folder.join("more/2.dcm"), "2")?;
        assert_ne!(whole.sha256(&[]), before.0);
        fs::write(folder.join("more/2.dcm"), "two")?;
        assert_eq!(whole.sha256(&[]), before.0);
        fs::rename(folder.join("more/2.dcm"), folder.join("more/3.dcm"))?;
        assert_ne!(whole.sha256(&[]), before.0);
        Ok(())
    }

    #[test]
    fn what_the_program_wrote_and_hidden_files_are_no_input() -> Result<(), Box<dyn std::error::Error>> {
        let scratch = tempfile::tempdir()?;
        let path = |name: &str| scratch.path().join("series").join(name);
        fs::create_dir_all(path("more"))?;
        fs::write(path("1.dcm"), "one")?;
        let whole = Input::new("image", scratch.path().join("./series"));
        let outputs = [path("more/../mask.nii"), path("mask.json"), path("work")];
        let clean = whole.sha256(&outputs).ok_or("it can be read")?;
        // Known by their paths: outputs, what is kept for them, and what is in a folder of the program.
        for name in ["mask.nii", "mask.json", "mask.nii.bak", "mask.nii.bak2", "new-mask.json", ".mask.nii.lock"] {
            fs::write(path(name), name)?;
        }
        fs::create_dir_all(path("work/objects"))?;
        fs::create_dir_all(path(".git"))?;
        fs::write(path("work/objects/1"), "a slice")?;
        fs::write(path(".git/config"), "hidden")?;
        // Known by their record: the outputs of another case, of which one was corrected since.
        let (other, record) = (path("more/other.nii"), path("more/other.json"));
        let plan = sam_files::OutputPlan::new().output("--out", &other).output("--seg", path("more/other.dcm"));
        let written = plan.record("the record", &record).open()?;
        written.write(&other, |file| file.write_all(b"mask"))?;
        written.write(path("more/other.dcm"), |file| file.write_all(b"DICOM SEG"))?;
        written.publish_with_record(&record, serde_json::Map::new())?;
        fs::write(&other, "corrected")?;
        fs::write(path("more/other.nii.bak"), "an older one")?;
        assert_eq!(whole.sha256(&outputs), Some(clean));
        assert!(!whole.has_changed(clean, &outputs));
        // Files of others count: a slice, and a table of names.
        for name in ["2.dcm", "more/labels.json"] {
            fs::write(path(name), "{}")?;
            assert!(whole.has_changed(clean, &outputs), "{name}");
            fs::remove_file(path(name))?;
        }
        Ok(())
    }

    #[test]
    fn content_that_an_earlier_version_recorded_has_not_changed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["1.dcm", ".DS_Store"] {
            fs::write(folder.path().join(name), name)?;
        }
        let whole = Input::new("image", folder.path());
        let mut hasher = Sha256Hasher::new();
        for name in [".DS_Store", "1.dcm"] {
            hasher.update_part(name);
            hasher.update_part(Sha256Id::of(name).to_string());
        }
        let before = hasher.finish();
        assert!(whole.sha256(&[]) != Some(before) && !whole.has_changed(before, &[]));
        fs::write(folder.path().join("1.dcm"), "another slice")?;
        assert!(whole.has_changed(before, &[]));
        Ok(())
    }
}
