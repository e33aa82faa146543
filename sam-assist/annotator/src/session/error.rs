//! Errors of sessions.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use sam_data::GridMismatch;
use sam_prompt::SliceNumber;
use thiserror::Error;

/// Any error, as the source of another one.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a session cannot be created, opened, read or continued.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The folder holds no session.
    #[error("there is no session in {}; check the folder's name, or begin a session with a few outlined slices", folder.display())]
    NotFound {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder already holds a session.
    #[error("there is a session in {} already; resume it, or choose another folder", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be created or written to.
    #[error("cannot begin a session in {}; choose a folder that can be written to", folder.display())]
    Create {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A file of the session is a symbolic link. Its target would be read and written.
    #[error("{} is a symbolic link; put what it points to in its place", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The session's folder is a symbolic link.
    #[error("the session folder {} is a symbolic link; name the folder that it leads to instead", folder.display())]
    LinkedFolder {
        /// The link.
        folder: PathBuf,
    },
    /// The end of the log was cut off: a line is missing that was there when a mask was written.
    #[error(
        "the log of the session in {} was cut off: {}; restore the session from a copy, or, to go on without what is missing, move that \
         record away", folder.display(), missing(record, *recorded, *found, *round)
    )]
    LogCutOff {
        /// The session's folder.
        folder: PathBuf,
        /// The record beside the mask.
        record: PathBuf,
        /// Number of lines when the record was written.
        recorded: usize,
        /// Number of lines now.
        found: usize,
        /// The round of the mask, if it is missing.
        round: Option<usize>,
    },
    /// The session has a log but no header.
    #[error("{} is missing, but the session has a log; restore the file from a copy of the session", path.display())]
    MissingHeader {
        /// Path where the header should be.
        path: PathBuf,
    },
    /// A file of the session cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The header is damaged, or the file is not a header.
    #[error("{} is not the header of a session, or is damaged; restore it from a copy of the session", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The session has another format.
    #[error(
        "{} has format version {found}, but this program reads versions 1 to {expected}; use the version of the program that wrote it, or \
         begin another session", path.display()
    )]
    FormatVersion {
        /// The header's file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that is read here.
        expected: u32,
    },
    /// The session was created with another scan, axis, window or model.
    #[error("the session in {} was begun with the {what} {begun}, found {found}; use that {what}, or begin another session", folder.display())]
    OtherSetting {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        what: Setting,
        /// The value when the session was created.
        begun: String,
        /// The value now.
        found: String,
    },
    /// The scan has the same content as when the session was created, but another grid.
    #[error("the session in {} was begun with the same scan on another grid; use that scan, or begin another session", folder.display())]
    OtherGrid {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        #[source]
        source: GridMismatch,
    },
    /// Another process has the session open.
    #[error("the session in {} is in use by another process; wait until it has finished, or end it", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A line of the log was altered, deleted or moved.
    #[error("{} is damaged in line {line}; restore the session from a copy", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// An object that the log names is missing or damaged.
    #[error("{what} cannot be read; {advice}")]
    Object {
        /// The object.
        what: String,
        /// Advice for the user.
        advice: &'static str,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// A decision or a round could not be written.
    #[error(
        "{what} could not be saved in {}, and nothing has changed; make room there, or check that the folder is writable, and repeat it",
        folder.display()
    )]
    NotSaved {
        /// What was to be saved.
        what: String,
        /// The session's folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The slice does not exist.
    #[error("there is no slice {}: {scan} has {count}, counted from 1", SliceNumber::of_index(*slice))]
    NoSuchSlice {
        /// The slice, counted from 0.
        slice: usize,
        /// The scan's name.
        scan: String,
        /// Number of its slices.
        count: usize,
    },
    /// The labels have another size than the scan's slices.
    #[error(
        "slice {} has {} x {} pixels (rows x columns), the labels have {} x {}",
        SliceNumber::of_index(*slice), expected.0, expected.1, found.0, found.1
    )]
    SliceSize {
        /// The slice, counted from 0.
        slice: usize,
        /// Its rows and columns.
        expected: (usize, usize),
        /// Rows and columns of the labels.
        found: (usize, usize),
    },
    /// The label is not one of the session's structures.
    #[error(
        "slice {} has the label value {label}, but the structures of the session are {structures}; use one of their values, or name the \
         new structure first", SliceNumber::of_index(*slice)
    )]
    UnknownLabel {
        /// The slice, counted from 0.
        slice: usize,
        /// The label value.
        label: u16,
        /// The session's structures.
        structures: String,
    },
    /// The background cannot be a structure.
    #[error("the label value 0 is the background and cannot have a name; give each structure a value from 1 to 65535")]
    BackgroundLabel,
    /// A slice cannot be accepted before there is a mask.
    #[error("there is nothing to accept yet; run the first round, which segments the slices")]
    NothingToAccept,
    /// All events are undone.
    #[error("there is nothing to undo: every decision and round of the session is undone already, or there was none")]
    NothingToUndo,
    /// The mask of a round contradicts the person's labels. This is a bug of the caller.
    #[error(
        "the round's mask differs from what the person decided for slice {}; copy the person's slices into the mask",
        SliceNumber::of_index(*slice)
    )]
    RoundContradicts {
        /// The slice, counted from 0.
        slice: usize,
    },
}

/// What a log lacks.
fn missing(record: &Path, recorded: usize, found: usize, round: Option<usize>) -> String {
    let round = round.map_or_else(String::new, |round| format!(" with round {round}"));
    let written = format!("when the record {} was written", record.display());
    match recorded.checked_sub(found) {
        Some(1) => format!("line {recorded}{round} is missing, which was the last one {written}"),
        Some(2..) => format!("lines {} to {recorded}{round} are missing, which were there {written}", found + 1),
        _ => format!("line {recorded}{round} is another one than {written}"),
    }
}

/// A setting that is fixed when a session is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// The scan, by the SHA-256 of its files.
    Scan,
    /// The axis along which the scan is sliced.
    Axis,
    /// The intensity window.
    Window,
    /// The model's weights, by their SHA-256.
    Weights,
    /// The floating-point precision of the image encoder.
    Precision,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Scan => "scan",
            Self::Axis => "axis",
            Self::Window => "window",
            Self::Weights => "weights",
            Self::Precision => "precision",
        })
    }
}

/// Why a line of the log is invalid.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is not UTF-8.
    #[error("it is not text")]
    NotText(#[source] std::str::Utf8Error),
    /// Its checksum is missing or wrong.
    #[error("its checksum does not fit")]
    Checksum(#[source] sam_files::SealError),
    /// It is longer than any line of a log.
    #[error("it has more than {most} bytes, more than any line of a log")]
    TooLong {
        /// The maximum length of a line, in bytes.
        most: usize,
    },
    /// It is the only line, has no end, and does not begin as a line of a log.
    #[error("it has no end and does not begin as a line of a log, so it may be from a file of others")]
    Foreign,
    /// With it, the log is larger than a log may be.
    #[error("with it the log has more than {most} MiB, the most that a log may have")]
    TooMuch {
        /// The maximum size of a log, in MiB.
        most: u64,
    },
    /// It is not an event of this format.
    #[error("it has another format")]
    Format(#[source] JsonError),
    /// The number of its event is not the number of the line.
    #[error("its event has the number {found}, expected {expected}")]
    Number {
        /// The event's number.
        found: u64,
        /// The line's number.
        expected: u64,
    },
    /// It contains the SHA-256 of another line than the one before it.
    #[error("it does not follow the line before it: lines, or the header, were altered, dropped or moved")]
    Order,
    /// Its event names a slice that the scan does not have.
    #[error("its event names slice {}, and the scan has {count}", SliceNumber::of_index(*slice).with_index())]
    NoSuchSlice {
        /// The slice, counted from 0.
        slice: usize,
        /// Number of the scan's slices.
        count: usize,
    },
    /// Its round does not have the next round number.
    #[error("it is round {found}, expected round {expected}")]
    RoundNumber {
        /// The round's number.
        found: usize,
        /// The number of the next round.
        expected: usize,
    },
    /// Its event names the background.
    #[error("its event names the label value 0, which is the background")]
    Background,
    /// Its event gives a name that could manipulate a terminal.
    #[error("its event gives the label value {label} a name with control characters")]
    ControlCharacters {
        /// The label value.
        label: u16,
    },
    /// It undoes an event that is not the last one in effect.
    #[error("it undoes event {event}, and the last one in effect is {}", last.map_or_else(|| "none".to_owned(), |last| last.to_string()))]
    NotUndoable {
        /// The event.
        event: u64,
        /// The last event in effect.
        last: Option<u64>,
    },
    /// The event cannot be stored in JSON.
    #[error(
        "the event cannot be written as JSON and read back unchanged: check its configuration for numbers that are not finite"
    )]
    NotReadable,
}

/// Error of the JSON parser. The message may quote the text and is made safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct JsonError(String);

impl JsonError {
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        Self(sam_files::sanitize(&error.to_string()))
    }
}

/// Parses JSON, which may begin with a byte order mark if a person edited it.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    serde_json::from_slice(sam_files::without_mark(text)).map_err(|error| JsonError::new(&error))
}
