//! Automatic masks: everything on an image, from a grid of clicks.
//!
//! Source: `SamAutomaticMaskGenerator` in segment-anything's `automatic_mask_generator.py` and `utils/amg.py`.

mod grid;
mod nms;
mod regions;
mod rle;

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};
use sam_prompt::{BoundingBox, Label, Point, Prompts};
use serde::{Deserialize, Serialize};

pub use grid::{CropBox, crop_boxes, point_grid};
pub use nms::non_maximum_suppression;
pub use regions::{SmallRegions, remove_small_regions};
pub use rle::RunLengths;

use crate::{CoreError, MaskOutput, SamPredictor};

/// How everything on an image is found.
///
/// Defaults are the official generator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutomaticConfig {
    /// Clicks along each side of the image.
    pub points_per_side: usize,
    /// Clicks whose masks are held at once; the predictor decodes up to 64 of them together.
    pub points_per_batch: usize,
    /// Masks of a lower predicted IoU are dropped; 0 keeps all.
    pub pred_iou_threshold: f32,
    /// Masks of a lower stability are dropped; 0 keeps all.
    pub stability_threshold: f32,
    /// How far the threshold moves in measuring stability, in logits.
    pub stability_offset: f32,
    /// Of two masks of one crop whose boxes overlap by more, the one of lower predicted IoU is dropped.
    pub box_nms_threshold: f32,
    /// Layers of crops beside the whole image; layer `i` has `2^i` crops along each side.
    pub crop_layers: usize,
    /// Of two masks of different crops whose boxes overlap by more, the one of the larger crop is dropped.
    pub crop_nms_threshold: f32,
    /// How far crops of the first layer overlap, as a fraction of the shorter side.
    pub crop_overlap: f64,
    /// Layer `i` has this factor to the power `i` fewer clicks along a side, and at least one.
    pub crop_downscale: usize,
    /// Holes and islands of fewer pixels are filled and removed; 0 leaves masks as they are.
    pub min_region_area: usize,
}

impl Default for AutomaticConfig {
    fn default() -> Self {
        Self {
            points_per_side: 32,
            points_per_batch: 64,
            pred_iou_threshold: 0.88,
            stability_threshold: 0.95,
            stability_offset: 1.0,
            box_nms_threshold: 0.7,
            crop_layers: 0,
            crop_nms_threshold: 0.7,
            crop_overlap: 512.0 / 1500.0,
            crop_downscale: 1,
            min_region_area: 0,
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutomaticMask {
    /// The mask on the whole image's grid, as COCO run lengths.
    pub segmentation: RunLengths,
    /// Pixels in the mask.
    pub area: usize,
    /// From the first to the last pixel of the mask, as the official generator has it: the far edge lies one pixel further.
    pub bounds: BoundingBox,
    /// The decoder's own estimate of its quality.
    pub predicted_iou: f32,
    /// How little it depends on the threshold; see [`MaskPrediction::stability`](crate::MaskPrediction::stability).
    pub stability: f32,
    /// The click that it came from, `(x, y)` in image pixels.
    pub point: (f64, f64),
    /// The crop that it was found in.
    pub crop: CropBox,
}

impl AutomaticMask {
    /// The mask: `[rows, columns]`.
    pub fn mask(&self) -> Array2<bool> {
        self.segmentation.decode()
    }
}

/// Tolerance in pixels within which a mask counts as cut off by its crop's edge.
const EDGE_TOLERANCE: f32 = 20.0;

impl AutomaticConfig {
    /// Finds everything on an image; `on_crop` is told how many crops are done, of how many.
    ///
    /// Masks come in the order of the official generator: by predicted IoU, those of smaller crops first.
    ///
    /// # Shapes
    /// - image: as in [`SamPredictor::embed`]
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image cannot be read; [`CoreError::Config`] if a number of the configuration makes no sense.
    pub fn generate<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, f32>,
        on_crop: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<AutomaticMask>, CoreError> {
        self.check()?;
        let (height, width, _) = image.dim();
        let crops = crop_boxes(height, width, self.crop_layers, self.crop_overlap);
        let mut found = Vec::new();
        for (done, crop) in crops.iter().enumerate() {
            found.extend(self.process_crop(predictor, image, *crop)?);
            on_crop(done + 1, crops.len());
        }
        if crops.len() > 1 {
            // Masks of smaller crops are finer.
            let scores: Vec<f32> = found.iter().map(|mask| 1.0 / mask.crop.area() as f32).collect();
            found = kept(found, &scores, self.crop_nms_threshold);
        }
        if self.min_region_area > 0 {
            found = self.without_small_regions(found);
        }
        Ok(found)
    }

    fn check(&self) -> Result<(), CoreError> {
        let refuse = |name, found: String, expected| Err(CoreError::Config { name, found, expected });
        if self.points_per_side == 0 {
            return refuse("points_per_side", "0".to_owned(), "at least 1");
        }
        if self.points_per_batch == 0 {
            return refuse("points_per_batch", "0".to_owned(), "at least 1");
        }
        if self.crop_downscale == 0 {
            return refuse("crop_downscale", "0".to_owned(), "at least 1");
        }
        // More layers than that have crops of no pixel on any image that fits into memory.
        if self.crop_layers > 8 {
            return refuse("crop_layers", self.crop_layers.to_string(), "at most 8");
        }
        if self.clicks_along(self.crop_layers) == 0 {
            return refuse(
                "crop_downscale",
                self.crop_downscale.to_string(),
                "a factor that leaves a click in every layer",
            );
        }
        if !(0.0..1.0).contains(&self.crop_overlap) {
            return refuse("crop_overlap", self.crop_overlap.to_string(), "a fraction from 0 to below 1");
        }
        for (name, value) in [
            ("pred_iou_threshold", self.pred_iou_threshold),
            ("stability_threshold", self.stability_threshold),
            ("stability_offset", self.stability_offset),
            ("box_nms_threshold", self.box_nms_threshold),
            ("crop_nms_threshold", self.crop_nms_threshold),
        ] {
            if value.is_nan() {
                return refuse(name, value.to_string(), "a number");
            }
        }
        Ok(())
    }

    /// Clicks along each side of a layer's crops.
    fn clicks_along(&self, layer: usize) -> usize {
        (0..layer).fold(self.points_per_side, |clicks, _| clicks / self.crop_downscale)
    }

    fn process_crop<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, f32>,
        crop: CropBox,
    ) -> Result<Vec<AutomaticMask>, CoreError> {
        let cropped = image.slice(s![crop.top..crop.bottom, crop.left..crop.right, ..]);
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
        }
        let scores: Vec<f32> = found.iter().map(|mask| mask.predicted_iou).collect();
        Ok(kept(found, &scores, self.box_nms_threshold))
    }

    /// A mask that is good enough and not cut off by its crop, on the whole image's grid.
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
        let mut inside = mask.slice_mut(s![crop.top..crop.bottom, crop.left..crop.right]);
        inside.zip_mut_with(&logits, |pixel, &logit| *pixel = logit > 0.0);
        let bounds = pixel_bounds(mask.view(), (crop.left, crop.top));
        if is_cut_off(bounds, crop, (height, width)) {
            return None;
        }
        let segmentation = RunLengths::encode(mask.view());
        Some(AutomaticMask { area: segmentation.area(), segmentation, bounds, predicted_iou, stability, point, crop })
    }

    /// Fills small holes and removes small islands, then drops masks that have become alike, changed ones first.
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

/// The masks that survive non-maximum suppression of their boxes, best first.
fn kept(found: Vec<AutomaticMask>, scores: &[f32], threshold: f32) -> Vec<AutomaticMask> {
    let boxes: Vec<_> = found.iter().map(|mask| mask.bounds).collect();
    let mut found: Vec<_> = found.into_iter().map(Some).collect();
    let order = non_maximum_suppression(&boxes, scores, threshold);
    order.into_iter().filter_map(|index| found[index].take()).collect()
}

/// From the first to the last pixel of a mask; `corner`, as a box without extent, where it is empty.
fn pixel_bounds(mask: ArrayView2<'_, bool>, corner: (usize, usize)) -> BoundingBox {
    let (x, y) = (corner.0 as f32, corner.1 as f32);
    sam_prompt::bounding_box(mask).map_or(BoundingBox { x_min: x, y_min: y, x_max: x, y_max: y }, |exact| BoundingBox {
        x_min: exact.x_min + 0.5,
        y_min: exact.y_min + 0.5,
        x_max: exact.x_max - 0.5,
        y_max: exact.y_max - 0.5,
    })
}

/// Whether a mask ends at an edge of its crop that is no edge of the image.
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
