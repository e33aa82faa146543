//! Files that one process at a time works with.

use std::{
    fs::{File, TryLockError},
    io,
    ops::Deref,
};

/// An open file, locked until this value is dropped or the process ends in whatever way.
///
/// The lock is advisory: it keeps out those who ask for it.
#[derive(Debug)]
#[must_use]
pub struct FileLock(File);

impl FileLock {
    /// Locks a file; `None` if another process, or another lock of this one, has it.
    ///
    /// # Errors
    /// If the file system cannot lock.
    pub fn try_new(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Deref for FileLock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for FileLock {
    /// Closing the file would not be enough: a child process that another thread is starting holds all open files for a moment, and the
    /// lock with them.
    fn drop(&mut self) {
        // Whoever locks the file next sees the error.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_after_drop_even_if_it_is_open_elsewhere() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let lock = FileLock::try_new(File::create(&path)?)?.expect("nobody has it");
        // As a child process holds it that is being started.
        let _inherited = lock.try_clone()?;
        assert!(FileLock::try_new(File::open(&path)?)?.is_none());
        drop(lock);
        assert!(FileLock::try_new(File::open(&path)?)?.is_some());
        Ok(())
    }
}
