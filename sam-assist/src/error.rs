//! What can go wrong in learning, and with what was learned.

use std::path::PathBuf;

use sam_core::{CoreError, KeyMismatch};
use sam_eval::EvalError;
use sam_prompt::PromptError;
use thiserror::Error;

/// Why nothing was learned, or what was learned cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AssistError {
    /// The model could not be asked.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A prompt could not be drawn from an outline.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// No annotated slice was given.
    #[error("there is nothing to learn from: outline the structure on at least one slice (2 to 5 are best)")]
    NoSlices,
    /// Too few slices to leave one out.
    #[error(
        "the self-check leaves out one annotated slice after the other: it needs {expected} or more, and found {found}"
    )]
    TooFewSlices {
        /// How many there are.
        found: usize,
        /// How many it needs.
        expected: usize,
    },
    /// The observer of the self-check stopped it.
    #[error("the self-check was stopped before all slices were checked")]
    Stopped,
    /// Masks that cannot be compared.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// An outline without a pixel.
    #[error("an annotated slice has an empty outline: outline the structure there, or leave the slice out")]
    EmptyOutline,
    /// An outline on another grid than its slice.
    #[error("the outline has {outline_rows} x {outline_columns} pixels, its slice {slice_rows} x {slice_columns}")]
    OutlineSize {
        /// Rows of the outline.
        outline_rows: usize,
        /// Columns of the outline.
        outline_columns: usize,
        /// Rows of the slice.
        slice_rows: usize,
        /// Columns of the slice.
        slice_columns: usize,
    },
    /// A number of the configuration that makes no sense.
    #[error("{name} of the learning is {found}: expected {expected}")]
    Config {
        /// The field's name.
        name: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The loss is not finite any more.
    #[error(
        "learning diverged in iteration {iteration}: the loss became {loss}; lower the learning rate (now {learning_rate})"
    )]
    Diverged {
        /// Counted from 0.
        iteration: usize,
        /// The loss found.
        loss: f32,
        /// The learning rate in that iteration.
        learning_rate: f64,
    },
    /// A prompt card that cannot be read at all.
    #[error("cannot read the prompt card {}: {source}", path.display())]
    CardUnreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A prompt card that cannot be written.
    #[error("cannot write the prompt card {}: {source}", path.display())]
    CardUnwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is no prompt card, or one that is damaged.
    #[error("{} is no whole prompt card: {reason}", path.display())]
    NotACard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A prompt card of another format.
    #[error(
        "the prompt card {} has format version {found}, this program reads version {expected}: learn it again, or use the program \
         that wrote it", path.display()
    )]
    CardVersion {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The version that is read here.
        expected: u64,
    },
    /// A prompt card that nobody could use.
    #[error("no prompt card can be made for {structure:?}: {reason}")]
    CardContent {
        /// The structure's name.
        structure: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A prompt card made for other weights.
    #[error(
        "the prompt card of {structure} was learned with weights of SHA-256 {card}..., these are {model}...: use the weights that it \
         was learned with, or learn the structure again"
    )]
    OtherWeights {
        /// The structure's name.
        structure: String,
        /// Start of the SHA-256 that the card was made for.
        card: String,
        /// Start of the SHA-256 of the weights at hand.
        model: String,
    },
    /// A prompt card whose parameters are not those of the module.
    #[error(
        "the prompt card of {structure} does not fit the model:\n{mismatch}  fill a model of the same size, with the same learned parts"
    )]
    CardMismatch {
        /// The structure's name.
        structure: String,
        /// The parameters that differ.
        mismatch: Box<KeyMismatch>,
    },
    /// Predictions of several structures that do not belong together.
    #[error("the structures cannot be told apart: expected {expected}, found {found}")]
    MultiClass {
        /// What is needed.
        expected: String,
        /// What was given.
        found: String,
    },
}
