//! Automatic mask generation: masks of everything on an image, from a grid of clicks.
//!
//! Source: `SamAutomaticMaskGenerator` in segment-anything's `automatic_mask_generator.py` and `utils/amg.py`.

mod config;
mod grid;
mod nms;
mod regions;
mod rle;

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use sam_prompt::{
    BoundingBox, Label, Point, Prompts,
    progress::{Observer, Progress, Stage},
};
use serde::{Deserialize, Serialize};

pub use config::AutomaticConfig;
pub use grid::{CropBox, crop_boxes, point_grid};
pub use nms::non_maximum_suppression;
pub use regions::{SmallRegions, remove_small_regions};
pub use rle::RunLengths;

use crate::{CoreError, MaskOutput, SamPredictor, axes::within, transform::MIN_SIDE};

/// One generated mask, with its quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AutomaticMask {
    /// The mask on the whole image's grid, in COCO run-length encoding.
    pub segmentation: RunLengths,
    /// Number of pixels in the mask.
    pub area: usize,
    /// Bounding box from the first to the last pixel of the mask, as in the official generator; the outer edge is one pixel further.
    pub bounds: BoundingBox,
    /// Predicted intersection over union.
    pub predicted_iou: f32,
    /// Stability score; see [`MaskPrediction::stability`](crate::MaskPrediction::stability).
    pub stability: f32,
    /// The click that produced the mask, `(x, y)` in image pixels.
    pub point: (f64, f64),
    /// The crop in which the mask was found.
    pub crop: CropBox,
}

impl AutomaticMask {
    /// The mask: `[rows, columns]`.
    pub fn mask(&self) -> Array2<bool> {
        self.segmentation.decode()
    }
}

/// A mask whose box is within this distance of its crop's edge counts as cut off, in pixels.
const EDGE_TOLERANCE: f32 = 20.0;

impl AutomaticConfig {
    /// Generates masks of everything on an image, crop by crop. The observer is called after each batch of clicks; `None` if it stopped the
    /// call.
    ///
    /// Masks are in the order of the official generator: by predicted IoU, those of smaller crops first. Crops with a side below 4 pixels
    /// are left out.
    ///
    /// # Shapes
    /// - image: as in [`SamPredictor::embed`]
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image is invalid; [`CoreError::Config`] if a value of this config is invalid.
    pub fn generate<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, u8>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Vec<AutomaticMask>>, CoreError> {
        self.check()?;
        let (height, width, _) = image.dim();
        let mut crops = crop_boxes(height, width, self.crop_layers, self.crop_overlap);
        crops.retain(|crop| crop.layer == 0 || (crop.right - crop.left).min(crop.bottom - crop.top) >= MIN_SIDE);
        let batches =
            crops.iter().map(|crop| self.clicks_along(crop.layer).pow(2).div_ceil(self.points_per_batch)).sum();
        let mut done = 0;
        let mut batch_done = || {
            done += 1;
            observer(&Progress::new(Stage::Segment, done, batches))
        };
        let mut found = Vec::new();
        for crop in &crops {
            match self.process_crop(predictor, image, *crop, &mut batch_done)? {
                Some(of_crop) => found.extend(of_crop),
                None => return Ok(None),
            }
        }
        if crops.len() > 1 {
            // Masks of smaller crops are more exact, so they score higher.
            let scores: Vec<f32> = found.iter().map(|mask| 1.0 / mask.crop.area() as f32).collect();
            found = kept(found, &scores, self.crop_nms_threshold);
        }
        if self.min_region_area > 0 {
            found = self.without_small_regions(found);
        }
        Ok(Some(found))
    }

    /// Generates the masks of one crop. `batch_done` is called after each batch of clicks; `None` if it stopped the call.
    fn process_crop<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, u8>,
        crop: CropBox,
        batch_done: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<AutomaticMask>>, CoreError> {
        let cropped = image.slice_each_axis(within([crop.top..crop.bottom, crop.left..crop.right]));
        let embedding = predictor.embed(cropped)?;
        let (height, width) = (crop.bottom - crop.top, crop.right - crop.left);
        let clicks: Vec<(f64, f64)> = point_grid(self.clicks_along(crop.layer))
            .into_iter()
            .map(|(x, y)| (x * width as f64, y * height as f64))
            .collect();
        let mut found = Vec::new();
        for clicks in clicks.chunks(self.points_per_batch) {
            let click = |&(x, y): &(f64, f64)| Point { x: x as f32, y: y as f32, label: Label::Foreground };
            let prompts: Vec<_> = clicks.iter().map(|at| Prompts::from_points(vec![click(at)])).collect();
            let requests: Vec<_> = prompts.iter().map(|prompts| (&embedding, prompts)).collect();
            for (prediction, &(x, y)) in predictor.predict_batch(&requests, MaskOutput::Multi)?.iter().zip(clicks) {
                let stability = prediction.stability(self.stability_offset);
                for (index, logits) in prediction.logits.axis_iter(Axis(0)).enumerate() {
                    let point = (x + crop.left as f64, y + crop.top as f64);
                    let quality = (prediction.iou[index], stability[index]);
                    found.extend(self.accept(logits, quality, point, crop, image.dim()));
                }
            }
            if batch_done().is_break() {
                return Ok(None);
            }
        }
        let scores: Vec<f32> = found.iter().map(|mask| mask.predicted_iou).collect();
        Ok(Some(kept(found, &scores, self.box_nms_threshold)))
    }

    /// Returns the mask on the whole image's grid if it is good enough and not cut off by its crop.
    fn accept(
        &self,
        logits: ArrayView2<'_, f32>,
        (predicted_iou, stability): (f32, f32),
        point: (f64, f64),
        crop: CropBox,
        (height, width, _): (usize, usize, usize),
    ) -> Option<AutomaticMask> {
        let good = (self.pred_iou_threshold <= 0.0 || predicted_iou > self.pred_iou_threshold)
            && (self.stability_threshold <= 0.0 || stability >= self.stability_threshold);
        if !good {
            return None;
        }
        let mut mask = Array2::from_elem((height, width), false);
        let mut inside = mask.slice_each_axis_mut(within([crop.top..crop.bottom, crop.left..crop.right]));
        inside.zip_mut_with(&logits, |pixel, &logit| *pixel = logit > 0.0);
        let bounds = pixel_bounds(mask.view(), (crop.left, crop.top));
        if is_cut_off(bounds, crop, (height, width)) {
            return None;
        }
        let segmentation = RunLengths::encode(mask.view());
        Some(AutomaticMask { area: segmentation.area(), segmentation, bounds, predicted_iou, stability, point, crop })
    }

    /// Fills small holes and removes small islands, then suppresses masks that became duplicates; unchanged masks win.
    fn without_small_regions(&self, found: Vec<AutomaticMask>) -> Vec<AutomaticMask> {
        let cleaned: Vec<(AutomaticMask, f32)> = found
            .into_iter()
            .map(|mut found| {
                let mask = found.mask();
                let filled = remove_small_regions(mask.view(), self.min_region_area, SmallRegions::Holes);
                let clean = filled.as_ref().unwrap_or(&mask).view();
                let cleaned = remove_small_regions(clean, self.min_region_area, SmallRegions::Islands).or(filled);
                let score = f32::from(u8::from(cleaned.is_none()));
                if let Some(cleaned) = cleaned {
                    found.bounds = pixel_bounds(cleaned.view(), (0, 0));
                    found.segmentation = RunLengths::encode(cleaned.view());
                    found.area = found.segmentation.area();
                }
                (found, score)
            })
            .collect();
        let (found, scores): (Vec<_>, Vec<_>) = cleaned.into_iter().unzip();
        kept(found, &scores, self.box_nms_threshold.max(self.crop_nms_threshold))
    }
}

/// Non-maximum suppression of masks by their boxes; best first.
fn kept(found: Vec<AutomaticMask>, scores: &[f32], threshold: f32) -> Vec<AutomaticMask> {
    let boxes: Vec<_> = found.iter().map(|mask| mask.bounds).collect();
    let mut found: Vec<_> = found.into_iter().map(Some).collect();
    let order = non_maximum_suppression(&boxes, scores, threshold);
    order.into_iter().filter_map(|index| found[index].take()).collect()
}

/// Box from the first to the last pixel of a mask; for an empty mask, a box of size 0 at `corner`.
fn pixel_bounds(mask: ArrayView2<'_, bool>, corner: (usize, usize)) -> BoundingBox {
    let (x, y) = (corner.0 as f32, corner.1 as f32);
    sam_prompt::bounding_box(mask).map_or(BoundingBox { x_min: x, y_min: y, x_max: x, y_max: y }, |exact| BoundingBox {
        x_min: exact.x_min + 0.5,
        y_min: exact.y_min + 0.5,
        x_max: exact.x_max - 0.5,
        y_max: exact.y_max - 0.5,
    })
}

/// Whether a mask ends at an edge of its crop that is not an edge of the image.
fn is_cut_off(bounds: BoundingBox, crop: CropBox, (height, width): (usize, usize)) -> bool {
    let near = |edge: f32, other: usize| (edge - other as f32).abs() <= EDGE_TOLERANCE;
    [
        (bounds.x_min, crop.left, 0),
        (bounds.y_min, crop.top, 0),
        (bounds.x_max, crop.right, width),
        (bounds.y_max, crop.bottom, height),
    ]
    .into_iter()
    .any(|(edge, of_crop, of_image)| near(edge, of_crop) && !near(edge, of_image))
}
