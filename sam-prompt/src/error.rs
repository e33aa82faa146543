//! What can be wrong with a prompt.

use thiserror::Error;

/// Why a prompt could not be drawn or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Points were asked for in a region that has no pixel.
    #[error(
        "cannot draw {requested} {label} point(s): the {label} region is empty; draw none, or choose another slice"
    )]
    EmptyRegion {
        /// How many points were asked for.
        requested: usize,
        /// `foreground` or `background`.
        label: &'static str,
    },
    /// More points were asked for, without replacement, than there are pixels to draw from.
    #[error(
        "cannot draw {requested} different {label} points: the {place} has only {available} pixel(s); \
         ask for fewer or allow replacement"
    )]
    TooFewPixels {
        /// How many points were asked for.
        requested: usize,
        /// `foreground` or `background`.
        label: &'static str,
        /// Where the sampler draws from: the `region`, or its `boundary band`.
        place: &'static str,
        /// How many pixels there are.
        available: usize,
    },
    /// A coordinate is not finite or lies outside the image.
    #[error(
        "{what} ({x}, {y}) lies outside the image of {width} x {height} pixels; \
         coordinates are (column, row), counted from 0 at the top left"
    )]
    OutsideImage {
        /// `point`, `box corner` or the kind of drawing.
        what: &'static str,
        /// Column of the coordinate, in pixels.
        x: f32,
        /// Row of the coordinate, in pixels.
        y: f32,
        /// Width of the image, in pixels.
        width: usize,
        /// Height of the image, in pixels.
        height: usize,
    },
    /// A box whose right or lower edge comes before its left or upper one.
    #[error("box is inverted: x {x_min} to {x_max}, y {y_min} to {y_max}; give the upper left corner first")]
    InvertedBox {
        /// Left edge.
        x_min: f32,
        /// Right edge.
        x_max: f32,
        /// Upper edge.
        y_min: f32,
        /// Lower edge.
        y_max: f32,
    },
    /// A drawing with fewer vertices than its kind needs.
    #[error("a {what} needs {needed} or more vertices, found {found}")]
    ShortPath {
        /// The kind of drawing.
        what: &'static str,
        /// Vertices needed.
        needed: usize,
        /// Vertices found.
        found: usize,
    },
    /// A number that is infinite or none.
    #[error("a number of a {what} is NaN or infinite; give finite ones")]
    NotFinite {
        /// The kind of prompt.
        what: &'static str,
    },
    /// A drawn mask whose image does not lie in the model's input.
    #[error(
        "an image of {original:?} rows and columns, resized to {resized:?}, cannot lie in a square of side {padded} that \
         {low_res} logits cover on each side"
    )]
    MaskFrame {
        /// Rows and columns of the image.
        original: (usize, usize),
        /// Rows and columns after resizing.
        resized: (usize, usize),
        /// Side of the padded, square input.
        padded: usize,
        /// Logits on each side of it.
        low_res: usize,
    },
    /// Prompts of one batch that do not have equally many tokens.
    #[error(
        "prompt {index} of the batch has {found} tokens, but the first has {expected}; batch prompts of equal make-up only"
    )]
    UnevenBatch {
        /// Position in the batch of the prompt that differs.
        index: usize,
        /// Tokens of the first prompt.
        expected: usize,
        /// Tokens of the differing prompt.
        found: usize,
    },
    /// Prompts of one batch of which only some have a mask.
    #[error("prompt {index} of the batch differs from the first in having a mask; give all prompts one, or none")]
    UnevenMasks {
        /// Position in the batch of the prompt that differs.
        index: usize,
    },
    /// A batch with fewer or more mask prompts than prompts.
    #[error("a batch of {expected} prompts needs {expected} masks or none, found {found}")]
    MaskCount {
        /// Prompts in the batch.
        expected: usize,
        /// Masks found.
        found: usize,
    },
    /// External tokens of another width than the prompt encoder's.
    #[error("external tokens are {found} numbers wide, but the prompt encoder's are {expected}; project them first")]
    TokenWidth {
        /// The prompt encoder's width.
        expected: usize,
        /// Width found.
        found: usize,
    },
    /// A prompt of a batch with several boxes.
    #[error("prompt {index} of the batch has {boxes} boxes, but SAM reads one at a time; split it into its parts")]
    SeveralBoxes {
        /// Position in the batch.
        index: usize,
        /// How many boxes it has.
        boxes: usize,
    },
    /// A batch without a prompt.
    #[error("a batch needs at least one prompt")]
    EmptyBatch,
    /// A mask prompt of another size than the prompt encoder reads.
    #[error(
        "mask prompt has {found_height} x {found_width} logits, but the prompt encoder reads \
         {expected_height} x {expected_width} (four times the embedding)"
    )]
    MaskSize {
        /// Rows expected.
        expected_height: usize,
        /// Columns expected.
        expected_width: usize,
        /// Rows found.
        found_height: usize,
        /// Columns found.
        found_width: usize,
    },
    /// A number that must be finite and not too small is something else.
    #[error("{name} must be a finite number of at least {least}, found {value}")]
    InvalidRange {
        /// What the number is.
        name: &'static str,
        /// The smallest value that makes sense.
        least: f32,
        /// What was found.
        value: f32,
    },
    /// A predicted mask and a true one that do not show the same image.
    #[error(
        "the predicted mask has {predicted_height} x {predicted_width} pixels, but the true one has \
         {true_height} x {true_width}; compare masks of one image at one size"
    )]
    UnequalMasks {
        /// Rows of the predicted mask.
        predicted_height: usize,
        /// Columns of the predicted mask.
        predicted_width: usize,
        /// Rows of the true mask.
        true_height: usize,
        /// Columns of the true mask.
        true_width: usize,
    },
    /// A sampling scheme's name that is none.
    #[error("there is no sampling scheme `{found}`; choose uniform, center or boundary")]
    UnknownScheme {
        /// What was found.
        found: String,
    },
}
