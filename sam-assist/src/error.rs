//! Errors of learning and of learned files.

use std::{io, path::PathBuf};

use sam_core::{CoreError, KeyMismatch, SliceError};
use sam_prompt::{ConfigError, PromptError};
use thiserror::Error;

use crate::ContentError;

/// Why learning failed, or a learned file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AssistError {
    /// The model refused its input.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A prompt could not be drawn from an outline.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A slice could not be read or embedded.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A value of the configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No annotated slice shows the structure.
    #[error("no annotated slice shows the structure: outline it on at least one slice (2 to 5 are best)")]
    NoSlices,
    /// Too few slices to leave one out.
    #[error(
        "the self-check leaves out one annotated slice at a time and needs {expected} slices that show the structure, but there \
         are {found}: outline more slices"
    )]
    TooFewSlices {
        /// Number of slices that show the structure.
        found: usize,
        /// Number of slices needed.
        expected: usize,
    },
    /// The observer stopped a call that has no partial result.
    #[error("stopped before it was complete")]
    Stopped,
    /// The loss is not finite before any parameter has changed, so the learning rate is not the cause.
    #[error(
        "the loss is {loss} before anything was learned, so the model's logits or the loss weights are not of use: use other weights, or \
         begin without the card or round that learning starts from"
    )]
    NothingToLearnFrom {
        /// The loss.
        loss: f32,
    },
    /// The loss is not finite.
    #[error(
        "learning diverged in iteration {iteration}: the loss became {loss}; lower the learning rate (now {learning_rate})"
    )]
    Diverged {
        /// The iteration, counted from 0.
        iteration: usize,
        /// The loss.
        loss: f32,
        /// The learning rate in that iteration.
        learning_rate: f64,
    },
    /// A prompt card or learner state cannot be read.
    #[error("cannot read the {kind} {}", path.display())]
    Unreadable {
        /// Kind of file.
        kind: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write the {kind} {}", path.display())]
    Unwritable {
        /// Kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is damaged or holds something else.
    #[error("{} is not a valid {kind}", path.display())]
    Corrupt {
        /// Kind of file expected.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ContentError,
    },
    /// The file has another format version.
    #[error(
        "the {kind} {} has format version {found}, but this program reads version {expected}: learn again, or use the program that \
         wrote it", path.display()
    )]
    FormatVersion {
        /// Kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The version that this program reads.
        expected: u64,
    },
    /// The content of a prompt card is invalid.
    #[error("no prompt card can be made for {structure:?}")]
    CardContent {
        /// Name of the structure.
        structure: String,
        /// What is wrong.
        source: ContentError,
    },
    /// The state of a learner is invalid.
    #[error("the learner cannot be saved")]
    StateContent {
        /// What is wrong.
        source: ContentError,
    },
    /// The file was learned with other weights.
    #[error(
        "{what} was learned with weights of SHA-256 {expected}..., but the model has {found}...: load the weights that it was learned \
         with, or learn again"
    )]
    OtherWeights {
        /// What was learned.
        what: String,
        /// Start of the SHA-256 that it was learned with.
        expected: String,
        /// Start of the SHA-256 of the model's weights.
        found: String,
    },
    /// The model does not know which weights it has.
    #[error(
        "the model does not know the SHA-256 of its weights: load it from a checkpoint, or set it with \
         SamPredictor::with_weights_sha256"
    )]
    UnknownWeights,
    /// The learned parameters do not fit the model.
    #[error("{what} does not fit the model:\n{mismatch}  load the model that it was learned with")]
    OtherShape {
        /// What was learned.
        what: String,
        /// The parameters that differ.
        mismatch: Box<KeyMismatch>,
    },
    /// A learner is resumed with other slices than it started with.
    #[error(
        "{} was learned from other outlines: resume with the same slices in the same order, or start again", path.display()
    )]
    OtherSlices {
        /// The learner's state.
        path: PathBuf,
    },
    /// Learning continues from an adaptation of another kind.
    #[error(
        "learning cannot continue from an adaptation that is not {expected}: start without it, or with the config that it was \
         learned with"
    )]
    OtherLearning {
        /// What the config trains.
        expected: String,
    },
    /// Masks or predictions of several structures that do not fit together.
    #[error("the structures cannot be combined: expected {expected}, found {found}")]
    MultiClass {
        /// What is needed.
        expected: String,
        /// What was given.
        found: String,
    },
}
