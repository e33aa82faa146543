//! Errors of annotating a scan.

use std::path::PathBuf;

use sam_assist::AssistError;
use sam_auto::AutoError;
use sam_core::SliceError;
use sam_data::{AmbiguousAxis, DataError, GridMismatch};
use sam_files::OutputError;
use sam_prompt::{SliceNumber, counted};
use thiserror::Error;

use crate::{MinOutline, cards::CardError, rounds::DecisionError, session::SessionError};

/// Why a scan could not be annotated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnnotateError {
    /// The model was not loaded from a checkpoint, so cards could not name the weights they belong to.
    #[error("the predictor does not know its weights' SHA-256; load it from a checkpoint file with `Weights::open`")]
    UnknownWeights,
    /// The configuration is invalid.
    #[error("the configuration of the annotator makes no sense")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The intensity window does not fit the scan.
    #[error("the intensity window cannot be applied to {scan}; choose another one with --window")]
    Window {
        /// The scan's name.
        scan: String,
        /// Why not.
        #[source]
        source: DataError,
    },
    /// The annotations are not on the scan's grid.
    #[error("the annotations do not lie on the grid of {scan}; resample them onto the scan's grid")]
    OtherGrid {
        /// The scan's name.
        scan: String,
        /// What differs.
        #[source]
        source: GridMismatch,
    },
    /// Nothing is outlined.
    #[error("no structure is outlined; outline the structure on 2 to 5 slices of {scan}")]
    NothingOutlined {
        /// The scan's name.
        scan: String,
    },
    /// The outlines fit several axes alike.
    #[error(transparent)]
    Axis(#[from] AmbiguousAxis),
    /// A slice in the list of empty slices does not exist.
    #[error("slice {} is listed as empty, but the scan has {}, counted from 1", SliceNumber::of_index(*slice), counted(*count, "slice"))]
    NoSuchSlice {
        /// The slice, counted from 0.
        slice: usize,
        /// Number of the scan's slices.
        count: usize,
    },
    /// A slice in the list of empty slices has an outline.
    #[error(
        "slice {} is listed as empty for all structures, but has an outline; do one of both, or list it as empty for one structure",
        SliceNumber::of_index(*slice)
    )]
    OutlinedAndEmpty {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// A slice is listed as empty for a structure that is outlined on it.
    #[error("slice {} is listed as empty for {structure}, but has an outline of it; do one of both", SliceNumber::of_index(*slice))]
    OutlinedAndAbsent {
        /// The slice, counted from 0.
        slice: usize,
        /// The structure's name.
        structure: String,
    },
    /// Slices are listed as empty for a structure that does not exist.
    #[error(
        "slices are listed as empty for the label value {value}, but the structures are {structures}; use one of their values"
    )]
    NoSuchStructure {
        /// The label value.
        value: u16,
        /// The structures.
        structures: String,
    },
    /// No outline of a structure counts.
    #[error(
        "every outline of {structure} is smaller than the smallest that counts ({least}); let smaller ones count, or outline it whole"
    )]
    AllTooSmall {
        /// The structure.
        structure: String,
        /// The smallest outline that counts.
        least: MinOutline,
    },
    /// A card cannot be used, made or written.
    #[error("the prompt card of {structure} cannot be used, made or written")]
    Card {
        /// The structure.
        structure: String,
        /// Why not.
        #[source]
        source: AssistError,
    },
    /// A card file cannot be used or written, or the cards do not fit the structures.
    #[error(transparent)]
    CardFile(#[from] CardError),
    /// A slice cannot be embedded.
    #[error("{scan} cannot be embedded")]
    Embed {
        /// The scan's name.
        scan: String,
        /// Which slice, and why not.
        #[source]
        source: SliceError,
    },
    /// A structure cannot be learned.
    #[error("{structure} cannot be learned")]
    Learn {
        /// The structure.
        structure: String,
        /// Why not.
        #[source]
        source: AssistError,
    },
    /// A structure cannot be segmented.
    #[error("{structure} cannot be segmented")]
    Segment {
        /// The structure.
        structure: String,
        /// Why not.
        #[source]
        source: AutoError,
    },
    /// The slices of a structure cannot be ranked.
    #[error("the slices of {structure} cannot be ranked")]
    Rank {
        /// The structure.
        structure: String,
        /// Why not.
        #[source]
        source: AutoError,
    },
    /// The structures of a slice cannot be joined.
    #[error("the structures on slice {} cannot be joined", SliceNumber::of_index(*slice))]
    Join {
        /// The slice, counted from 0.
        slice: usize,
        /// Why not.
        #[source]
        source: AssistError,
    },
    /// The strategy's scores of the structures that overlap on a slice cannot be computed.
    #[error("the structures that overlap on slice {} cannot be compared", SliceNumber::of_index(*slice))]
    Scores {
        /// The slice, counted from 0.
        slice: usize,
        /// Why not.
        #[source]
        source: AutoError,
    },
    /// The scan cannot be read.
    #[error("the scan cannot be read")]
    Scan(#[source] DataError),
    /// A mask cannot be written.
    #[error("the mask cannot be written")]
    Write(#[source] DataError),
    /// The mask is written, but its DICOM SEG could not be written.
    #[error("the mask is in {}, but could not be written as DICOM SEG", mask.display())]
    Segmentation {
        /// The mask.
        mask: PathBuf,
        /// Why not.
        #[source]
        source: DataError,
    },
    /// An output must not be replaced, cannot be written, or is in use.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The round that a replayed round started from is missing.
    #[error("there is no round {wanted} that round {round} could have started from")]
    NoSuchRound {
        /// The round that is replayed.
        round: usize,
        /// The round whose cards it needs.
        wanted: usize,
    },
    /// Corrections that contradict themselves or the session.
    #[error(transparent)]
    Decision(#[from] DecisionError),
    /// An error of the session.
    #[error(transparent)]
    Session(#[from] SessionError),
}
