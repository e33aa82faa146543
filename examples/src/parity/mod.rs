//! Comparison with reference tensors of the official implementations.
//!
//! A folder of goldens holds safetensors files, each named after a part of the model; the checks run their inputs through the
//! public API and compare the outputs.

mod goldens;
mod lite;
mod official;

use anyhow::Result;
use burn::tensor::backend::Backend;

pub use goldens::{Comparison, Goldens, Report};

use crate::backend::Job;

/// All checks that a folder of goldens has data for.
#[derive(Debug)]
pub struct ParityJob<'a> {
    /// The folder.
    pub goldens: &'a Goldens,
    /// `LiteMedSAM`'s checkpoint, if it is at hand.
    pub lite_weights: Option<&'a std::path::Path>,
}

impl Job for ParityJob<'_> {
    type Output = Report;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Report> {
        let mut report = Report::default();
        official::check::<B>(self.goldens, device, &mut report)?;
        match self.lite_weights {
            Some(weights) => lite::check::<B>(self.goldens, weights, device, &mut report)?,
            None => {
                report.skip("lite_*", "LiteMedSAM's weights are not at hand; give --weights or run quickstart once");
            }
        }
        Ok(report)
    }
}
