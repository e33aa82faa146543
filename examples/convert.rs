//! Converts a checkpoint to safetensors: smaller in half precision, opened without copying, read by other programs.
//!
//! ```text
//! cargo run --release --example convert -- --weights sam_vit_b_01ec64.pth --out sam_vit_b.safetensors --precision f16
//! ```
//!
//! Names become the official ones; what belongs to no SAM (an optimizer's state, say) is left out. Takes seconds.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use examples::report;
use sam_core::{Checkpoint, EncoderConfig, Precision};

/// Convert a checkpoint to safetensors.
#[derive(Debug, Parser)]
struct Options {
    /// The checkpoint: .pth, .pt or .safetensors.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The new file: .safetensors.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How numbers are stored: f32, f16 or bf16.
    #[arg(long, default_value_t)]
    precision: Precision,
}

fn run(options: &Options) -> Result<()> {
    let checkpoint = Checkpoint::open(&options.weights)?;
    let kind = match checkpoint.config()?.encoder {
        EncoderConfig::Vit(vit) => format!("ViT of {} blocks at {} pixels", vit.depth, vit.image_size),
        EncoderConfig::TinyVit(tiny) => format!("TinyViT at {} pixels", tiny.image_size),
    };
    checkpoint.save_safetensors(&options.out, options.precision)?;
    println!("Wrote a SAM with a {kind}, {} tensors, to {}", checkpoint.shapes().len(), options.out.display());
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
