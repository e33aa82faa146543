//! Points deep inside the region.

use std::cmp::Reverse;

use ndarray::ArrayView2;
use rand::{Rng, seq::IteratorRandom};
use serde::{Deserialize, Serialize};

use super::{PointSampler, Pool};
use crate::{
    Label, Point, PromptError,
    distance::{Border, squared_distances},
    mask::components,
};

/// Draws the innermost pixels of the region, where a careful annotator clicks.
///
/// The points are dealt in rounds to the region's 8-connected components: the largest component first, of equally large ones the deepest. A
/// component is skipped when all its pixels are drawn. Within a component, each point is the pixel that is farthest from everything outside
/// the region, including the image's border, and from the component's earlier points. So the first point is the peak of the
/// [`distance_transform`](crate::distance_transform), and later points are deep inside and far apart. The random generator breaks ties.
///
/// The time is proportional to the count times the region's pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Center {
    /// Whether a pixel may be drawn twice: once all are drawn, the rounds start over. Without replacement (the default), a region
    /// smaller than the count is an error.
    pub replacement: bool,
}

impl PointSampler for Center {
    fn sample(
        &self,
        region: ArrayView2<'_, bool>,
        label: Label,
        count: usize,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Point>, PromptError> {
        let pool = Pool::of_region(region, label);
        pool.check(count, self.replacement)?;
        let whole = parts(region, &pool.pixels);
        let mut left = Vec::new();
        let mut points = Vec::with_capacity(count);
        while points.len() < count {
            if left.is_empty() {
                left.clone_from(&whole);
            }
            let round = left.iter_mut().take(count - points.len());
            points.extend(round.filter_map(|part| part.take_innermost(rng)).map(|pixel| Point::on_pixel(pixel, label)));
            left.retain(|part| !part.candidates.is_empty());
        }
        Ok(points)
    }
}

/// The pixels of a component that are not drawn yet.
#[derive(Clone, Default)]
struct Part {
    candidates: Vec<Candidate>,
}

/// A pixel and its squared distance to the nearest outside pixel or earlier point.
#[derive(Clone, Copy)]
struct Candidate {
    pixel: (usize, usize),
    clearance: i64,
}

impl Part {
    /// The largest clearance; `None` if there are no candidates.
    fn depth(&self) -> Option<i64> {
        self.candidates.iter().map(|candidate| candidate.clearance).max()
    }

    /// Takes a candidate of the largest clearance and updates the clearance of the others.
    fn take_innermost(&mut self, rng: &mut dyn Rng) -> Option<(usize, usize)> {
        let depth = self.depth()?;
        let peaks = (0..self.candidates.len()).filter(|&at| self.candidates[at].clearance == depth);
        let Candidate { pixel, .. } = self.candidates.remove(peaks.choose(rng)?);
        for other in &mut self.candidates {
            let (down, right) = (other.pixel.0.abs_diff(pixel.0), other.pixel.1.abs_diff(pixel.1));
            other.clearance = other.clearance.min((down.pow(2) + right.pow(2)) as i64);
        }
        Some(pixel)
    }
}

/// The components of a region, largest and then deepest first.
fn parts(region: ArrayView2<'_, bool>, pixels: &[(usize, usize)]) -> Vec<Part> {
    let (labels, count) = components(region);
    let squared = squared_distances(region, Border::Outside);
    let mut parts = vec![Part::default(); count];
    for &pixel in pixels {
        parts[labels[pixel] as usize - 1].candidates.push(Candidate { pixel, clearance: squared[pixel] });
    }
    parts.sort_by_cached_key(|part| Reverse((part.candidates.len(), part.depth())));
    parts
}
