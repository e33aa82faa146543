//! Atomic writes: a file is either complete or absent.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::{WriteError, identity::folder_of};

/// Prefix of temporary file names.
pub const UNFINISHED: &str = ".unfinished-";

/// Returns whether a path has a temporary name: it is being written, or its writer was interrupted.
pub fn is_unfinished(path: impl AsRef<Path>) -> bool {
    path.as_ref().file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED))
}

/// Writes a file atomically: to a temporary name in the same folder, flushed to the disk, then renamed.
///
/// An interrupted or failed write leaves the old file unchanged. The writer is buffered. The new file gets the default permissions of this
/// process.
///
/// # Errors
/// [`WriteError`] with the final path, also if `write` itself fails.
pub fn write_atomic(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let path = path.as_ref();
    let attempt = || {
        let temporary = temporary_beside(path)?;
        // `NamedTempFile` is not used as the writer, because its errors name the temporary file.
        let mut writer = BufWriter::new(temporary.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(WriteError::of(path))
}

/// Checks that the parent folder of an output file exists.
///
/// # Errors
/// [`WriteError`] if it does not.
pub fn check_folder(path: impl AsRef<Path>) -> Result<(), WriteError> {
    let path = path.as_ref();
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    let reason = format!("there is no folder {}", folder.display());
    Err(WriteError::of(path)(io::Error::new(ErrorKind::NotFound, reason)))
}

/// Checks that a file can be written, before a long computation: creates a temporary file in the same folder and removes it again.
///
/// # Errors
/// [`WriteError`] if the folder does not exist or cannot be written to, or the path is a folder.
pub fn check_writable(path: impl AsRef<Path>) -> Result<(), WriteError> {
    let path = path.as_ref();
    check_folder(path)?;
    if path.is_dir() {
        return Err(WriteError::of(path)(io::Error::new(ErrorKind::IsADirectory, "it is a folder, expected a file")));
    }
    temporary_beside(path).map(drop).map_err(WriteError::of(path))
}

/// Flushes a folder to the disk, so that files created or renamed in it are still there after a power failure.
///
/// Does nothing on systems where a folder cannot be opened as a file.
///
/// # Errors
/// The error of the operating system.
pub fn sync_folder(folder: impl AsRef<Path>) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// A temporary file in the folder of `path`, deleted when it is dropped.
///
/// It is opened here, because tempfile makes its own files readable only by their owner.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let open = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    tempfile::Builder::new().prefix(UNFINISHED).make_in(folder_of(path), open)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("result.txt");
        write_atomic(&path, |file| file.write_all(b"first"))?;
        let failed = write_atomic(&path, |file| {
            file.write_all(b"second")?;
            Err(io::Error::other("the disk is full"))
        });
        let error = failed.expect_err("the closure failed");
        assert!(error.source.to_string().contains("the disk is full"));
        assert_eq!(error.path, path);
        assert_eq!(std::fs::read(&path)?, b"first");
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn errors_name_the_final_path_and_the_cause_once() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("missing").join("result.txt");
        for error in [write_atomic(&path, |_| Ok(())), check_folder(&path), check_writable(&path)] {
            let error = error.expect_err("there is no such folder");
            let cause = error.source().expect("a cause").to_string();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert!(!error.to_string().contains(&cause), "{error}: {cause}");
            assert!(!cause.contains(UNFINISHED), "{cause}");
        }
        Ok(())
    }

    #[test]
    fn a_writable_place_is_told_from_others() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        check_writable(folder.path().join("new.txt"))?;
        assert!(check_writable(folder.path()).is_err(), "a folder");
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        assert!(is_unfinished("results/.unfinished-a8B"));
        assert!(!is_unfinished("results/finished"));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_result_is_as_readable_as_any_other_new_file() -> Result<(), Box<dyn Error>> {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir()?;
        let [atomic, plain] = ["atomic", "plain"].map(|name| folder.path().join(name));
        write_atomic(&atomic, |file| file.write_all(b"1"))?;
        std::fs::write(&plain, b"1")?;
        let mode = |path: &Path| std::fs::metadata(path).map(|meta| meta.permissions().mode());
        assert_eq!(mode(&atomic)?, mode(&plain)?);
        Ok(())
    }
}
