//! The shape beyond the outermost outlines.

use ndarray::Array2;

use super::{ShapeConfig, outline::Outline};

/// What is expected of a slice beyond the outermost outlines.
pub(super) struct End<'a> {
    /// The outermost outline on the slice's side.
    outline: &'a Outline,
    /// Its distance, in slices.
    distance: f32,
    /// Number of pixels, by the trend of the outermost two outlines: above 0.
    area: f32,
}

/// What is expected of a slice beyond the outermost outlines. `None` where the structure is not expected.
pub(super) fn expected(outlines: &[Outline], slice: usize, config: ShapeConfig) -> Option<End<'_>> {
    let (first, last) = (outlines.first()?, outlines.last()?);
    let (end, inner) = if slice < first.slice {
        (first, outlines.get(1))
    } else {
        (last, outlines.len().checked_sub(2).map(|inner| &outlines[inner]))
    };
    if end.is_empty() {
        return None;
    }
    let distance = end.slice.abs_diff(slice) as f32;
    let shown = outlines.iter().filter(|outline| !outline.is_empty()).map(|outline| outline.slice);
    if distance > (config.reach * mean_gap(shown)).max(config.min_reach).max(1.0) {
        return None;
    }
    let trend = inner.map_or(0.0, |inner| {
        let step = end.slice.abs_diff(inner.slice) as f32;
        ((end.area as f32 - inner.area as f32) / step).min(0.0)
    });
    let area = end.area as f32 + trend * distance;
    (area > 0.0).then_some(End { outline: end, distance, area })
}

impl End<'_> {
    /// Its distance from the outermost outline, in slices.
    pub(super) fn distance(&self) -> f32 {
        self.distance
    }

    /// The distances to the edge of the outermost outline, shrunk to the expected area.
    pub(super) fn signed(&self) -> Array2<f32> {
        let shrunk = depth_of(self.outline, (self.area.round() as usize).max(1));
        self.outline.signed.mapv(|distance| distance - shrunk)
    }
}

/// The mean gap between slices that show a structure, from the first to the last; 0 if there are fewer than two. [`ShapeConfig::reach`] is a
/// share of it.
pub fn mean_gap(shown: impl IntoIterator<Item = usize>) -> f32 {
    let (mut first, mut last, mut count) = (usize::MAX, 0, 0);
    for slice in shown {
        (first, last, count) = (first.min(slice), last.max(slice), count + 1);
    }
    if count > 1 { (last - first) as f32 / (count - 1) as f32 } else { 0.0 }
}

/// The depth below which an outline has about this many pixels. Pixels of one depth go together, since a disc's outermost ring has one.
fn depth_of(outline: &Outline, area: usize) -> f32 {
    if area >= outline.area {
        return 0.0;
    }
    let mut depths: Vec<f32> = outline.signed.iter().copied().filter(|&depth| depth > 0.0).collect();
    depths.sort_unstable_by(|first, second| second.total_cmp(first));
    let goes = depths[area];
    // The pixels of this depth are from `deeper` to `shallower`.
    let deeper = depths.partition_point(|&depth| depth > goes);
    let shallower = depths.partition_point(|&depth| depth >= goes);
    let keeps = deeper == 0 || shallower - area < area - deeper;
    let next = |place: usize| depths.get(place).copied().unwrap_or(0.0);
    if keeps { f32::midpoint(goes, next(shallower)) } else { f32::midpoint(next(deeper - 1), goes) }
}
