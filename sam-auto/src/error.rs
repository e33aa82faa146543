//! Errors of automatic segmentation.

use sam_assist::AssistError;
use sam_core::{CoreError, SliceError};
use sam_prompt::{ConfigError, PromptError, SliceNumber};
use sapnet::SapnetError;
use thiserror::Error;

/// Why a volume cannot be segmented.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AutoError {
    /// The model refused its input, an annotated slice has another size than its image, or the volume has no such slice.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A prompt could not be drawn from a mask.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A coarse segmenter could not be fitted or applied.
    #[error(transparent)]
    Coarse(#[from] SapnetError),
    /// A slice could not be read or embedded.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A value of a configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Neighbouring slices differ in size, so they are not slices of one volume.
    #[error(
        "slice {} has {} x {} pixels, but its neighbour {} x {}: they are not slices of one volume",
        SliceNumber::of_index(*index), expected.0, expected.1, found.0, found.1
    )]
    NotAVolume {
        /// The slice, counted from 0.
        index: usize,
        /// Rows and columns of its neighbour.
        found: (usize, usize),
        /// Rows and columns of the slice.
        expected: (usize, usize),
    },
    /// The pixel classifier could not be trained or applied.
    #[error(
        "the pixel classifier failed, which is a fault of the program: please report it; propagation works without it"
    )]
    Forest(#[source] smartcore::error::Failed),
    /// The model could not learn the outlines that remain when others are left out.
    #[error("the model cannot learn the outlines that remain when others are left out")]
    Learn(#[source] AssistError),
    /// No annotated slice shows the structure.
    #[error("no annotated slice shows the structure: outline it on at least one slice")]
    NothingAnnotated,
    /// The observer stopped a call that has no partial result.
    #[error("stopped before it was complete")]
    Stopped,
}
