//! Points anywhere in the region.

use ndarray::ArrayView2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{PointSampler, Pool};
use crate::{Label, Point, PromptError};

/// Draws every pixel of the region with equal probability: the paper's default scheme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
        Pool::of_region(region, label).draw(count, self.replacement, rng)
    }
}
