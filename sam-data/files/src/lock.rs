//! Exclusive file locks.

use std::{
    fs::{File, TryLockError},
    io,
    ops::Deref,
};

/// An exclusive lock on an open file. It is released when this value is dropped or the process ends.
///
/// The lock is advisory: it only affects processes that also try to lock the file.
#[derive(Debug)]
#[must_use]
pub struct FileLock(File);

impl FileLock {
    /// Locks a file. Returns `None` if another process, or another lock in this process, holds it.
    ///
    /// # Errors
    /// If the file system does not support locks.
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
    /// Unlocks the file explicitly. Closing it is not enough: a child process that another thread is starting inherits all open files for a
    /// moment, and the lock with them.
    fn drop(&mut self) {
        // An error is ignored: the next attempt to lock the file reports it.
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
        // Simulates the copy that a starting child process inherits.
        let _inherited = lock.try_clone()?;
        assert!(FileLock::try_new(File::open(&path)?)?.is_none());
        drop(lock);
        assert!(FileLock::try_new(File::open(&path)?)?.is_some());
        Ok(())
    }
}
