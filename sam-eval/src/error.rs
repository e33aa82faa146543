//! Errors of evaluations and reports.

use std::{error::Error, fmt, sync::Arc};

use sam_prompt::{ConfigError, counted};

use crate::Record;

/// Why an evaluation or a report failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The two masks differ in shape, so their elements do not correspond.
    #[error("prediction has shape {prediction:?} but the truth has shape {truth:?}; bring both to one grid")]
    ShapeMismatch {
        /// Shape of the predicted mask.
        prediction: Vec<usize>,
        /// Shape of the true mask.
        truth: Vec<usize>,
    },

    /// The numbers of masks and truths differ.
    #[error("found {} for {}; give one mask for each tested slice", counted(*masks, "mask"), counted(*truths, "truth"))]
    SliceCount {
        /// Number of predicted masks.
        masks: usize,
        /// Number of true masks.
        truths: usize,
    },

    /// The spacing does not have a valid distance for each axis.
    #[error(
        "spacing {spacing:?} was given for masks of {axes} axes: one finite length above 0 mm is needed for each axis"
    )]
    Spacing {
        /// Number of axes of the masks.
        axes: usize,
        /// The spacing that was given.
        spacing: Vec<f64>,
    },

    /// Too few slices show a structure to annotate some of them and test another.
    #[error("the structure is on {}; expected at least {needed}: those to annotate, and one to test", counted(*shown, "slice"))]
    TooFewSlices {
        /// Slices that show it.
        shown: usize,
        /// Slices that are needed.
        needed: usize,
    },

    /// An unknown name of test prompts.
    #[error("expected {expected}, found \"{found}\"")]
    TestPrompt {
        /// The names that are known.
        expected: String,
        /// The name that was given.
        found: String,
    },

    /// A value of a configuration that is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A run was given twice. It would count as two repeats that agree perfectly.
    #[error(
        "run given twice: {} of {} in {}, method {}, {}, prompt {}, seed {}; remove one of them",
        .0.structure, .0.case, .0.dataset, .0.method, counted(.0.annotated_slices, "annotated slice"), .0.prompt, .0.seed
    )]
    DuplicateRecord(
        /// The second of the two records.
        Box<Record>,
    ),

    /// An image that cannot be drawn with the given masks.
    #[error("a picture needs an image of [rows, columns, 1 or 3] and masks of its size, not {image:?} with {mask:?}")]
    Picture {
        /// Shape of the image.
        image: Vec<usize>,
        /// Shape of the mask, if the mask does not fit.
        mask: Option<Vec<usize>>,
    },

    /// A part of a report could not be rendered.
    #[error("cannot render {what} of the report")]
    Render {
        /// The part, for example the title of a plot.
        what: String,
        /// Why.
        #[source]
        cause: Cause,
    },

    /// A file of a report could not be written, or is not in the plan of outputs. An earlier file of this name is unchanged.
    #[error(transparent)]
    Write(Cause),
}

/// The error behind an [`EvalError`], for example an [`std::io::Error`].
///
/// Two causes are equal if their texts are.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    #[cfg(feature = "report")]
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The error itself, for downcasts.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
