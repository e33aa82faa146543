//! Files that are either whole or not there.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::DataError;

/// Writes a file under a temporary name in its own folder and renames it when it is complete.
///
/// An interrupted or failed write leaves what was there before.
///
/// # Errors
/// [`DataError::Write`] names the file and the cause.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    let attempt = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default; a result is as readable as any other file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.prefix(".unfinished-").tempfile_in(folder)?;
        let mut writer = BufWriter::new(file);
        write(&mut writer)?;
        let file: NamedTempFile = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|source| DataError::Write { path: path.to_path_buf(), source })
}

/// Checks that the folder exists which a file is to be written into, before hours of work hang on it.
///
/// # Errors
/// [`DataError::Write`] if it does not.
pub fn check_folder(path: &Path) -> Result<(), DataError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => {
            let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()));
            Err(DataError::Write { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("result.txt");
        write_atomically(&path, |file| file.write_all(b"first")).expect("a writable folder");
        let failed = write_atomically(&path, |file| {
            file.write_all(b"second")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.expect_err("the closure failed").to_string().contains("the disk is full"));
        assert_eq!(std::fs::read(&path).expect("still there"), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let nowhere = folder.path().join("missing").join("result.txt");
        assert!(matches!(write_atomically(&nowhere, |_| Ok(())), Err(DataError::Write { .. })));
    }
}
