//! Finds everything on an image, from a grid of clicks.
//!
//! ```text
//! cargo run --release --example automatic -- --image slice.png --out masks
//! ```
//!
//! Writes masks.json, a list of masks as COCO run lengths with their predicted IoU and stability, and overlay.png. With LiteMedSAM,
//! which was trained on boxes alone, clicks find little: the thresholds have to come down, and other weights (`--weights`) find more.
//! Takes about a minute for 16 x 16 clicks on 2 cores.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use clap::Parser;
use examples::{
    backend::{BackendChoice, Job},
    picture::{Panel, grid},
    progress, report,
    results::Environment,
    weights::{ModelOptions, Weights},
};
use sam_core::{
    SamPredictor,
    automatic::{AutomaticConfig, AutomaticMask},
};
use sam_data::ndarray::Array3;

/// Find everything on an image.
#[derive(Debug, Parser)]
struct Options {
    /// The image: .png, 8-bit grey or RGB.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Folder for masks.json and overlay.png.
    #[arg(long, value_name = "DIR", default_value = "automatic-results")]
    out: PathBuf,
    /// Clicks along each side of the image.
    #[arg(long, default_value_t = 32)]
    points_per_side: usize,
    /// Masks of a lower predicted IoU are dropped.
    #[arg(long, default_value_t = 0.88)]
    pred_iou_threshold: f32,
    /// Masks of a lower stability are dropped.
    #[arg(long, default_value_t = 0.95)]
    stability_threshold: f32,
    /// How far the threshold moves in measuring stability, in logits.
    #[arg(long, default_value_t = 1.0)]
    stability_offset: f32,
    /// Layers of crops beside the whole image.
    #[arg(long, default_value_t = 0)]
    crop_layers: usize,
    /// Holes and islands of fewer pixels are filled and removed.
    #[arg(long, default_value_t = 0)]
    min_region_area: usize,
    #[command(flatten)]
    model: ModelOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

struct AutomaticJob<'a> {
    config: &'a AutomaticConfig,
    image: &'a Array3<f32>,
    weights: &'a Weights,
}

impl Job for AutomaticJob<'_> {
    type Output = Vec<AutomaticMask>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<AutomaticMask>> {
        let predictor: SamPredictor<B> = self.weights.predictor(device)?;
        let bar = progress::bar("Looking at crops", 1);
        let found = self.config.generate(&predictor, self.image.view(), &mut |done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        Ok(found?)
    }
}

fn run(options: &Options) -> Result<()> {
    let image = sam_data::read_image(&options.image)?;
    let brightest = image.iter().copied().fold(0.0, f32::max);
    ensure!(
        brightest <= 255.0,
        "{} has levels up to {brightest}, expected 8 bits: bring it to 0 to 255 first",
        options.image.display()
    );
    let weights = options.model.locate()?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let config = AutomaticConfig {
        points_per_side: options.points_per_side,
        pred_iou_threshold: options.pred_iou_threshold,
        stability_threshold: options.stability_threshold,
        stability_offset: options.stability_offset,
        crop_layers: options.crop_layers,
        min_region_area: options.min_region_area,
        ..AutomaticConfig::default()
    };
    let masks = options.backend.run(AutomaticJob { config: &config, image: &image, weights: &weights })?;

    let environment = Environment::new(options.backend, &weights);
    let record = serde_json::json!({ "config": config, "environment": environment, "masks": masks });
    let text = serde_json::to_string(&record).context("the masks cannot be written as JSON")?;
    sam_data::write_atomically(&options.out.join("masks.json"), |file| file.write_all(text.as_bytes()))?;
    let panel = masks.iter().fold(Panel::new(&image), |panel, found| panel.found(found.mask().view()));
    sam_data::write_rgb(&options.out.join("overlay.png"), grid(&[panel], 1).view())?;
    println!("Found {} masks; wrote masks.json and overlay.png to {}", masks.len(), options.out.display());
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
