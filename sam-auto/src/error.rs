//! What can go wrong in automatic segmentation.

use sam_core::CoreError;
use sam_prompt::PromptError;
use thiserror::Error;

/// Why a volume could not be segmented.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AutoError {
    /// The model could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A prompt could not be drawn from a neighbour's mask.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A slice could not be had.
    #[error("slice {index} could not be embedded")]
    Slice {
        /// The slice.
        index: usize,
        /// What its source says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An annotated slice that the volume does not have.
    #[error("slice {index} is annotated, but the volume has {count} slices, counted from 0")]
    NoSuchSlice {
        /// The annotated slice.
        index: usize,
        /// How many slices there are.
        count: usize,
    },
    /// No annotated slice, or none with the object on it.
    #[error("no annotated slice shows the object: outline it on at least one slice")]
    NothingAnnotated,
}
