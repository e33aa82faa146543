//! The pixels along the region's edge.

use ndarray::ArrayView2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{PointSampler, Pool};
use crate::{
    Label, Point, PromptError,
    distance::{Beyond, squared_distances},
};

/// Draws every pixel of a band along the region's contour with equal probability: clicks where the outline is decided.
///
/// The band holds the pixels of the region that lie at most `width` from a pixel of the image outside it. The image's border is no
/// contour, for nothing is decided there: neither where it cuts through the object nor around the background. Only a region that
/// fills the image has its band along the border.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Boundary {
    /// How far into the region the band reaches, in pixels; at least 1, which is the region's outermost pixels.
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
    /// As the trait says of the region, here of the band, and [`PromptError::InvalidRange`] if the width is less than 1 or not
    /// finite.
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
        let beyond = if band.pixels.len() == region.len() { Beyond::Outside } else { Beyond::Unknown };
        let distances = squared_distances(region, beyond);
        band.pixels.retain(|&pixel| (distances[pixel] as f32).sqrt() <= self.width);
        band.place = "boundary band";
        band.draw(count, self.replacement, rng)
    }
}
