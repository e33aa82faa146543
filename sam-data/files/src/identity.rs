//! Which paths are one file: through links, relative paths and other spellings.

use std::{
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
/// is known by the identity of its folder and by its name; upper and lower case are then taken as equal, as some file systems do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Id);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Id {
    #[cfg(unix)]
    Inode { device: u64, inode: u64 },
    #[cfg(not(unix))]
    Canonical(PathBuf),
    /// A file that does not exist yet: the first folder of its path that exists, and the rest of the path.
    Future { folder: Box<Id>, name: PathBuf },
}

impl FileId {
    /// The identity of the file or folder at a path, whether it exists or not.
    ///
    /// # Errors
    /// The operating system's error: a folder of the path cannot be searched, or its links form a circle.
    pub fn of(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = resolved(path.as_ref())?;
        let folder = path.ancestors().find(|place| place.exists());
        let folder = folder.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let id = Id::existing(folder)?;
        match path.strip_prefix(folder) {
            Ok(name) if !name.as_os_str().is_empty() => {
                // A name that is not UTF-8 has no upper and lower case.
                let name = name.to_str().map_or_else(|| name.into(), |name| name.to_lowercase().into());
                Ok(Self(Id::Future { folder: Box::new(id), name }))
            }
            _ => Ok(Self(id)),
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

/// The path that a path leads to, through all links. What is missing at its end stays as it is.
pub(crate) fn resolved(path: &Path) -> io::Result<PathBuf> {
    // Without a separator at the end, which a file's path cannot have.
    resolved_through(&path.components().collect::<PathBuf>(), MAX_LINKS)
}

fn resolved_through(path: &Path, links: usize) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(name) = path.file_name() else { return Err(error) };
            let folder = folder_of(path);
            match std::fs::read_link(path) {
                Ok(_) if links == 0 => Err(io::Error::other("its links form a circle")),
                // A relative link starts in the link's folder.
                Ok(target) => resolved_through(&folder.join(target), links - 1),
                Err(_) => Ok(resolved_through(folder, links)?.join(name)),
            }
        }
        found => found,
    }
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
        assert_eq!(FileId::of(root.join("missing/a.nii"))?, FileId::of(root.join("sub/../missing/./A.nii"))?);
        assert_ne!(FileId::of(root.join("missing/a.nii"))?, FileId::of(root.join("missing/b/a.nii"))?);
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
