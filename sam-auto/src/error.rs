//! What can go wrong in automatic segmentation.

use sam_core::CoreError;
use sam_prompt::PromptError;
use sapnet::SapnetError;
use thiserror::Error;

use crate::generator::SourceError;

/// Why a volume could not be segmented.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AutoError {
    /// The model could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A prompt could not be drawn from a mask.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A coarse segmenter could not be fitted or asked.
    #[error(transparent)]
    Coarse(#[from] SapnetError),
    /// A slice could not be had.
    #[error("slice {index} could not be had")]
    Slice {
        /// The slice.
        index: usize,
        /// What its source says.
        source: SourceError,
    },
    /// A slice that the volume does not have.
    #[error("slice {index} is asked for or annotated, but there are {count} slices, counted from 0")]
    NoSuchSlice {
        /// The slice.
        index: usize,
        /// How many slices there are.
        count: usize,
    },
    /// An outline of another size than its slice.
    #[error(
        "the outline of slice {index} has {} x {} pixels, but the slice has {} x {}: outline the image that was embedded",
        found.0, found.1, expected.0, expected.1
    )]
    OutlineSize {
        /// The slice.
        index: usize,
        /// Rows and columns of the outline.
        found: (usize, usize),
        /// Rows and columns of the slice.
        expected: (usize, usize),
    },
    /// No annotated slice, or none with the object on it.
    #[error("no annotated slice shows the object: outline it on at least one slice")]
    NothingAnnotated,
    /// A number of a configuration that makes no sense.
    #[error("{name} is {found}, expected {expected}")]
    Config {
        /// The number's name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl AutoError {
    /// Ok if a configured number makes sense.
    pub(crate) fn check(
        holds: bool,
        name: &'static str,
        found: impl FnOnce() -> String,
        expected: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Config { name, found: found(), expected }) }
    }
}
