//! Compares the models with reference tensors of the official implementations.
//!
//! ```text
//! cargo run --release --example parity -- --goldens DIR
//! ```
//!
//! Prints the largest absolute and relative error of each tensor, and exits with 1 if one is beyond the tolerance. Takes seconds
//! on flex, minutes on ndarray.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use examples::{
    backend::BackendChoice,
    parity::{Goldens, ParityJob},
};

/// Compare the models with reference tensors of the official implementations.
#[derive(Debug, Parser)]
struct Options {
    /// Folder of reference tensors.
    #[arg(long, value_name = "DIR")]
    goldens: PathBuf,
    /// LiteMedSAM's checkpoint.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let goldens = Goldens::open(options.goldens)?;
    let report = options.backend.run(ParityJob { goldens: &goldens, lite_weights: options.weights.as_deref() })?;
    println!("{report}");
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
