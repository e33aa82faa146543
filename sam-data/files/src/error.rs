//! Errors of file access.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::is_unfinished;

/// A file that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

/// A file that cannot be written.
#[derive(Debug, Error)]
#[error("cannot write {}; check that its folder exists and is writable, and that the disk has room", path.display())]
pub struct WriteError {
    /// The file, under its final name.
    pub path: PathBuf,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

/// A file of lines that cannot be opened. `E` is the error of the function that reads a line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenLinesError<E> {
    /// The file cannot be opened, created or read.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Another process has locked the file.
    #[error("{} is in use by another process; wait until it has finished, or end it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A line that is longer than any line that [`AppendLines::push`](crate::AppendLines::push) writes.
    #[error(
        "line {number} of {} is longer than {most} bytes, so the file is damaged or no file of this program; restore the file from a \
         copy, or move it away",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        number: usize,
        /// The maximum length of a line, in bytes.
        most: usize,
    },
    /// The only line has no end, and does not begin as a line of the log.
    #[error(
        "{} holds a single line without an end, which does not begin as a line of this log, so it may be a file of others; move it away",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A line that the caller's function refused.
    #[error("line {number} of {} cannot be read", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        number: usize,
        /// Why it was refused.
        #[source]
        source: E,
    },
}

impl WriteError {
    /// Returns a function for `map_err` that puts the same path into each error.
    pub(crate) fn of(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self { path: final_path(path), source }
    }
}

/// The path that a file will have: one that is being staged is in a temporary folder, which its user does not know.
fn final_path(path: &Path) -> PathBuf {
    match (path.parent().filter(|folder| is_unfinished(folder)).and_then(Path::parent), path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}
