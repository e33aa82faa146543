//! Every pixel of the region alike.

use ndarray::ArrayView2;
use rand::{Rng, RngExt, seq::index};
use serde::{Deserialize, Serialize};

use super::PointSampler;
use crate::{Label, Point, PromptError};

/// Draws every pixel of the region with equal probability: the paper's default scheme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uniform {
    /// Whether a pixel may be drawn twice. Without replacement (the default), a region smaller than the count is an error.
    pub replacement: bool,
}

impl PointSampler for Uniform {
    fn sample(
        &self,
        region: ArrayView2<'_, bool>,
        label: Label,
        count: usize,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Point>, PromptError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let pixels: Vec<(usize, usize)> =
            region.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel).collect();
        if pixels.is_empty() {
            return Err(PromptError::EmptyRegion { requested: count, label: label.name() });
        }
        let point = |(row, column): (usize, usize)| Point { x: column as f32, y: row as f32, label };
        if self.replacement {
            return Ok((0..count).map(|_| point(pixels[rng.random_range(0..pixels.len())])).collect());
        }
        if count > pixels.len() {
            return Err(PromptError::TooFewPixels { requested: count, label: label.name(), available: pixels.len() });
        }
        Ok(index::sample(rng, pixels.len(), count).into_iter().map(|chosen| point(pixels[chosen])).collect())
    }
}
