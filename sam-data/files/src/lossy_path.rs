//! Paths in JSON.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, Serializer};

/// A path that can always be written as text: what is not UTF-8 becomes U+FFFD. `PathBuf` itself fails there.
///
/// It is used like a `Path`, and opens the same file.
///
/// ```
/// use sam_files::LossyPath;
///
/// let path = LossyPath::from("scans/ct.nii.gz");
/// assert!(path.ends_with("ct.nii.gz"));
/// assert_eq!(serde_json::to_string(&path)?, r#""scans/ct.nii.gz""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct LossyPath(PathBuf);

impl Serialize for LossyPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string_lossy())
    }
}

impl Deref for LossyPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for LossyPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<OsStr> for LossyPath {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl fmt::Debug for LossyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<PathBuf> for LossyPath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl From<&Path> for LossyPath {
    fn from(path: &Path) -> Self {
        Self(path.to_path_buf())
    }
}

impl From<OsString> for LossyPath {
    fn from(path: OsString) -> Self {
        Self(path.into())
    }
}

impl From<&str> for LossyPath {
    fn from(path: &str) -> Self {
        Self(path.into())
    }
}

impl From<LossyPath> for PathBuf {
    fn from(path: LossyPath) -> Self {
        path.0
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn bytes_that_are_not_utf_8_are_written_and_still_open_the_file() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let name = OsString::from_vec(b"a\xff.nii".to_vec());
        let path = LossyPath::from(folder.path().join(name));
        std::fs::write(&path, "scan")?;
        assert_eq!(std::fs::read(&path)?, b"scan");
        assert!(serde_json::to_string(&path)?.ends_with("a\u{fffd}.nii\""));
        assert!(serde_json::to_string(&PathBuf::from(path)).is_err(), "why this type is needed");
        Ok(())
    }
}
