//! Why outputs are refused or cannot be written.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::names;
use crate::{LockError, ReadError, WriteError};

/// Why outputs are refused before the work, or cannot be written after it. No input and no other file has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// An output is one of the inputs.
    #[error("{output} would overwrite {input}: both are {}; choose another name for the output", path.display())]
    IsInput {
        /// The output, such as `--out`.
        output: String,
        /// The input, such as `--image`.
        input: String,
        /// The file.
        path: PathBuf,
    },
    /// Two outputs are one file.
    #[error("{first} and {second} are the same file, {}; give each output a name of its own", path.display())]
    SameFile {
        /// One output.
        first: String,
        /// The other output.
        second: String,
        /// The file.
        path: PathBuf,
    },
    /// The output exists, and this program did not write it.
    #[error(
        "{output} would overwrite {}, and no record says that this program wrote it; choose another name, or give --overwrite, which keeps \
         the old file as {}", path.display(), backup_name(path)
    )]
    NotOurs {
        /// The output.
        output: String,
        /// The file.
        path: PathBuf,
    },
    /// The output was changed after this program wrote it.
    #[error(
        "{output} would overwrite {}, which was changed after this program wrote it; choose another name, or give --overwrite, which keeps \
         the old file as {}", path.display(), backup_name(path)
    )]
    Changed {
        /// The output.
        output: String,
        /// The file.
        path: PathBuf,
    },
    /// The output holds a person's work, and is the only copy of it.
    #[error(
        "{output} would overwrite {}, which is the only copy of a person's review; go on with it in `review`, choose another name, or give \
         --overwrite, which keeps the old file as {}", path.display(), backup_name(path)
    )]
    OnlyCopy {
        /// The output.
        output: String,
        /// The file.
        path: PathBuf,
    },
    /// The output is the record of other files, which are still there.
    #[error(
        "{output} would overwrite {}, the record of {}; choose another name, or give --overwrite, which keeps the old file as {}",
        path.display(), of.display(), backup_name(path)
    )]
    OtherRecord {
        /// The output.
        output: String,
        /// The record.
        path: PathBuf,
        /// A file that the record lists.
        of: PathBuf,
    },
    /// The output is a folder, a device or a pipe.
    #[error("{output} {} is not a regular file; choose another name", path.display())]
    NotAFile {
        /// The output.
        output: String,
        /// What is there.
        path: PathBuf,
    },
    /// Another program created or changed the output during the work.
    #[error(
        "another program created or changed {} during the work, so it was left as it is; the result is in {}",
        path.display(), kept.display()
    )]
    ChangedMeanwhile {
        /// The output.
        path: PathBuf,
        /// Where the result is.
        kept: PathBuf,
    },
    /// The output could not get its name, so the result is elsewhere.
    #[error("cannot write {}; the result is in {}", path.display(), kept.display())]
    NotPublished {
        /// The output.
        path: PathBuf,
        /// Where the result is.
        kept: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The old file cannot be kept, so it was not replaced.
    #[error("cannot keep the old {} under another name, so it was not replaced; the result is in {}", path.display(), kept.display())]
    Backup {
        /// The output.
        path: PathBuf,
        /// Where the result is.
        kept: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Another process writes this output.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The output cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file that exists cannot be read, so it is not known whether this program wrote it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A value cannot be written as JSON.
    #[error("the content of {} cannot be written as JSON", path.display())]
    Json {
        /// The output.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The caller writes a file that its plan does not have.
    #[error("{} is not in the plan of outputs, which was checked before the work", path.display())]
    NotPlanned {
        /// The file.
        path: PathBuf,
    },
}

impl OutputError {
    /// Whether the reason is that this file exists and no record lists it as it is.
    pub fn is_unrecorded(&self, file: impl AsRef<Path>) -> bool {
        match self {
            Self::NotOurs { path, .. } | Self::Changed { path, .. } => path == file.as_ref(),
            _ => false,
        }
    }
}

/// The first name of a backup: `NAME.bak`.
fn backup_name(path: &Path) -> String {
    let backup = names::backups(path).next().unwrap_or_default();
    backup.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
