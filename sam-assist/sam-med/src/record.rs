//! Result files: every JSON file of a command is written here.

use std::{io, path::Path};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_core::SamPredictor;
use sam_experiments::Environment;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::backend::BackendChoice;

/// Writes a value as JSON with line breaks, completely or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: impl AsRef<Path>, value: &impl Serialize) -> Result<()> {
    let path = path.as_ref();
    let text = serde_json::to_string_pretty(value)
        .with_context(|| format!("the results for {} cannot be written as JSON", path.display()))?;
    write_text(path, &(text + "\n"))
}

/// Writes a text, completely or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    sam_files::write_atomic(path, |file| file.write_all(text.as_bytes()))?;
    tracing::info!(?path, bytes = text.len(), "wrote a file");
    Ok(())
}

/// Creates a folder for results, and its parent folders.
///
/// # Errors
/// If it cannot be created.
pub fn create_folder(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let created: io::Result<()> = std::fs::create_dir_all(path);
    created.with_context(|| format!("cannot create the folder {}", path.display()))
}

/// A command's options as they are saved with its results, for `--config`: the command, the program's version and the options.
pub fn saved_options(command: &str, options: &impl Serialize) -> Map<String, Value> {
    let fields =
        [("command", json!(command)), ("version", json!(env!("CARGO_PKG_VERSION"))), ("options", json!(options))];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// The environment in which results were computed.
pub fn environment<B: Backend>(backend: BackendChoice, predictor: &SamPredictor<B>) -> Environment {
    Environment::new(backend, predictor)
}
