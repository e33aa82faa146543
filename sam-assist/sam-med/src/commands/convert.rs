//! `sam-med convert`: converts a checkpoint to safetensors, optionally in half precision.

use std::{fmt, path::Path};

use anyhow::Result;
use clap::Args;
use sam_core::{Checkpoint, EncoderConfig, Precision};
use sam_files::LossyPath;
use sam_prompt::counted;
use serde::Serialize;

use crate::{
    console::Console,
    options::{OutputOptions, with_record},
    record,
};

/// Convert a checkpoint to safetensors: smaller in half precision, opened without copying.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Names become the official ones; what is not part of a SAM, such as an optimizer's state, is left out.
Writes the options to a record beside the new file: NAME.json.

Examples:
  sam-med convert --weights sam_vit_b_01ec64.pth --out sam_vit_b.safetensors
  sam-med convert --weights sam_vit_b_01ec64.pth --out sam_vit_b.safetensors --precision f16")]
pub struct Options {
    /// The checkpoint: .pth, .pt or .safetensors
    #[arg(long, value_name = "FILE")]
    weights: LossyPath,
    /// The new file: .safetensors
    #[arg(long, value_name = "FILE")]
    out: LossyPath,
    /// Precision of the stored numbers: f32, f16 or bf16
    #[arg(long, default_value_t, value_name = "TYPE")]
    precision: Precision,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// Converts a checkpoint.
///
/// # Errors
/// If the checkpoint cannot be read, or the new file cannot be written.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let plan = options.outputs.plan(console).input("--weights", &options.weights).output("--out", &options.out);
    let (plan, record) = with_record(plan, &options.out);
    plan.check()?;
    let checkpoint = Checkpoint::open(&options.weights)?;
    let model = match checkpoint.config()?.encoder {
        EncoderConfig::Vit(vit) => format!("ViT of {} at {} pixels", counted(vit.depth, "block"), vit.image_size),
        EncoderConfig::TinyVit(tiny) => format!("TinyViT at {} pixels", tiny.image_size),
        _ => "another image encoder".to_owned(),
    };
    let save = |staged: &Path| anyhow::Ok(checkpoint.save_safetensors(staged, options.precision)?);
    let outputs = plan.open()?;
    outputs.stage(&options.out, save)?;
    outputs.publish_with_record(record, record::saved_options("convert", options)?)?;
    console.result(&ConvertReport { model, tensors: checkpoint.shapes().len(), written: options.out.clone() })
}

/// The result of `convert`.
#[derive(Debug, Serialize)]
struct ConvertReport {
    model: String,
    tensors: usize,
    written: LossyPath,
}

impl fmt::Display for ConvertReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, tensors, written } = self;
        write!(f, "Wrote a SAM with a {model}, {}, to {}", counted(*tensors, "tensor"), written.display())
    }
}
