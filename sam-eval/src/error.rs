//! What can go wrong with an evaluation.

use std::path::PathBuf;

use crate::Record;

/// Why an evaluation was refused, or its report not made.
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

    /// An image that cannot be drawn with the masks given.
    #[error("a picture needs an image of [rows, columns, 1 or 3] and masks of its size, not {image:?} with {mask:?}")]
    Picture {
        /// Shape of the image.
        image: Vec<usize>,
        /// Shape of the mask that does not fit, if it is the mask's fault.
        mask: Option<Vec<usize>>,
    },

    /// A part of a report could not be put into the form asked for.
    #[error("{what} cannot be made: {cause}")]
    Render {
        /// The part, for example the title of a plot.
        what: String,
        /// What went wrong.
        cause: String,
    },

    /// A file of a report could not be written. What was there before still is.
    #[error("{} cannot be written: {cause}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
}
