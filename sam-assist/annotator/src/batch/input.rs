//! Inputs of a case: files and folders whose content decides its result.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sam_files::{Sha256Hasher, Sha256Id};

/// An input of a case: a file, or a folder with all files in it. If its content changes, the case is done again.
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

    /// SHA-256 of the content: of a file, with the other file of a NIfTI pair; of a folder, of the names and contents of all files in it.
    /// `None` if it cannot be read: whoever reads it next says why.
    pub(super) fn sha256(&self) -> Option<Sha256Id> {
        let hashed = if self.path.is_dir() { of_folder(&self.path) } else { of_files(&self.path) };
        match hashed {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::debug!(input = self.name, path = ?self.path, %error, "cannot read an input of a case");
                None
            }
        }
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

/// SHA-256 of the names and contents of the files of a folder and of its folders. A link counts as its name alone if it leads to a folder,
/// because it could lead back.
fn of_folder(folder: &Path) -> io::Result<Sha256Id> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
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
        let before = (whole.sha256(), file.sha256());
        assert_eq!(before.1, Some(Sha256Id::of("one")));
        assert_eq!((whole.sha256(), missing.sha256()), (before.0, None));
        fs::write(folder.join("more/2.dcm"), "2")?;
        assert_ne!(whole.sha256(), before.0);
        fs::write(folder.join("more/2.dcm"), "two")?;
        assert_eq!(whole.sha256(), before.0);
        fs::rename(folder.join("more/2.dcm"), folder.join("more/3.dcm"))?;
        assert_ne!(whole.sha256(), before.0);
        Ok(())
    }
}
