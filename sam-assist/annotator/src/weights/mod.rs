//! The model's weights: a checkpoint file and its SHA-256.
//!
//! ```no_run
//! use sam_annotate::Weights;
//! # #[cfg(all(feature = "fetch", feature = "flex"))]
//! # {
//! use sam_annotate::{Flex, KnownModel, Precision, progress::ignore_progress};
//! // Fetched once, then taken from the user's cache folder.
//! let weights = KnownModel::LiteMedSam.weights(&mut ignore_progress())?;
//! let predictor = weights.predictor::<Flex>(&Default::default(), Precision::F32)?;
//! # }
//! let weights = Weights::open("sam_vit_b.pth")?;
//! # Ok::<(), sam_annotate::WeightsError>(())
//! ```

#[cfg(feature = "fetch")]
mod fetch;
mod known;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use burn::tensor::backend::Backend;
use sam_core::{Checkpoint, CoreError, Precision, SamConfig, SamPredictor};
use thiserror::Error;

pub use known::{KnownModel, KnownModelError};

/// A checkpoint file and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    path: PathBuf,
    sha256: String,
}

/// Why weights cannot be found, read or fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// There is no such file.
    #[error("there are no weights at {}; check the path", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] sam_files::ReadError),
    /// The file is not a checkpoint of a SAM.
    #[error("the weights {} cannot be used", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CoreError,
    },
    /// The user's cache folder is not known.
    #[error(
        "cannot find the user's cache folder; set HOME, or download the weights yourself and give the file with --weights"
    )]
    NoCacheFolder {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The weights could not be fetched.
    #[error(
        "{}'s weights are not in {} and could not be fetched: {}",
        model.title(), path.display(), model.by_hand(path.parent().unwrap_or(path))
    )]
    Fetch {
        /// The model.
        model: KnownModel,
        /// Path where the weights should be.
        path: PathBuf,
        /// Why they could not be fetched.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The observer stopped the call while the weights were fetched.
    #[error("stopped while {}'s weights were fetched; nothing of them was kept", model.title())]
    Stopped {
        /// The model.
        model: KnownModel,
    },
    /// The file has another content than expected.
    #[error(
        "{} does not hold {}'s weights: expected SHA-256 {expected}, found {found}; delete the file and try again",
        path.display(), model.title()
    )]
    OtherContent {
        /// The model.
        model: KnownModel,
        /// The file.
        path: PathBuf,
        /// SHA-256 of the model's weights.
        expected: &'static str,
        /// SHA-256 of the file.
        found: String,
    },
}

impl Weights {
    /// Opens a checkpoint of any SAM and computes its SHA-256. Loads no weights yet.
    ///
    /// # Errors
    /// [`WeightsError::NotFound`]; [`WeightsError::Unusable`] if the file is not a checkpoint.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref().to_path_buf();
        if !path.is_file() {
            return Err(WeightsError::NotFound { path });
        }
        match Checkpoint::open(&path).and_then(|checkpoint| Ok(checkpoint.sha256()?.to_owned())) {
            Ok(sha256) => Ok(Self { path, sha256 }),
            Err(source) => Err(WeightsError::Unusable { path, source }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The model's configuration, inferred from the checkpoint.
    ///
    /// # Errors
    /// [`WeightsError::Unusable`].
    pub fn config(&self) -> Result<SamConfig, WeightsError> {
        Checkpoint::open(&self.path).and_then(|checkpoint| checkpoint.config()).map_err(|source| self.unusable(source))
    }

    /// Loads the model, with the image encoder in this precision.
    ///
    /// # Errors
    /// [`WeightsError::Unusable`] if the file is not a checkpoint of a SAM, or the backend cannot compute in this precision.
    pub fn predictor<B: Backend>(
        &self,
        device: &B::Device,
        precision: Precision,
    ) -> Result<SamPredictor<B>, WeightsError> {
        let begun = Instant::now();
        let load = || Checkpoint::open(&self.path)?.predictor(device)?.with_encoder_precision(precision);
        let predictor = load().map_err(|source| self.unusable(source))?;
        let (backend, seconds) = (B::name(device), begun.elapsed().as_secs_f64());
        tracing::info!(path = ?self.path, ?precision, ?backend, seconds, "loaded the model");
        tracing::debug!(sha256 = self.sha256, config = ?predictor.config(), "the model");
        Ok(predictor)
    }

    fn unusable(&self, source: CoreError) -> WeightsError {
        WeightsError::Unusable { path: self.path.clone(), source }
    }
}
