//! Errors of checkpoints and prediction.

use std::{fmt, io, path::PathBuf};

use sam_files::sanitize;
use sam_prompt::{ConfigError, PromptError, SliceNumber};
use thiserror::Error;

use crate::{Precision, Region};

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
    #[error("there is no slice {}: the source has {count} slices, counted from 1", SliceNumber::of_index(*index))]
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
    /// Maximum number of names of each kind in the message.
    const SHOWN: usize = 5;

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
            lines.iter().take(Self::SHOWN).try_for_each(|line| writeln!(f, "    {line}"))?;
            if lines.len() > Self::SHOWN { writeln!(f, "    and {} more", lines.len() - Self::SHOWN) } else { Ok(()) }
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
