//! What can be wrong with the input of an evaluation.

use crate::Record;

/// Why an evaluation was refused. Every variant is the caller's to mend: the data given cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The two masks do not have the same shape, so their elements do not correspond.
    #[error("prediction has shape {prediction:?} but the truth has shape {truth:?}")]
    ShapeMismatch {
        /// Shape of the predicted mask.
        prediction: Vec<usize>,
        /// Shape of the true mask.
        truth: Vec<usize>,
    },

    /// The spacing does not say how far apart elements lie along each axis.
    #[error(
        "spacing {spacing:?} was given for masks of {axes} axes: one finite length above 0 mm is needed for each axis"
    )]
    Spacing {
        /// How many axes the masks have.
        axes: usize,
        /// What was given.
        spacing: Vec<f64>,
    },

    /// Too few slices show a structure to annotate some of them and test another.
    #[error("the structure is on {shown} slices, but {needed} are needed: those to annotate and one to test")]
    TooFewSlices {
        /// Slices that show it.
        shown: usize,
        /// Slices that must.
        needed: usize,
    },

    /// The name of a test's prompts is not understood.
    #[error("expected {expected}, found \"{found}\"")]
    TestPrompt {
        /// What can be asked for.
        expected: String,
        /// What was.
        found: String,
    },

    /// A number that says how to evaluate lies outside of its range.
    #[error("{name} is {value}, but must be {range}")]
    Setting {
        /// What it is.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        range: &'static str,
    },

    /// A run was handed in twice: it would count as two repeats and fake agreement between them.
    #[error(
        "run given twice: {} of {} in {}, method {}, {} annotated slices, prompt {}, seed {}",
        .0.structure, .0.case, .0.dataset, .0.method, .0.annotated_slices, .0.prompt, .0.seed
    )]
    DuplicateRecord(
        /// The second of the two records.
        Box<Record>,
    ),
}
