//! Files that one program at a time has.

use std::{
    fs::{File, TryLockError},
    io,
    ops::Deref,
};

/// A file that no other program that asks gets, until this is dropped or the program ends in whatever way.
#[derive(Debug)]
#[must_use]
pub struct Locked(File);

impl Locked {
    /// Takes a file; `None` if another program has it.
    ///
    /// # Errors
    /// If the file's system cannot lock.
    pub fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    /// Closing alone would not do: a program that another thread starts has every file of this one for a moment, and with it the lock.
    fn drop(&mut self) {
        // What goes wrong here is told to whoever takes the file next.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result};

    use super::*;

    #[test]
    fn a_file_is_free_once_it_is_dropped_even_if_it_is_open_elsewhere() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let locked = Locked::take(File::create(&path)?)?.context("nobody has it")?;
        // What a program that is being started holds until it runs.
        let _inherited = locked.try_clone()?;
        assert!(Locked::take(File::open(&path)?)?.is_none());
        drop(locked);
        assert!(Locked::take(File::open(&path)?)?.is_some());
        Ok(())
    }
}
