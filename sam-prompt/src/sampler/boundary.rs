//! Points along the contour of the region.

use ndarray::ArrayView2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{PointSampler, Pool};
use crate::{
    Label, Point, PromptError,
    distance::{Border, squared_distances},
};

/// Draws pixels of a band along the region's contour, each with equal probability.
///
/// The band holds the pixels of the region that are at most `width` from a pixel of the image outside the region. The image's border is not
/// part of the contour, neither where it cuts the object nor around the background. Only if the region fills the image, the band is along
/// the border.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Boundary {
    /// Width of the band in pixels; at least 1, which is the region's outermost pixels.
    pub width: f32,
    /// Whether a pixel may be drawn twice. Without replacement (the default), a band smaller than the count is an error.
    pub replacement: bool,
}

impl Default for Boundary {
    fn default() -> Self {
        Self { width: 2.0, replacement: false }
    }
}

impl PointSampler for Boundary {
    /// Draws `count` points from the band.
    ///
    /// # Errors
    /// Those of [`PointSampler::sample`], for the band instead of the region, and [`PromptError::InvalidRange`] if the width is less
    /// than 1 or not finite.
    fn sample(
        &self,
        region: ArrayView2<'_, bool>,
        label: Label,
        count: usize,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Point>, PromptError> {
        if !(self.width.is_finite() && self.width >= 1.0) {
            return Err(PromptError::InvalidRange { name: "boundary width", least: 1.0, value: self.width });
        }
        let mut band = Pool::of_region(region, label);
        let border = if band.pixels.len() == region.len() { Border::Outside } else { Border::Ignored };
        let distances = squared_distances(region, border);
        band.pixels.retain(|&pixel| (distances[pixel] as f32).sqrt() <= self.width);
        band.place = "boundary band";
        band.draw(count, self.replacement, rng)
    }
}
