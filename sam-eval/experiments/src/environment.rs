//! The environment in which results were computed.

use std::fmt::Display;

use burn::tensor::backend::Backend;
use sam_core::{Precision, SamPredictor};
use serde::{Deserialize, Serialize};

/// Version, backend, machine and weights of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// Version of this project.
    pub version: String,
    /// The backend's name.
    pub backend: String,
    /// Operating system and architecture.
    pub system: String,
    /// Number of hardware threads.
    pub threads: usize,
    /// SHA-256 of the weights file; empty for weights that do not come from a file.
    pub weights_sha256: String,
    /// Precision of the image encoder.
    pub precision: Precision,
}

impl Environment {
    /// The environment of this run.
    pub fn new<B: Backend>(backend: impl Display, predictor: &SamPredictor<B>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: backend.to_string(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            weights_sha256: predictor.weights_sha256().unwrap_or_default().to_owned(),
            precision: predictor.encoder_precision(),
        }
    }
}
