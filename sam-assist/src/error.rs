//! What can go wrong in learning.

use sam_core::CoreError;
use sam_eval::EvalError;
use sam_prompt::PromptError;
use thiserror::Error;

/// Why nothing was learned.
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
}
