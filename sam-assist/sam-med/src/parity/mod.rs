//! Comparison with reference tensors of the official implementations.
//!
//! A folder of goldens contains safetensors files, each named after a part of the model, and the configuration of that model
//! (`sam_tiny_config.json`). The checks run their inputs through the public API and compare the outputs. All sizes come from that
//! configuration and from the tensors' shapes. `sam-core/tests/goldens/generate_official.py` generates such folders.
//!
//! A tensor passes if no element differs from its reference by more than [`Report::TOLERANCE`] times the reference's largest magnitude: a
//! sum of large terms that cancel is only as exact as those terms. The report also states how many elements agree relative to their own
//! magnitude.

mod config;
mod goldens;
mod lite;
mod mini;
mod official;
mod report;

use anyhow::Result;
use burn::tensor::backend::Backend;

pub use goldens::Goldens;
pub use report::{Comparison, Report};

use crate::backend::Job;

/// All checks for which a folder of goldens has data.
#[derive(Debug)]
pub struct ParityJob<'a> {
    /// The folder.
    pub goldens: &'a Goldens,
    /// `LiteMedSAM`'s checkpoint, if it is available.
    pub lite_weights: Option<&'a std::path::Path>,
    /// `MiniSAM`'s checkpoint, if it is available.
    pub mini_weights: Option<&'a std::path::Path>,
}

impl Job for ParityJob<'_> {
    type Output = Report;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Report> {
        let mut report = Report::default();
        let has_mini = self.goldens.has(&format!("{}.safetensors", mini::FILE));
        if self.goldens.has("sam_tiny_config.json") || !has_mini {
            official::check::<B>(self.goldens, device, &mut report)?;
        } else {
            report.skip("sam_tiny_*", "the folder has no reference tensors of segment-anything");
        }
        match self.lite_weights {
            _ if !self.goldens.has("lite_input.safetensors") => {
                report.skip("lite_*", "the folder has no reference tensors of LiteMedSAM");
            }
            Some(weights) => lite::check::<B>(self.goldens, weights, device, &mut report)?,
            None => report.skip("lite_*", "it needs LiteMedSAM's weights: give them with --weights FILE"),
        }
        match self.mini_weights {
            _ if !has_mini => {
                report.skip("mini_sam", "the folder has no reference tensors of MiniSAM");
            }
            Some(weights) => mini::check::<B>(self.goldens, weights, device, &mut report)?,
            None => report.skip("mini_sam", "it needs MiniSAM's weights: give them with --mini-weights FILE"),
        }
        Ok(report)
    }
}
