//! Errors of prompts, samplers and masks.

use ndarray::{ArrayView, Dimension};
use thiserror::Error;

use crate::prompt::BOX_CORNER;

/// Why a prompt could not be drawn or used.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Points were requested in a region without pixels.
    #[error(
        "cannot draw {requested} {label} point(s): the {label} region is empty; draw none, or choose another slice"
    )]
    EmptyRegion {
        /// Number of requested points.
        requested: usize,
        /// `foreground` or `background`.
        label: &'static str,
    },
    /// More points were requested, without replacement, than there are pixels to draw from.
    #[error(
        "cannot draw {requested} different {label} points: the {place} has only {available} pixel(s); \
         ask for fewer or allow replacement"
    )]
    TooFewPixels {
        /// Number of requested points.
        requested: usize,
        /// `foreground` or `background`.
        label: &'static str,
        /// Where the sampler draws from: the `region`, or its `boundary band`.
        place: &'static str,
        /// Number of pixels there.
        available: usize,
    },
    /// A coordinate is not finite or lies outside the image.
    #[error(
        "{what} ({x}, {y}) lies outside the image of {width} x {height} pixels; \
         coordinates are (column, row), counted from 0 at the top left{}",
        if *what == BOX_CORNER { "; if the box ends at x_max = width, subtract 0.5 from each edge (BoundingBox::from_half_open)" } else { "" }
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
    /// A box whose edges coincide, so that it holds no pixel.
    #[error(
        "box has no pixels: x {x_min} to {x_max}, y {y_min} to {y_max}; whole numbers are pixel centres, so let the box of one pixel \
         reach from half a pixel before its centre to half a pixel behind it"
    )]
    EmptyBox {
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
    /// A number that is NaN or infinite.
    #[error("a value in the {what} is NaN or infinite; give finite numbers")]
    NotFinite {
        /// The kind of prompt.
        what: &'static str,
    },
    /// A drawn mask whose image does not fit into the model's input.
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
    /// Prompts of one batch with different numbers of tokens.
    #[error(
        "prompt {index} of the batch has {found} tokens, but the first has {expected}; batch only prompts with the same numbers of points and boxes"
    )]
    UnevenBatch {
        /// Position in the batch of the prompt that differs.
        index: usize,
        /// Tokens of the first prompt.
        expected: usize,
        /// Tokens of the differing prompt.
        found: usize,
    },
    /// Prompts of one batch, only some of which have a mask.
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
    /// External tokens that do not have as many channels as the prompt encoder's.
    #[error("external tokens have {found} channels, but the prompt encoder's have {expected}; project them first")]
    TokenWidth {
        /// Channels of the prompt encoder's tokens.
        expected: usize,
        /// Channels found.
        found: usize,
    },
    /// A prompt of a batch with several boxes.
    #[error("prompt {index} of the batch has {boxes} boxes, but SAM reads one at a time; split it into its parts")]
    SeveralBoxes {
        /// Position in the batch.
        index: usize,
        /// Number of its boxes.
        boxes: usize,
    },
    /// A batch without prompts.
    #[error("a batch needs at least one prompt")]
    EmptyBatch,
    /// A mask prompt that does not have the size that the prompt encoder reads.
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
    /// A setting that is not finite or too small.
    #[error("{name} must be a finite number of at least {least}, found {value}")]
    InvalidRange {
        /// Name of the setting.
        name: &'static str,
        /// The smallest valid value.
        least: f32,
        /// The value found.
        value: f32,
    },
    /// Two masks that cannot be compared, because their shapes differ.
    #[error("masks of shapes {first:?} and {second:?} cannot be compared; give masks of one image at one size")]
    UnequalMasks {
        /// Shape of the first mask: the prediction, if it is compared with the truth.
        first: Vec<usize>,
        /// Shape of the second mask.
        second: Vec<usize>,
    },
    /// An unknown name of a sampling scheme.
    #[error("there is no sampling scheme `{found}`; choose uniform, center or boundary")]
    UnknownScheme {
        /// The name.
        found: String,
    },
    /// An unknown name of a kind of prompt.
    #[error("there is no kind of prompt `{found}`; choose box, points:N or box+points:N, with N of at least 1")]
    UnknownPromptKind {
        /// The name.
        found: String,
    },
}

impl PromptError {
    /// Checks that two masks have the same shape.
    pub(crate) fn check_equal_masks<D: Dimension>(
        first: &ArrayView<'_, bool, D>,
        second: &ArrayView<'_, bool, D>,
    ) -> Result<(), Self> {
        let (first, second) = (first.shape(), second.shape());
        if first == second {
            return Ok(());
        }
        Err(Self::UnequalMasks { first: first.to_vec(), second: second.to_vec() })
    }
}
