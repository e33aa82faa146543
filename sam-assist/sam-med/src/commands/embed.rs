//! `sam-med embed`: time and memory of the image encoder.

use std::{fmt, time::Instant};

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::{Args, ValueEnum};
use sam_core::{Checkpoint, Precision, SamConfig, SamPredictor};
use sam_data::ndarray::Array3;
use sam_files::LossyPath;
use sam_prompt::{BoundingBox, Prompts};
use serde::Serialize;

use crate::{
    backend::{BackendChoice, Job},
    console::Console,
};

/// The published variants.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Variant {
    VitB,
    VitL,
    VitH,
    MobileSam,
    LiteMedsam,
}

impl Variant {
    fn config(self) -> SamConfig {
        match self {
            Self::VitB => SamConfig::vit_b(),
            Self::VitL => SamConfig::vit_l(),
            Self::VitH => SamConfig::vit_h(),
            Self::MobileSam => SamConfig::mobile_sam(),
            Self::LiteMedsam => SamConfig::lite_medsam(),
        }
    }
}

/// Time the image encoder and measure its memory.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Without --weights the weights are random: they take as long. Peak memory is measured on Linux only.

Examples:
  sam-med embed --model vit-b --repeats 5
  sam-med embed --weights lite_medsam.pth --precision bf16 --json")]
pub struct Options {
    /// Variant with random weights: vit-b, vit-l, vit-h, mobile-sam, lite-medsam
    #[arg(
        long,
        value_enum,
        default_value = "vit-b",
        conflicts_with = "weights",
        hide_possible_values = true,
        value_name = "NAME"
    )]
    model: Variant,
    /// Checkpoint of any SAM in place of random weights
    #[arg(long, value_name = "FILE")]
    weights: Option<LossyPath>,
    /// Precision of the image encoder: f32, f16 or bf16
    #[arg(long, default_value_t, value_name = "TYPE")]
    precision: Precision,
    /// Number of embeddings that are timed
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    repeats: usize,
    /// Images that are encoded together
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    batch: u16,
    /// Backend that computes
    #[arg(long, value_enum, default_value_t, value_name = "NAME", hide_possible_values = true)]
    backend: BackendChoice,
}

/// Measures time and memory.
///
/// # Errors
/// If the checkpoint cannot be read, or the backend does not support this precision.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    console.result(&options.backend.run(EmbedJob { options, console })?)
}

/// A measurement, to be run on a backend.
struct EmbedJob<'a> {
    options: &'a Options,
    console: &'a Console,
}

impl Job for EmbedJob<'_> {
    type Output = EmbedReport;

    fn run<B: Backend>(self, device: &B::Device) -> Result<EmbedReport> {
        let options = self.options;
        let start = Instant::now();
        let predictor: SamPredictor<B> = if let Some(path) = &options.weights {
            Checkpoint::open(path)?.predictor(device)?
        } else {
            let config = options.model.config();
            SamPredictor::new(config.init(device), config.preprocess)
        };
        let predictor = predictor.with_encoder_precision(options.precision)?;
        let parameters = predictor.sam().parameter_count();
        let ready_seconds = start.elapsed().as_secs_f64();
        self.console
            .note(format_args!("{:.1} M parameters, ready after {ready_seconds:.2} s", parameters as f64 / 1e6));

        let side = predictor.preprocess().image_size;
        let image = Array3::from_shape_fn((side, side, 3), |(row, column, colour)| {
            ((row * 3 + column * 5 + colour * 40) % 256) as u8
        });
        let centre = side as f32 / 2.0;
        let part = BoundingBox { x_min: 0.0, y_min: 0.0, x_max: centre, y_max: centre };
        let mut timings = Vec::new();
        for _ in 0..options.repeats {
            let start = Instant::now();
            let embeddings = predictor.embed_batch(&vec![image.view(); usize::from(options.batch)])?;
            // A GPU computes asynchronously: wait until it is done.
            B::sync(device)?;
            let embedding_seconds = start.elapsed().as_secs_f64() / f64::from(options.batch);
            let start = Instant::now();
            predictor.predict(&embeddings[0], &Prompts::from_boxes(vec![part]))?;
            timings.push(ImageSeconds { embedding_seconds, prompt_seconds: start.elapsed().as_secs_f64() });
        }
        Ok(EmbedReport { parameters, ready_seconds, side, timings, peak_bytes: peak_memory() })
    }
}

/// The peak resident memory of the process in bytes, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The result of `embed`.
#[derive(Debug, Serialize)]
struct EmbedReport {
    parameters: usize,
    ready_seconds: f64,
    /// Rows and columns of the image.
    side: usize,
    timings: Vec<ImageSeconds>,
    peak_bytes: Option<u64>,
}

/// Seconds for one embedding of one image, and for one box on it.
#[derive(Debug, Serialize)]
struct ImageSeconds {
    embedding_seconds: f64,
    prompt_seconds: f64,
}

impl fmt::Display for EmbedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.side;
        for ImageSeconds { embedding_seconds, prompt_seconds } in &self.timings {
            writeln!(f, "embedding {side} x {side} pixels: {embedding_seconds:.4} s; a box: {prompt_seconds:.4} s")?;
        }
        match self.peak_bytes {
            Some(peak) => write!(f, "peak memory: {:.2} GiB", peak as f64 / f64::from(1 << 30)),
            None => Ok(()),
        }
    }
}
