//! Errors of writing a DICOM SEG.

use sam_prompt::counted;
use thiserror::Error;

use super::Cause;

/// The error for a mask that cannot be written as DICOM SEG.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SegmentationError {
    /// Two structures have the same label value.
    #[error("two structures have the label value {value}; give each its own")]
    SameValue {
        /// The value.
        value: u16,
    },
    /// There is no structure, or one has the label value 0.
    #[error("expected one or more structures with label values from 1 on")]
    NoSegment,
    /// The mask has a label value without a structure.
    #[error("the mask holds the label value {value}, which no structure has; name it, too")]
    Unnamed {
        /// The value.
        value: u16,
    },
    /// The images state no position.
    #[error("the images state no position in the patient, which a DICOM SEG refers to; leave out --seg")]
    NoPosition,
    /// An image has no SOP Instance UID, so the mask cannot refer to it.
    #[error("{image} has no SOP Class UID or no SOP Instance UID, by which the mask refers to it; leave out --seg")]
    NoInstance {
        /// The image.
        image: String,
    },
    /// Two images have the same SOP Instance UID, so the mask cannot tell them apart.
    #[error(
        "{first} and {second} have the same SOP Instance UID {uid}, by which the mask refers to one of them; leave out --seg"
    )]
    SameInstance {
        /// One image.
        first: String,
        /// The other.
        second: String,
        /// The UID.
        uid: String,
    },
    /// The mask is too large for the format.
    #[error("{} on {} may take more than 4 GiB; write fewer of them", counted(*segments, "structure"), counted(*slices, "slice"))]
    TooLarge {
        /// Number of structures.
        segments: usize,
        /// Number of slices.
        slices: usize,
    },
    /// The object cannot be encoded.
    #[error("the file's header cannot be encoded")]
    Encode(#[source] Cause),
}
