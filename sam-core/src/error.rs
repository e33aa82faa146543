//! What can go wrong with weights and prediction.

use std::{fmt, path::PathBuf};

use sam_prompt::PromptError;
use thiserror::Error;

use crate::{Precision, Region};

/// Why a model could not be loaded or asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A prediction without any prompt.
    #[error("there is no prompt: give at least one point, box or mask")]
    NoPrompt,
    /// An image whose shape or values no encoder can read.
    #[error("image of shape {shape:?} cannot be embedded: {reason}")]
    Image {
        /// Shape found, as `[rows, columns, channels]`.
        shape: Vec<usize>,
        /// What is wrong with it and what to do.
        reason: &'static str,
    },
    /// An outline of another size than its slice.
    #[error(
        "the outline of slice {index} has {} x {} pixels, but the slice has {} x {}: outline the image that was embedded",
        found.0, found.1, expected.0, expected.1
    )]
    OutlineSize {
        /// The slice, counted from 0.
        index: usize,
        /// Rows and columns of the outline.
        found: (usize, usize),
        /// Rows and columns of the slice.
        expected: (usize, usize),
    },
    /// A number of a configuration that makes no sense.
    #[error("{name} is {found}, expected {expected}")]
    Config {
        /// The number's name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An image encoder that was rounded to less than what is asked for.
    #[error("the image encoder is in {found} already and cannot become {wanted}: load the checkpoint anew")]
    Rounded {
        /// The precision that it is in.
        found: Precision,
        /// The precision asked for.
        wanted: Precision,
    },
    /// A region that is no part of the image.
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
    /// Tiles that share so much that they would never reach the image's end.
    #[error("tiles of {side} pixels a side cannot overlap by {overlap}; let them overlap by less than their side")]
    Tiles {
        /// By how much they should overlap, in pixels.
        overlap: usize,
        /// Their side, in pixels.
        side: usize,
    },
    /// A cached embedding that cannot be written.
    #[error("cannot write to the cache {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A checkpoint file that cannot be read.
    #[error("cannot read the checkpoint {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A checkpoint that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A checkpoint that holds something else than a SAM.
    #[error("{} is no SAM checkpoint: {reason}", path.display())]
    NotSam {
        /// The file.
        path: PathBuf,
        /// What was looked for.
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

/// How a file's tensors differ from the model's; shown as one line for each tensor.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct KeyMismatch {
    /// Tensors the model needs and the file lacks: name, shape, and the file's unused tensor of the most similar name.
    pub missing: Vec<(String, Vec<usize>, Option<String>)>,
    /// Tensors of the file that the model has no place for.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of the right name and the wrong shape: name, the model's shape, the file's.
    pub reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl KeyMismatch {
    /// How many names of each sort the message lists.
    const SHOWN: usize = 5;

    /// Whether everything fits.
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
