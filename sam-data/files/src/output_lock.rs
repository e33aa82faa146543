//! Locks on output files: two programs never work on one output at the same time.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{FileId, FileLock};

/// How often a lock file is opened again because its last holder has just removed it.
const MAX_TRIES: usize = 1000;

/// An exclusive lock on an output file. It is released when this value is dropped, and also when the process ends or is killed.
///
/// The lock is on the hidden file `.NAME.lock` beside the output `NAME`, because an atomic write replaces the output itself. The lock file
/// holds the process ID of the holder. A killed process leaves the lock file behind, but not the lock: the next process takes it over. The
/// output is found through links and relative paths, so each spelling of its path gets the same lock.
///
/// ```
/// use sam_files::{LockError, OutputLock};
///
/// let folder = tempfile::tempdir()?;
/// let output = folder.path().join("mask.nii.gz");
/// let lock = OutputLock::acquire(&output)?;
/// let Err(LockError::InUse { holder, .. }) = OutputLock::acquire(&output) else { panic!("it is locked") };
/// assert_eq!(holder.map(|holder| holder.0), Some(std::process::id()));
/// drop(lock);
/// OutputLock::acquire(&output)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct OutputLock {
    file: FileLock,
    /// The lock file.
    path: PathBuf,
}

/// The ID of a process. In JSON it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// Why an output cannot be locked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process, or another lock of this process, holds it.
    #[error("{} is being written by {}; wait until it has finished, or end it", path.display(), shown(*holder))]
    InUse {
        /// The output.
        path: PathBuf,
        /// The process that holds it, if its lock file can be read.
        holder: Option<ProcessId>,
    },
    /// The lock file cannot be opened, or the file system does not support locks.
    #[error("cannot lock {}; check that its folder exists and is writable", path.display())]
    Unsupported {
        /// The output.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

fn shown(holder: Option<ProcessId>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string())
}

impl OutputLock {
    /// Locks an output, which need not exist yet. Its folder has to exist.
    ///
    /// # Errors
    /// [`LockError::InUse`] with the process that holds it; [`LockError::Unsupported`].
    pub fn acquire(output: impl AsRef<Path>) -> Result<Self, LockError> {
        let output = output.as_ref();
        let failed = |source| LockError::Unsupported { path: output.to_path_buf(), source };
        let path = lock_path(output).map_err(failed)?;
        // The lock file is emptied and removed at the end, so it must not lead to a file of others.
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::other(format!("{} is not a plain file; remove it", path.display()))));
        }
        for _ in 0..MAX_TRIES {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let Some(lock) = FileLock::try_new(file.map_err(failed)?).map_err(failed)? else {
                return Err(LockError::InUse { path: output.to_path_buf(), holder: holder(&path) });
            };
            // The last holder may have removed the file after it was opened here: then the lock is on a file without a name.
            if !FileId::of_open(&lock, &path).is_ok_and(|locked| FileId::of(&path).is_ok_and(|named| named == locked)) {
                continue;
            }
            write_process_id(&lock).map_err(failed)?;
            return Ok(Self { file: lock, path });
        }
        Err(failed(io::Error::other(format!("{} is removed again and again", path.display()))))
    }
}

impl Drop for OutputLock {
    /// Removes the lock file, while the lock is still held.
    fn drop(&mut self) {
        // If it cannot be removed, the next process takes it over. It is emptied, so that it names no process that does not hold it.
        let _ = self.file.set_len(0);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The lock file of an output: `.NAME.lock` in its folder, after links.
fn lock_path(output: &Path) -> io::Result<PathBuf> {
    let output = crate::identity::resolved(output)?;
    let name =
        output.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not a file name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".lock");
    Ok(output.with_file_name(hidden))
}

fn write_process_id(mut lock: &std::fs::File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "{}", std::process::id())
}

/// The process that a lock file names.
fn holder(path: &Path) -> Option<ProcessId> {
    let mut text = String::new();
    // A process ID has at most ten digits.
    std::fs::File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().map(ProcessId)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn one_holder_at_a_time_which_is_named() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("mask.nii.gz");
        let lock = OutputLock::acquire(&output)?;
        std::fs::create_dir(folder.path().join("sub"))?;
        for spelling in ["mask.nii.gz", "./mask.nii.gz", "sub/../mask.nii.gz"] {
            let refused = OutputLock::acquire(folder.path().join(spelling)).expect_err("it is held");
            let message = refused.to_string();
            assert!(message.contains("mask.nii.gz"), "{message}");
            assert!(message.contains(&format!("process {};", std::process::id())), "{message}");
        }
        // An atomic write replaces the output, but not the lock.
        crate::write_atomic(&output, |file| file.write_all(b"new"))?;
        assert!(OutputLock::acquire(&output).is_err());
        let _other = OutputLock::acquire(folder.path().join("other.nii.gz"))?;
        drop(lock);
        drop(OutputLock::acquire(&output)?);
        assert!(!folder.path().join(".mask.nii.gz.lock").exists(), "nothing is left behind");
        Ok(())
    }

    #[test]
    fn a_lock_file_that_a_killed_process_left_is_taken_over() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(".mask.nii.lock"), "4294967295 and more")?;
        let _lock = OutputLock::acquire(folder.path().join("mask.nii"))?;
        let named = std::fs::read_to_string(folder.path().join(".mask.nii.lock"))?;
        assert_eq!(named, std::process::id().to_string());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_one_lock() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let [real, link] = ["real.nii", "link.nii"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&real, &link)?;
        let _lock = OutputLock::acquire(&link)?;
        assert!(OutputLock::acquire(&real).is_err(), "the link leads to a file that is not there yet");
        std::fs::write(&real, "mask")?;
        assert!(OutputLock::acquire(&real).is_err());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_the_lock_file_is_refused() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let diary = folder.path().join("diary.txt");
        std::fs::write(&diary, "written by a person")?;
        std::os::unix::fs::symlink(&diary, folder.path().join(".mask.nii.lock"))?;
        let refused = OutputLock::acquire(folder.path().join("mask.nii")).expect_err("it is a link");
        assert!(refused.source().is_some_and(|cause| cause.to_string().contains("not a plain file")), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&diary)?, "written by a person");
        Ok(())
    }

    #[test]
    fn a_missing_folder_is_an_error_with_the_output() {
        let refused = OutputLock::acquire("no-such-folder/mask.nii").expect_err("no folder");
        assert!(matches!(refused, LockError::Unsupported { .. }));
        assert!(refused.to_string().contains("no-such-folder/mask.nii"), "{refused}");
    }

    #[test]
    fn many_threads_never_hold_it_together() -> Result<(), Box<dyn Error>> {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let folder = tempfile::tempdir()?;
        let output = folder.path().join("mask.nii");
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = OutputLock::acquire(&output) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        Ok(())
    }
}
