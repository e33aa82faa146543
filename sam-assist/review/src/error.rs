//! Errors of a review.

use std::{error::Error, io, path::PathBuf};

use sam_annotate::{AnnotateError, SliceNumber, session::SessionError};
use sam_prompt::counted;
use thiserror::Error;

/// An error of another crate or of a caller's own code.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a review cannot be opened or served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The port is in use, or the system does not allow it.
    #[error("cannot open port {port} of this machine: choose another one, or 0 for any that is free")]
    Port {
        /// The port that was asked for.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The page's address needs a random token.
    #[error("the operating system gives no random numbers for the page's address")]
    Random(#[source] getrandom::Error),
    /// The port failed while the page was served.
    #[error("the review page's port failed")]
    Serve(#[source] io::Error),
    /// The thread that embeds slices in advance cannot be started.
    #[error("cannot start the thread that embeds slices in advance")]
    Thread(#[source] io::Error),
    /// The ranking cannot be read.
    #[error("cannot read the ranking {}", path.display())]
    RankingFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: RankingError,
    },
    /// The model cannot be used with a structure's card.
    #[error("the prompt card of structure {structure} cannot be used with this model")]
    Card {
        /// The structure, counted from 0.
        structure: usize,
        /// Why not.
        source: BoxError,
    },
    /// A part of the session cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mask, its DICOM SEG or its record cannot be written.
    #[error(transparent)]
    Write(#[from] AnnotateError),
    /// Another program has changed the mask, and the names beside it are in use.
    #[error(
        "another program has changed {}, and no name beside it is free: move the files mask-review-* away", mask.display()
    )]
    NoName {
        /// The mask.
        mask: PathBuf,
    },
}

/// Why a list of slices is not a valid ranking.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RankingError {
    /// The file cannot be opened or read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The text is not a ranking.
    #[error("expected a ranking such as [{{\"index\": 3, \"trust\": 0.2}}]")]
    Json(#[source] serde_json::Error),
    /// A slice that the scan does not have.
    #[error("the ranking names slice {}, but the scan has {}", SliceNumber::of_index(*slice).with_index(), counted(*count, "slice"))]
    NoSuchSlice {
        /// The slice named.
        slice: usize,
        /// Slices of the scan.
        count: usize,
    },
    /// A slice is named more than once.
    #[error("the ranking names slice {} twice", SliceNumber::of_index(*slice).with_index())]
    Twice {
        /// The slice named.
        slice: usize,
    },
    /// Trust outside its range.
    #[error("the trust in slice {} is {trust}, expected a value from 0 to 1", SliceNumber::of_index(*slice).with_index())]
    Trust {
        /// The slice named.
        slice: usize,
        /// The value found.
        trust: f64,
    },
}

/// Why a decision could not be stored or read back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The session has no mask to review.
    #[error(
        "this session has no mask to review yet: run `sam-med annotate --session` with a few slices outlined first"
    )]
    NothingToReview,
    /// Slices that nobody decided on are not stored.
    #[error("slice {} cannot be stored as {state:?}: nobody decided on it", SliceNumber::of_index(*slice))]
    NoDecision {
        /// The slice.
        slice: usize,
        /// Its state.
        state: crate::SliceState,
    },
    /// A part of the session is missing or damaged, or cannot be written. Nothing has changed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A store of the caller's own failed. Nothing has changed.
    #[error(transparent)]
    Failed(BoxError),
}

/// Why a desk refused or failed an action.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeskError {
    /// It cannot be done in the present state; the message says why.
    #[error("{0}")]
    NotNow(String),
    /// There is no structure with this label value.
    #[error("no structure has the label value {0}")]
    NoSuchStructure(u16),
    /// The decision could not be stored. Nothing has changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mask cannot be written. The old mask and its DICOM SEG are as they were.
    #[error("the mask is not saved; every decision is kept while the program runs: see to the cause, then save again")]
    Mask(#[source] BoxError),
    /// The mask is written, but not its DICOM SEG.
    #[error("the mask is in {}, but not as DICOM SEG: see to the cause, then save again", mask.display())]
    Segmentation {
        /// The mask.
        mask: PathBuf,
        /// Why not.
        source: BoxError,
    },
    /// The action was tried and failed.
    #[error(transparent)]
    Failed(BoxError),
}

impl DeskError {
    /// An error of the caller's own code, shown to the person with all its causes.
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use sam_prompt::error_chain;

    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        let full = io::Error::other("the disk is full");
        let error = DeskError::Store(StoreError::Failed(Box::new(ReviewError::Serve(full))));
        assert_eq!(error_chain(&error), "the review page's port failed: the disk is full");
    }
}
