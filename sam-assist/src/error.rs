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
    /// A prompt card, or the state of a learner, that cannot be read at all.
    #[error("cannot read the {kind} {}: {source}", path.display())]
    Unreadable {
        /// What it is.
        kind: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write the {kind} {}: {source}", path.display())]
    Unwritable {
        /// What it is.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that holds something else, or one that is damaged.
    #[error("{} is no whole {kind}: {reason}", path.display())]
    NotWhole {
        /// What it should be.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of another format.
    #[error(
        "the {kind} {} has format version {found}, this program reads version {expected}: learn again, or use the program that wrote \
         it", path.display()
    )]
    FormatVersion {
        /// What it is.
        kind: &'static str,
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
    /// The state of a learner that nobody could go on from.
    #[error("the learner cannot be saved: {reason}")]
    StateContent {
        /// What is wrong with it.
        reason: String,
    },
    /// Something learned with other weights.
    #[error(
        "{what} was learned with weights of SHA-256 {expected}..., these are {found}...: use the weights that it was learned with, or \
         learn again"
    )]
    OtherWeights {
        /// What was learned.
        what: String,
        /// Start of the SHA-256 that it was learned with.
        expected: String,
        /// Start of the SHA-256 of the weights at hand.
        found: String,
    },
    /// Something learned whose parameters are not those of the model.
    #[error("{what} does not fit the model:\n{mismatch}  use the model that it was learned with")]
    OtherShape {
        /// What was learned.
        what: String,
        /// The parameters that differ.
        mismatch: Box<KeyMismatch>,
    },
    /// A learner that should go on with other slices than it began with.
    #[error(
        "{} was learned from other outlines than these: go on with the very slices, in the same order, or begin anew", path.display()
    )]
    OtherSlices {
        /// The learner's state.
        path: PathBuf,
    },
    /// Learning that should go on from something else than it learns.
    #[error("learning cannot go on from what was learned before, which is not {expected}: learn anew, or as before")]
    OtherLearning {
        /// What this learning learns.
        expected: String,
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
