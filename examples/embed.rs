//! Times the image encoder, and says how much memory it takes.
//!
//! ```text
//! cargo run --release --example embed -- --model vit-b
//! ```
//!
//! Without `--weights`, the weights are random: they take as long. Prints the seconds of building or loading, of each embedding and of
//! a prompt, and the process's peak memory (on Linux).

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use burn::{module::Module, tensor::backend::Backend};
use clap::{Parser, ValueEnum};
use examples::{
    backend::{BackendChoice, Job},
    report,
};
use sam_core::{Checkpoint, Precision, SamConfig, SamPredictor};
use sam_data::ndarray::Array3;
use sam_prompt::{BoundingBox, Prompts};

/// The published variants.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Model {
    VitB,
    VitL,
    VitH,
    MobileSam,
    LiteMedsam,
}

impl Model {
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

/// Time the image encoder.
#[derive(Debug, Parser)]
struct Options {
    /// The variant, with random weights.
    #[arg(long, value_enum, default_value = "vit-b")]
    model: Model,
    /// A checkpoint, whose variant is inferred, instead of random weights.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What the encoder computes in: f32, f16 or bf16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// How many embeddings are timed.
    #[arg(long, default_value_t = 2)]
    repeats: usize,
    /// Images that go through the encoder together.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

impl Job for &Options {
    type Output = ();

    fn run<B: Backend>(self, device: &B::Device) -> Result<()> {
        let start = Instant::now();
        let predictor: SamPredictor<B> = if let Some(path) = &self.weights {
            Checkpoint::open(path)?.predictor(device)?
        } else {
            let config = self.model.config();
            SamPredictor::new(config.init(device), config.preprocess)
        };
        let predictor = predictor.with_encoder_precision(self.precision)?;
        let millions = predictor.sam().num_params() as f64 / 1e6;
        println!("{millions:.1} M parameters, ready after {:.2} s", start.elapsed().as_secs_f64());

        let side = predictor.preprocess().image_size;
        let image = Array3::from_shape_fn((side, side, 3), |(row, column, colour)| {
            ((row * 3 + column * 5 + colour * 40) % 256) as f32
        });
        let centre = side as f32 / 2.0;
        let part = BoundingBox { x_min: 0.0, y_min: 0.0, x_max: centre, y_max: centre };
        for _ in 0..self.repeats {
            let start = Instant::now();
            let embeddings = predictor.embed_batch(&vec![image.view(); usize::from(self.batch)])?;
            // A GPU computes in the background: reading ends the waiting.
            B::sync(device)?;
            let embedded = start.elapsed().as_secs_f64() / f64::from(self.batch);
            let start = Instant::now();
            predictor.predict(&embeddings[0], &Prompts::from_boxes(vec![part]))?;
            let prompted = start.elapsed().as_secs_f64();
            println!("embedding {side} x {side} pixels: {embedded:.4} s; a box: {prompted:.4} s");
        }
        if let Some(peak) = peak_memory() {
            println!("peak memory: {peak}");
        }
        Ok(())
    }
}

/// The process's largest resident size so far, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.2} GiB", kilobytes / f64::from(1 << 20)))
}

fn main() -> ExitCode {
    let options = Options::parse();
    report::exit(options.backend.run(&options))
}
