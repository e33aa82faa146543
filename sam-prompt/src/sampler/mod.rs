//! Prompts drawn from a mask, as the paper simulates them for learning (section 3.2.1).

mod boundary;
mod center;
mod correction;
mod draw;
mod jitter;
mod pool;
mod scheme;
mod uniform;

use ndarray::ArrayView2;
use rand::Rng;

pub use boundary::Boundary;
pub use center::Center;
pub use correction::{CorrectionClick, Placement};
pub use draw::{PromptDraw, PromptKind};
pub use jitter::{BoxJitter, JitterRange};
pub use scheme::SamplingScheme;
pub use uniform::Uniform;

use self::pool::Pool;
use crate::{Label, Point, PromptError};

/// A way of choosing pixels of a region to click on.
///
/// Object-safe, so that the scheme can be chosen at run time. All randomness comes from the generator that is passed in: the same
/// seed gives the same points.
pub trait PointSampler {
    /// Draws `count` points with the given label from the pixels where `region` is true.
    ///
    /// Shapes: region `[rows, columns]`. Units: the points are pixel centres.
    ///
    /// # Errors
    /// [`PromptError::EmptyRegion`] if points are asked of a region without pixels; [`PromptError::TooFewPixels`] if the scheme
    /// draws without replacement and the region is too small.
    fn sample(
        &self,
        region: ArrayView2<'_, bool>,
        label: Label,
        count: usize,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Point>, PromptError>;
}

/// Draws `foreground` points inside a mask and `background` points outside it, in this order.
///
/// # Errors
/// As [`PointSampler::sample`].
pub fn draw_points(
    sampler: &dyn PointSampler,
    mask: ArrayView2<'_, bool>,
    foreground: usize,
    background: usize,
    rng: &mut dyn Rng,
) -> Result<Vec<Point>, PromptError> {
    let mut points = sampler.sample(mask, Label::Foreground, foreground, rng)?;
    if background > 0 {
        let outside = mask.mapv(|inside| !inside);
        points.extend(sampler.sample(outside.view(), Label::Background, background, rng)?);
    }
    Ok(points)
}
