//! `sam-med parity`: the models against reference tensors of the official implementations.

use anyhow::{Result, bail};
use clap::Args;
use sam_files::LossyPath;

use crate::{
    backend::BackendChoice,
    console::Console,
    parity::{Goldens, ParityJob},
};

/// Compare the models with reference tensors of the official implementations.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Prints the largest difference of each tensor, and ends with exit code 1 if one is beyond the tolerance.
Takes seconds with flex, minutes with ndarray.

Examples:
  sam-med parity --goldens goldens
  sam-med parity --goldens goldens --weights lite_medsam.pth --backend flex --json
  sam-med parity --goldens goldens --mini-weights mini_sam.safetensors")]
pub struct Options {
    /// Folder of reference tensors
    #[arg(long, value_name = "DIR")]
    goldens: LossyPath,
    /// LiteMedSAM's checkpoint
    #[arg(long, value_name = "FILE")]
    weights: Option<LossyPath>,
    /// MiniSAM's checkpoint
    #[arg(long, value_name = "FILE")]
    mini_weights: Option<LossyPath>,
    /// Backend that computes
    #[arg(long, value_enum, default_value_t, value_name = "NAME", hide_possible_values = true)]
    backend: BackendChoice,
}

/// Runs the comparison.
///
/// # Errors
/// If a tensor cannot be read, or differs by more than the tolerance.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let goldens = Goldens::open(&*options.goldens)?;
    let report = options.backend.run(ParityJob {
        goldens: &goldens,
        lite_weights: options.weights.as_deref(),
        mini_weights: options.mini_weights.as_deref(),
    })?;
    console.result(&report)?;
    let failed = report.comparisons.iter().filter(|comparison| !comparison.passed).count();
    if failed > 0 {
        bail!("{failed} of {} tensors are beyond the tolerance", report.comparisons.len());
    }
    Ok(())
}
