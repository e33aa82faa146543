//! Errors of prompt documents.

use std::sync::Arc;

use thiserror::Error;

use super::CutAxis;
use crate::{PromptError, SliceNumber};

/// Why a prompt document could not be read, written or converted.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The text is not JSON, or does not follow the schema. The source says what was expected, with line and column.
    #[error("this is not a prompt document in JSON")]
    Json(#[source] Arc<serde_json::Error>),
    /// An unknown version of the schema.
    #[error(
        "the prompt document has schema version {found}, but this program reads version {expected}; convert it or update"
    )]
    Version {
        /// Version of the document.
        found: u64,
        /// Version that this program reads.
        expected: u64,
    },
    /// Two entries for the same object or slice.
    #[error("the prompt document has {place} twice; join its entries")]
    Repeated {
        /// Object or slice.
        place: String,
    },
    /// A prompt that is invalid for every image.
    #[error("the prompt document has an invalid prompt for {place}")]
    Drawing {
        /// Object or slice.
        place: String,
        /// What is invalid.
        source: PromptError,
    },
    /// A mask larger than any slice.
    #[error("{place} has a mask of {rows} x {columns} pixels, but no side may exceed {longest}")]
    MaskSize {
        /// Slice and object.
        place: String,
        /// Rows of the mask.
        rows: usize,
        /// Columns of the mask.
        columns: usize,
        /// The largest number of rows or columns.
        longest: usize,
    },
    /// Slices along another axis than that of the volume.
    #[error("the prompts were drawn on slices of axis {}, but the volume is cut along {}", found.name(), expected.name())]
    OtherAxis {
        /// Axis of the document.
        found: CutAxis,
        /// Axis of the volume.
        expected: CutAxis,
    },
    /// A position that is on no slice.
    #[error("{what} {position:?} mm of object `{object}` lies farther than half a slice from every slice")]
    OffSlices {
        /// Name of the object.
        object: String,
        /// Kind of the prompt.
        what: &'static str,
        /// The position, RAS+.
        position: [f64; 3],
    },
    /// A box or drawing that spans several slices.
    #[error(
        "a {what} of object `{object}` lies on slices {} and {}, but it has to be on one",
        SliceNumber::of_index(*first), SliceNumber::of_index(*other)
    )]
    SeveralSlices {
        /// Name of the object.
        object: String,
        /// Kind of the prompt.
        what: &'static str,
        /// Slice of its first position, counted from 0.
        first: usize,
        /// Another slice, counted from 0.
        other: usize,
    },
    /// A slice that the volume does not have.
    #[error(
        "object `{object}` has prompts on slice {}, which the volume does not have",
        SliceNumber::of_index(*slice).with_index()
    )]
    NoSlice {
        /// Name of the object.
        object: String,
        /// The slice, counted from 0.
        slice: usize,
    },
    /// A document in millimetres cannot hold a mask, because a mask consists of pixels.
    #[error(
        "the mask of object `{object}` on slice {} is made of pixels and cannot be given in millimetres; leave it out",
        SliceNumber::of_index(*slice).with_index()
    )]
    MaskInMillimetres {
        /// Name of the object.
        object: String,
        /// The slice, counted from 0.
        slice: usize,
    },
}

impl From<serde_json::Error> for DocumentError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Json(Arc::new(cause))
    }
}
