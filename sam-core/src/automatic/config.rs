//! Config of the automatic mask generator.

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

/// Config of the automatic mask generator.
///
/// The defaults are those of the official generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AutomaticConfig {
    /// Number of clicks along each side of the image.
    pub points_per_side: usize,
    /// Number of clicks whose masks are in memory at once; the predictor decodes up to 64 of them together.
    pub points_per_batch: usize,
    /// Masks with a lower predicted IoU are dropped; 0 keeps all.
    pub pred_iou_threshold: f32,
    /// Masks with a lower stability score are dropped; 0 keeps all.
    pub stability_threshold: f32,
    /// Offset of the threshold for the stability score, in logits.
    pub stability_offset: f32,
    /// Box IoU above which, of two masks of one crop, the one with the lower predicted IoU is dropped.
    pub box_nms_threshold: f32,
    /// Layers of crops in addition to the whole image; layer `i` has `2^i` crops along each side.
    pub crop_layers: usize,
    /// Box IoU above which, of two masks of different crops, the one of the larger crop is dropped.
    pub crop_nms_threshold: f32,
    /// Overlap of the crops of the first layer, as a fraction of the image's shorter side.
    pub crop_overlap: f64,
    /// Layer `i` has fewer clicks along a side by this factor to the power `i`, but at least one.
    pub crop_downscale: usize,
    /// Holes and islands of fewer pixels are filled or removed; 0 leaves masks unchanged.
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

/// Implements a `with_*` method for each field.
macro_rules! builders {
    ($($method:ident, $field:ident: $type:ty;)*) => {
        impl AutomaticConfig {
            $(
                #[doc = concat!("This config with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $method(self, $field: $type) -> Self {
                    Self { $field, ..self }
                }
            )*
        }
    };
}

builders! {
    with_points_per_side, points_per_side: usize;
    with_points_per_batch, points_per_batch: usize;
    with_pred_iou_threshold, pred_iou_threshold: f32;
    with_stability_threshold, stability_threshold: f32;
    with_stability_offset, stability_offset: f32;
    with_box_nms_threshold, box_nms_threshold: f32;
    with_crop_layers, crop_layers: usize;
    with_crop_nms_threshold, crop_nms_threshold: f32;
    with_crop_overlap, crop_overlap: f64;
    with_crop_downscale, crop_downscale: usize;
    with_min_region_area, min_region_area: usize;
}

impl AutomaticConfig {
    /// Validates all values.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_count("points_per_side", self.points_per_side)?;
        ConfigError::check_count("points_per_batch", self.points_per_batch)?;
        ConfigError::check_count("crop_downscale", self.crop_downscale)?;
        // With more layers, crops would have no pixels on any image that fits into memory.
        ConfigError::check(self.crop_layers <= 8, "crop_layers", || self.crop_layers.to_string(), "at most 8")?;
        let has_clicks = self.clicks_along(self.crop_layers) > 0;
        let expected = "a factor that leaves a click in every layer";
        ConfigError::check(has_clicks, "crop_downscale", || self.crop_downscale.to_string(), expected)?;
        let is_fraction = (0.0..1.0).contains(&self.crop_overlap);
        let expected = "a fraction from 0 to below 1";
        ConfigError::check(is_fraction, "crop_overlap", || self.crop_overlap.to_string(), expected)?;
        for (name, value) in [
            ("pred_iou_threshold", self.pred_iou_threshold),
            ("stability_threshold", self.stability_threshold),
            ("stability_offset", self.stability_offset),
            ("box_nms_threshold", self.box_nms_threshold),
            ("crop_nms_threshold", self.crop_nms_threshold),
        ] {
            ConfigError::check(!value.is_nan(), name, || value.to_string(), "a number")?;
        }
        Ok(())
    }

    /// Number of clicks along each side of a layer's crops.
    pub(super) fn clicks_along(&self, layer: usize) -> usize {
        (0..layer).fold(self.points_per_side, |clicks, _| clicks / self.crop_downscale)
    }
}
