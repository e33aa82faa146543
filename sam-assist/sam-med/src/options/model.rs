//! Options of the model and its backend.

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::{KnownModel, Weights};
use sam_core::{Precision, SamPredictor};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

use crate::{backend::BackendChoice, console::Console};

/// Which model computes, in which precision, on which backend.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Model")]
pub struct ModelOptions {
    /// Model whose weights are fetched once: lite-med-sam (default) or mini-sam
    #[arg(long, value_name = "NAME", conflicts_with = "weights")]
    pub model: Option<KnownModel>,
    /// Checkpoint of any other SAM
    #[arg(long, value_name = "FILE")]
    pub weights: Option<LossyPath>,
    /// Of the image encoder: f32, f16 (GPUs), bf16 (GPUs, AMX)
    #[arg(long, default_value_t, value_name = "TYPE")]
    pub precision: Precision,
    /// Backend that computes: flex, ndarray or cuda, if built in
    #[arg(long, value_enum, default_value_t, value_name = "NAME", hide_possible_values = true)]
    pub backend: BackendChoice,
}

impl ModelOptions {
    /// Adds the weights to the inputs of a plan, also those that are fetched by default.
    pub fn plan(&self, plan: OutputPlan) -> OutputPlan {
        match &self.weights {
            Some(path) => plan.input("--weights", path),
            None => plan.inputs(&format!("{}'s weights", self.known().title()), self.known().path().ok()),
        }
    }

    /// The model to use if no checkpoint is given.
    fn known(&self) -> KnownModel {
        self.model.unwrap_or_default()
    }

    /// The checkpoint: the given one; otherwise the model's from the user's cache folder; otherwise a new download.
    ///
    /// # Errors
    /// If the file does not exist or is not a checkpoint, or the model's cannot be downloaded; the message says what to do.
    /// [`WeightsError::Stopped`](sam_annotate::WeightsError::Stopped) if the user stopped it.
    pub fn locate(&self, console: &Console) -> Result<Weights> {
        if let Some(path) = &self.weights {
            return Ok(Weights::open(path)?);
        }
        let model = self.known();
        if !model.is_cached() {
            console.note(format_args!(
                "Fetching {}'s weights ({} MB) into {}",
                model.title(),
                model.megabytes(),
                model.path()?.display()
            ));
        }
        Ok(model.weights(&mut |_| console.flow())?)
    }

    /// Loads the model.
    ///
    /// # Errors
    /// If the file is not a checkpoint of a SAM, or the backend does not support this precision.
    pub fn predictor<B: Backend>(&self, weights: &Weights, device: &B::Device) -> Result<SamPredictor<B>> {
        Ok(weights.predictor(device, self.precision)?)
    }
}
