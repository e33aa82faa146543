//! Which paths are one file: through links, relative paths and other spellings.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// How many links a path may go through, as on Linux.
const MAX_LINKS: usize = 40;

/// The identity of a file, whatever path leads to it: equal for two paths if and only if writing to one could change the other.
///
/// A file that exists is known by its device and inode on Unix, so links of both kinds, relative paths and the file system's own rules for
/// names do not matter. On other systems it is known by its canonical path, which does not see hard links. A file that does not exist yet
/// is known by its folder's identity and its name; upper and lower case are then taken as equal, as some file systems do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Id);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Id {
    #[cfg(unix)]
    Inode { device: u64, inode: u64 },
    #[cfg(not(unix))]
    Canonical(PathBuf),
    /// A file that does not exist yet.
    Future { folder: Box<Id>, name: OsString },
}

impl FileId {
    /// The identity of the file or folder at a path, whether it exists or not.
    ///
    /// # Errors
    /// The operating system's error: a folder of the path does not exist or cannot be searched, or its links form a circle.
    pub fn of(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = resolved(path.as_ref())?;
        match Id::existing(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or(error)?;
                // A name that is not UTF-8 has no upper and lower case.
                let name = name.to_str().map_or_else(|| name.to_owned(), |name| name.to_lowercase().into());
                Ok(Self(Id::Future { folder: Box::new(Id::existing(folder_of(&path))?), name }))
            }
            found => found.map(Self),
        }
    }

    /// The identity of an open file, which was opened at `path`.
    pub(crate) fn of_open(file: &File, path: &Path) -> io::Result<Self> {
        Id::open(file, path).map(Self)
    }
}

#[cfg(unix)]
impl Id {
    fn existing(path: &Path) -> io::Result<Self> {
        Ok(Self::inode(&std::fs::metadata(path)?))
    }

    fn open(file: &File, _path: &Path) -> io::Result<Self> {
        Ok(Self::inode(&file.metadata()?))
    }

    fn inode(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self::Inode { device: found.dev(), inode: found.ino() }
    }
}

#[cfg(not(unix))]
impl Id {
    fn existing(path: &Path) -> io::Result<Self> {
        path.canonicalize().map(Self::Canonical)
    }

    fn open(_file: &File, path: &Path) -> io::Result<Self> {
        Self::existing(path)
    }
}

/// The path that a path leads to: its folder is canonical, and the file itself is no link. The file need not exist.
pub(crate) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name() else { return path.canonicalize() };
        let place = folder_of(&path).canonicalize()?.join(name);
        match std::fs::read_link(&place) {
            // A relative link starts in the link's folder.
            Ok(target) => path = folder_of(&place).join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(io::Error::other("its links form a circle"))
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_one_file_before_and_after_it_exists() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        std::fs::create_dir(root.join("sub"))?;
        for exists in [false, true] {
            if exists {
                std::fs::write(root.join("a.nii"), "")?;
            }
            let id = FileId::of(root.join("a.nii"))?;
            for spelling in ["./a.nii", "sub/../a.nii", "sub/.././a.nii", "a.nii/"] {
                assert_eq!(FileId::of(root.join(spelling)).ok(), Some(id.clone()), "{spelling}, exists: {exists}");
            }
            assert_ne!(FileId::of(root.join("b.nii"))?, id);
            assert_ne!(FileId::of(root.join("sub/a.nii"))?, id);
        }
        assert_eq!(FileId::of(root.join("New.nii"))?, FileId::of(root.join("nEW.nii"))?);
        assert!(FileId::of(root.join("missing/a.nii")).is_err());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_their_file_and_circles_end() -> io::Result<()> {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir()?;
        let [file, link, second, hard] = ["file", "link", "second", "hard"].map(|name| folder.path().join(name));
        symlink("file", &link)?;
        symlink(&link, &second)?;
        assert_eq!(FileId::of(&second)?, FileId::of(&file)?, "of a file that does not exist yet");
        std::fs::write(&file, "")?;
        std::fs::hard_link(&file, &hard)?;
        for path in [&link, &second, &hard] {
            assert_eq!(FileId::of(path)?, FileId::of(&file)?);
        }
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        symlink(&one, &other)?;
        symlink(&other, &one)?;
        assert!(FileId::of(&one).is_err());
        Ok(())
    }
}
