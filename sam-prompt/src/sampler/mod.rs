//! Prompts drawn from a mask, as the paper simulates them for training (section 3.2.1).

mod boundary;
mod center;
mod correction;
mod draw;
mod jitter;
mod pool;
mod scheme;
mod uniform;

use std::fmt::Debug;

use ndarray::ArrayView2;
use rand::Rng;

pub use boundary::Boundary;
pub use center::Center;
pub use correction::{CorrectionClick, Placement};
pub use draw::{PromptDraw, PromptKind};
pub use jitter::{BoxJitter, JitterRange};
pub use scheme::{Replacement, SamplingScheme};
pub use uniform::Uniform;

use self::pool::Pool;
use crate::{Label, Point, PromptError};

/// Chooses pixels of a region to click on.
///
/// The trait is object-safe, so that the sampler can be chosen at run time; samplers can be shared between threads. All randomness
/// comes from the generator that is passed in: the same seed gives the same points.
pub trait PointSampler: Debug + Send + Sync {
    /// Draws `count` points with the given label from the pixels where `region` is true.
    ///
    /// # Shapes
    /// - region: `[rows, columns]`
    ///
    /// # Units
    /// The points are pixel centres.
    ///
    /// # Errors
    /// [`PromptError::EmptyRegion`] if points are requested but the region has no pixel; [`PromptError::TooFewPixels`] if the sampler
    /// draws without replacement and the region has fewer pixels than requested.
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
