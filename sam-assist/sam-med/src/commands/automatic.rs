//! `sam-med automatic`: segments everything on an image, from a grid of clicks.

use std::fmt;

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Args;
use sam_annotate::Weights;
use sam_core::automatic::{AutomaticConfig, AutomaticMask};
use sam_data::{Window, ndarray::Array3};
use sam_experiments::{
    Environment,
    picture::{Panel, grid},
};
use sam_files::LossyPath;
use sam_prompt::counted;
use serde::Serialize;

use crate::{
    backend::Job,
    console::Console,
    exit::Failure,
    options::{ModelOptions, OutputOptions, RECORD, results},
    progress::ProgressBars,
    record,
};

/// Find everything on an image, from a grid of clicks.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Writes masks.json (COCO run lengths with predicted IoU and stability), overlay.png and options.json.
LiteMedSAM, trained on boxes alone, finds little from clicks: lower its thresholds, or use other weights.

Examples:
  sam-med automatic --image slice.png --out masks --weights sam_vit_b.pth
  sam-med automatic --image slice.png --pred-iou-threshold 0.6 --stability-threshold 0.7")]
pub struct Options {
    /// The image: .png, 8-bit grey or RGB
    #[arg(long, value_name = "FILE")]
    image: LossyPath,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "automatic-results")]
    out: LossyPath,
    /// Clicks along each side of the image
    #[arg(long, default_value_t = 32, value_name = "COUNT")]
    points_per_side: usize,
    /// Drop masks with a lower predicted IoU
    #[arg(long, default_value_t = 0.88, value_name = "IOU")]
    pred_iou_threshold: f32,
    /// Drop masks with a lower stability
    #[arg(long, default_value_t = 0.95, value_name = "IOU")]
    stability_threshold: f32,
    /// How far the threshold moves in measuring stability, in logits
    #[arg(long, default_value_t = 1.0, value_name = "LOGITS")]
    stability_offset: f32,
    /// Layers of crops in addition to the whole image
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    crop_layers: usize,
    /// Fill holes and remove islands of fewer pixels
    #[arg(long, default_value_t = 0, value_name = "PIXELS")]
    min_region_area: usize,
    #[command(flatten)]
    #[serde(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// Finds masks, and writes them.
///
/// # Errors
/// If the image or the weights cannot be read, or the results cannot be written. [`Failure::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let path = |name: &str| options.out.join(name);
    let plan = options.model.plan(options.outputs.plan(console)).input("--image", &options.image);
    let plan = results(plan, &options.out, ["masks.json", "overlay.png"], RECORD);
    plan.check()?;
    let image = sam_data::read_levels(&options.image, &Window::default())?;
    let weights = options.model.locate(console)?;
    let outputs = plan.open()?;
    let config = AutomaticConfig::default()
        .with_points_per_side(options.points_per_side)
        .with_pred_iou_threshold(options.pred_iou_threshold)
        .with_stability_threshold(options.stability_threshold)
        .with_stability_offset(options.stability_offset)
        .with_crop_layers(options.crop_layers)
        .with_min_region_area(options.min_region_area);
    let job = AutomaticJob { options, console, config: &config, image: &image, weights: &weights };
    let (masks, environment) = options.model.backend.run(job)?;

    let results = serde_json::json!({ "config": config, "environment": environment, "masks": masks });
    outputs.write_json(path("masks.json"), &results)?;
    let panel = masks.iter().fold(Panel::new(&image), |panel, found| panel.found(found.mask().view()));
    let picture = grid(&[panel], 1);
    outputs.stage(path("overlay.png"), |staged| anyhow::Ok(sam_data::write_rgb(staged, picture.view())?))?;
    outputs.publish_with_record(path(RECORD), record::saved_options("automatic", options)?)?;
    console.result(&AutomaticReport { masks: masks.len(), folder: options.out.clone() })
}

/// An automatic segmentation, to be run on a backend.
struct AutomaticJob<'a> {
    options: &'a Options,
    console: &'a Console,
    config: &'a AutomaticConfig,
    image: &'a Array3<u8>,
    weights: &'a Weights,
}

impl Job for AutomaticJob<'_> {
    type Output = (Vec<AutomaticMask>, Environment);

    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output> {
        let model = &self.options.model;
        let predictor = model.predictor::<B>(self.weights, device)?;
        let mut bars = ProgressBars::new(self.console);
        let found = self
            .config
            .generate(&predictor, self.image.view(), &mut |progress| bars.show("batches of clicks", progress))?;
        drop(bars);
        let found = found.ok_or(Failure::Stopped("nothing was written"))?;
        Ok((found, record::environment(model.backend, &predictor)))
    }
}

/// The result of `automatic`.
#[derive(Debug, Serialize)]
struct AutomaticReport {
    masks: usize,
    folder: LossyPath,
}

impl fmt::Display for AutomaticReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Found {}; wrote masks.json, overlay.png and options.json to {}",
            counted(self.masks, "mask"),
            self.folder.display()
        )
    }
}
