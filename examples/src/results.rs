//! `results.json`: configuration, environment and records together.

use std::path::Path;

use anyhow::{Context, Result};
use sam_core::Precision;
use sam_eval::Record;
use serde::Serialize;

use crate::{backend::BackendChoice, weights::Weights};

/// Where results came from.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Version of this project.
    pub version: &'static str,
    /// Where was computed.
    pub backend: BackendChoice,
    /// Operating system and architecture.
    pub system: String,
    /// Threads that the machine offers.
    pub threads: usize,
    /// The checkpoint's SHA-256.
    pub weights_sha256: String,
    /// What the image encoder computed in.
    pub precision: Precision,
}

impl Environment {
    /// The environment of this run.
    pub fn new(backend: BackendChoice, weights: &Weights) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            backend,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            weights_sha256: weights.sha256.clone(),
            precision: weights.precision,
        }
    }
}

/// Writes `results.json`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, config: &impl Serialize, environment: &Environment, records: &[Record]) -> Result<()> {
    let results = serde_json::json!({ "config": config, "environment": environment, "records": records });
    let text = serde_json::to_string_pretty(&results).context("results cannot be written as JSON")?;
    sam_data::write_atomically(path, |file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")
    })?;
    Ok(())
}
