//! What is recorded with every result: the command's options and the environment.

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_core::SamPredictor;
use sam_experiments::Environment;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::backend::BackendChoice;

/// A command's options as they are saved with its results, for `--config`: the command, the program's version and the options.
///
/// # Errors
/// If JSON cannot represent an option. It can represent every path: they are [`LossyPath`](sam_files::LossyPath).
pub fn saved_options(command: &str, options: &impl Serialize) -> Result<Map<String, Value>> {
    let options = to_json(options).with_context(|| format!("the options of {command} cannot be recorded"))?;
    let fields = [("command", command.into()), ("version", env!("CARGO_PKG_VERSION").into()), ("options", options)];
    Ok(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
}

/// A value as JSON. Unlike `json!`, it does not panic if JSON cannot represent the value.
///
/// # Errors
/// Why JSON cannot represent it.
pub fn to_json(value: &impl Serialize) -> Result<Value> {
    Ok(serde_json::to_value(value)?)
}

/// The environment in which results were computed.
pub fn environment<B: Backend>(backend: BackendChoice, predictor: &SamPredictor<B>) -> Environment {
    Environment::new(backend, predictor)
}
