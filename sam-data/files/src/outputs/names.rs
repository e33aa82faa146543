//! Names for files that must not be lost: backups of old files, and results that could not get their own name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// `NAME.bak`, `NAME.bak2`, `NAME.bak3` and so on.
pub(super) fn backups(path: &Path) -> impl Iterator<Item = PathBuf> {
    numbered(path, |name, number| format!("{name}.bak{number}"))
}

/// `new-NAME`, `new2-NAME`, `new3-NAME` and so on.
pub(super) fn aside(path: &Path) -> impl Iterator<Item = PathBuf> {
    numbered(path, |name, number| format!("new{number}-{name}"))
}

/// Names beside a path; the first has no number.
fn numbered(path: &Path, name: impl Fn(&str, &str) -> String) -> impl Iterator<Item = PathBuf> {
    let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let numbers = [String::new()].into_iter().chain((2..u32::MAX).map(|number: u32| number.to_string()));
    numbers.map(move |number| path.with_file_name(name(&own, &number)))
}

/// Gives a file one more name: the first that is free. Without hard links on the file system, the file is copied.
pub(super) fn keep_as(file: &Path, names: impl Iterator<Item = PathBuf>) -> io::Result<PathBuf> {
    for name in names {
        let kept = match fs::hard_link(file, &name) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => copy(file, &name),
            kept => kept,
        };
        match kept {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no name is free"))
}

/// Gives a file a name that no other file has. Its old name may stay.
///
/// # Errors
/// `AlreadyExists` if there is a file of this name.
pub(super) fn name_new(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // Without hard links on the file system, another program has a moment between the two calls.
            if name.symlink_metadata().is_ok() { Err(ErrorKind::AlreadyExists.into()) } else { fs::rename(file, name) }
        }
        linked => linked,
    }
}

/// Copies a file to a name that no file has.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied = File::open(from).and_then(|mut old| io::copy(&mut old, &mut new)).and_then(|_| new.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}
