//! Why a pickle cannot be read.

use std::{io, num::ParseIntError, string::FromUtf8Error};

use thiserror::Error;

use super::MAX_BYTES;
use crate::ReadError;

/// Why a pickle cannot be read.
#[derive(Debug, Error)]
pub(crate) enum PickleError {
    /// An I/O error.
    #[error("its pickle cannot be read")]
    Io(#[source] io::Error),
    /// It ends too early.
    #[error("its pickle is cut off, or larger than {} MiB", MAX_BYTES >> 20)]
    CutOff,
    /// An operation takes an object from an empty stack.
    #[error("its pickle takes more from its stack than is there")]
    EmptyStack,
    /// It refers to an object that is not in the memo.
    #[error("its pickle refers to object {0}, which is missing")]
    NoSuchObject(u32),
    /// It has an opcode that Python does not write.
    #[error("its pickle has the unknown code {0:#04x}")]
    UnknownCode(u8),
    /// A line that is not a number.
    #[error("its pickle has {line:?} where a number should be")]
    NoNumber {
        /// The line.
        line: String,
        /// The cause.
        source: ParseIntError,
    },
    /// A text that is not valid UTF-8.
    #[error("its pickle has a text that is none")]
    NoText(#[source] FromUtf8Error),
    /// A class whose name is not a text.
    #[error("its pickle names a class by something else than words")]
    NoName,
}

impl From<PickleError> for ReadError {
    fn from(error: PickleError) -> Self {
        Self::Pickle(Box::new(error))
    }
}
