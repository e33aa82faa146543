//! Errors of checkpoints and prediction.

use std::{fmt, io, path::PathBuf};

use sam_files::sanitize;
use sam_prompt::{ConfigError, PromptError, SliceNumber, counted};
use thiserror::Error;

use crate::{NotWeights, Precision, Region};

/// Error of loading a model, embedding an image or predicting.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CoreError {
    /// An invalid prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A prediction without any prompt.
    #[error("there is no prompt: give at least one point, box or mask")]
    NoPrompt,
    /// An image whose shape or values cannot be embedded.
    #[error("image of shape {shape:?} cannot be embedded: {reason}")]
    Image {
        /// Shape found, as `[rows, columns, channels]`.
        shape: Vec<usize>,
        /// What is wrong with it and what to do.
        reason: &'static str,
    },
    /// An outline whose size differs from its slice's.
    #[error(
        "the outline of slice {} has {} x {} pixels, but the slice has {} x {}: outline the image that was embedded",
        SliceNumber::of_index(*index), found.0, found.1, expected.0, expected.1
    )]
    OutlineSize {
        /// The slice, counted from 0.
        index: usize,
        /// Rows and columns of the outline.
        found: (usize, usize),
        /// Rows and columns of the slice.
        expected: (usize, usize),
    },
    /// An invalid value of a config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Features that do not belong to an image, or belong to another model.
    #[error("features of shape {shape:?} cannot be used: {reason}")]
    Embedding {
        /// Shape found.
        shape: Vec<usize>,
        /// What is wrong with it and what to do.
        reason: &'static str,
    },
    /// A slice index beyond the number of slices.
    #[error("there is no slice {}: the source has {}, counted from 1", SliceNumber::of_index(*index), counted(*count, "slice"))]
    NoSuchSlice {
        /// The index of the requested slice.
        index: usize,
        /// Number of slices.
        count: usize,
    },
    /// A predictor without a SHA-256 of its weights, so its embeddings cannot be stored on disk.
    #[error(
        "embeddings are kept on disk under the SHA-256 of the model's weights, and this predictor does not know it: load it with \
         Checkpoint::predictor, or tell it with SamPredictor::with_weights_sha256"
    )]
    WeightsUnknown,
    /// An image encoder that does not support the requested precision.
    #[error("the image encoder has no {wanted}: it does not implement ImageEncoder::with_precision")]
    PrecisionUnsupported {
        /// The requested precision.
        wanted: Precision,
    },
    /// An image encoder that was already rounded to another half precision.
    #[error("the image encoder is in {found} already and cannot become {wanted}: load the checkpoint anew")]
    Rounded {
        /// The current precision.
        found: Precision,
        /// The requested precision.
        wanted: Precision,
    },
    /// A region that is empty or not inside the image.
    #[error(
        "a region of {} x {} pixels from column {} and row {} is no part of the image of {width} x {height} pixels; \
         a region has pixels, and all of them lie in the image",
        region.width, region.height, region.left, region.top
    )]
    Region {
        /// The region.
        region: Region,
        /// Width of the image, in pixels.
        width: usize,
        /// Height of the image, in pixels.
        height: usize,
    },
    /// Tiles whose overlap is not smaller than their side.
    #[error("tiles of {side} pixels a side cannot overlap by {overlap}; let them overlap by less than their side")]
    Tiles {
        /// Requested overlap, in pixels.
        overlap: usize,
        /// Side of the tiles, in pixels.
        side: usize,
    },
    /// A cache entry or folder that cannot be written.
    #[error("cannot write to the cache {}; choose a folder that can be written to", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A checkpoint file that cannot be read.
    #[error("cannot read the checkpoint {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
    /// A checkpoint that cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A checkpoint that is not a SAM checkpoint.
    #[error("{} is no SAM checkpoint: {reason}", path.display())]
    NotSam {
        /// The file.
        path: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// A checkpoint with values that are NaN or infinite: with it, every mask would be empty.
    #[error(
        "the checkpoint {} holds values that are NaN or infinite, or too large for f32, in {}: it is damaged, or its training diverged; use \
         another copy of it, or other weights",
        path.display(), listed(tensors)
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensors.
        tensors: Vec<String>,
    },
    /// A checkpoint that cannot be converted to a precision.
    #[error(
        "the checkpoint {} holds values in {tensor} that are too large for {precision}: convert it to f32 or bf16", path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The first of such tensors.
        tensor: String,
        /// The precision.
        precision: Precision,
    },
    /// A model whose output is NaN or infinite, so there is no mask.
    #[error("the model{} gives {what} that are NaN or infinite, so there is no mask: {}", of_weights(weights.as_deref()), advice(*precision))]
    OutputNotFinite {
        /// Which output: `features` of the image encoder, or `logits` of the mask decoder.
        what: &'static str,
        /// SHA-256 of the model's weights, if it is known.
        weights: Option<String>,
        /// Precision of the image encoder.
        precision: Precision,
    },
    /// A checkpoint whose tensors do not fit the model.
    #[error("the checkpoint {} does not fit the model:\n{mismatch}  is it a checkpoint of another variant, or of another model?", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The tensors that differ.
        mismatch: Box<KeyMismatch>,
    },
}

/// Cause of [`CoreError::Unreadable`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// An I/O error.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The content is damaged or not a checkpoint; the text is safe to print to a terminal.
    #[error("{reason}")]
    Malformed {
        /// What is wrong with the content, and what to do.
        reason: String,
    },
    /// A file that was given by mistake.
    #[error(transparent)]
    NotWeights(#[from] NotWeights),
    /// The pickle (PyTorch's table of contents) cannot be read.
    #[error(transparent)]
    Pickle(Box<dyn std::error::Error + Send + Sync>),
    /// The PyTorch archive is damaged.
    #[error("its archive is damaged")]
    Archive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The safetensors header is damaged.
    #[error("its safetensors header is damaged")]
    Header(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Maximum number of names of each kind in a message.
const SHOWN: usize = 5;

/// The first names of a list.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more tensors"),
    }
}

/// The model's weights by the start of their SHA-256.
fn of_weights(sha256: Option<&str>) -> String {
    sha256.map_or_else(String::new, |sha256| {
        let start: String = sha256.chars().take(12).collect();
        format!(" with the weights of SHA-256 {start}...")
    })
}

/// What to do about a model whose output is not finite.
fn advice(precision: Precision) -> String {
    match precision {
        Precision::F32 => "use other weights, and learn again what was learned for this model".to_owned(),
        _ => format!("its image encoder is in {precision}; use f32, or else other weights"),
    }
}

impl From<String> for ReadError {
    fn from(reason: String) -> Self {
        Self::Malformed { reason: sanitize(&reason) }
    }
}

impl From<&str> for ReadError {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// Differences between a file's tensors and the model's; displayed as one line for each tensor.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyMismatch {
    /// Tensors the model needs and the file lacks: name, shape, and the file's unused tensor of the most similar name.
    pub missing: Vec<(String, Vec<usize>, Option<String>)>,
    /// Tensors of the file that the model does not have.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of the right name and the wrong shape: name, the model's shape, the file's shape.
    pub reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl KeyMismatch {
    /// Whether all tensors match.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.reshaped.is_empty()
    }
}

impl fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = |title: &str, lines: Vec<String>| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "  {} {title}:", lines.len())?;
            lines.iter().take(SHOWN).try_for_each(|line| writeln!(f, "    {line}"))?;
            if lines.len() > SHOWN { writeln!(f, "    and {} more", lines.len() - SHOWN) } else { Ok(()) }
        };
        let reshaped = self.reshaped.iter();
        section(
            "of another shape",
            reshaped.map(|(name, model, file)| format!("{name}: the model has {model:?}, the file {file:?}")).collect(),
        )?;
        let missing = self.missing.iter();
        let nearest =
            |nearest: &Option<String>| nearest.as_ref().map_or(String::new(), |name| format!(", nearest: {name}"));
        section(
            "missing in the file",
            missing.map(|(name, shape, near)| format!("{name} {shape:?}{}", nearest(near))).collect(),
        )?;
        let unexpected = self.unexpected.iter();
        section("unexpected in the file", unexpected.map(|(name, shape)| format!("{name} {shape:?}")).collect())
    }
}
