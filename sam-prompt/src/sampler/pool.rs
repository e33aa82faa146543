//! The pixels that a sampler draws from.

use ndarray::ArrayView2;
use rand::{Rng, RngExt, seq::index};

use crate::{Label, Point, PromptError};

/// Pixels that points of one label are drawn from.
pub(super) struct Pool {
    /// Row and column of each pixel, all different.
    pub(super) pixels: Vec<(usize, usize)>,
    /// Name of the area of these pixels, for messages.
    pub(super) place: &'static str,
    /// The label of the drawn points.
    pub(super) label: Label,
}

impl Pool {
    /// All pixels of a region, in scan order.
    pub(super) fn of_region(region: ArrayView2<'_, bool>, label: Label) -> Self {
        let inside = region.indexed_iter().filter(|&(_, &inside)| inside);
        Self { pixels: inside.map(|(pixel, _)| pixel).collect(), place: "region", label }
    }

    /// Whether `count` points can be drawn.
    ///
    /// # Errors
    /// [`PromptError::EmptyRegion`] if there is no pixel for them, [`PromptError::TooFewPixels`] if each pixel can be drawn only
    /// once and there are fewer.
    pub(super) fn check(&self, count: usize, replacement: bool) -> Result<(), PromptError> {
        let (label, available) = (self.label.name(), self.pixels.len());
        if count > 0 && available == 0 {
            return Err(PromptError::EmptyRegion { requested: count, label });
        }
        if count > available && !replacement {
            return Err(PromptError::TooFewPixels { requested: count, label, place: self.place, available });
        }
        Ok(())
    }

    /// Draws `count` points, every pixel with equal probability.
    ///
    /// # Errors
    /// As [`Pool::check`].
    pub(super) fn draw(&self, count: usize, replacement: bool, rng: &mut dyn Rng) -> Result<Vec<Point>, PromptError> {
        self.check(count, replacement)?;
        let point = |chosen: usize| Point::on_pixel(self.pixels[chosen], self.label);
        Ok(if replacement {
            (0..count).map(|_| point(rng.random_range(0..self.pixels.len()))).collect()
        } else {
            index::sample(rng, self.pixels.len(), count).into_iter().map(point).collect()
        })
    }
}
