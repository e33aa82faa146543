//! What can be wrong with a prompt document.

use thiserror::Error;

use super::CutAxis;
use crate::PromptError;

/// Why a prompt document could not be read, written or converted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// What is not JSON, or not of the schema.
    #[error("this is no prompt document: {0}")]
    Json(#[from] serde_json::Error),
    /// A version of the schema that is not known here.
    #[error("the prompt document has version {found} of the schema, but only version {expected} is known; convert it")]
    Version {
        /// Version of the document.
        found: u64,
        /// The version that is known.
        expected: u64,
    },
    /// Two entries about one thing.
    #[error("the prompt document has {place} twice; join its entries")]
    Repeated {
        /// Object or slice.
        place: String,
    },
    /// A drawing that cannot be right in any image.
    #[error("{place}: {source}")]
    Drawing {
        /// Object or slice.
        place: String,
        /// What is wrong.
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
        /// The most rows or columns.
        longest: usize,
    },
    /// Slices of another cut than the volume is shown in.
    #[error("the prompts were drawn on slices of axis {}, but the volume is cut along {}", found.name(), expected.name())]
    OtherAxis {
        /// Cut of the document.
        found: CutAxis,
        /// Cut of the volume.
        expected: CutAxis,
    },
    /// A position between or beyond the slices.
    #[error("{what} {position:?} mm of object `{object}` lies farther than half a slice from every slice")]
    OffSlices {
        /// Name of the object.
        object: String,
        /// The kind of prompt.
        what: &'static str,
        /// The position, RAS+.
        position: [f64; 3],
    },
    /// A box or drawing that runs through several slices.
    #[error("a {what} of object `{object}` lies on slices {first} and {other}, but it has to be on one")]
    SeveralSlices {
        /// Name of the object.
        object: String,
        /// The kind of prompt.
        what: &'static str,
        /// Slice of its first position.
        first: usize,
        /// Slice of another.
        other: usize,
    },
    /// A slice that the volume does not have.
    #[error("object `{object}` has prompts on slice {slice}, which the volume does not have")]
    NoSlice {
        /// Name of the object.
        object: String,
        /// Number of the slice, from 0.
        slice: usize,
    },
    /// A mask, which is made of pixels, asked for in millimetres.
    #[error(
        "the mask of object `{object}` on slice {slice} is made of pixels and cannot be given in millimetres; leave it out"
    )]
    MaskInMillimetres {
        /// Name of the object.
        object: String,
        /// Number of the slice, from 0.
        slice: usize,
    },
}
