//! The shape between outlines, without the image: what a person expects where they did not look.

mod curve;
mod ends;
mod field;
mod generator;
mod matching;
mod outline;
mod presence;
mod strand;

use std::collections::BTreeMap;

use ndarray::Array2;
use sam_prompt::{ConfigError, PixelAspect, is_mask_empty};
use serde::{Deserialize, Serialize};

use self::{
    curve::Knots,
    ends::End,
    outline::{Outline, Part},
    strand::{Side, Strand, strands},
};
pub use self::{
    ends::mean_gap,
    generator::ShapeGenerator,
    presence::{Presence, WithinOutlines},
};
use crate::AutoError;

/// Least width of an edge, in pixels of the area 1: what a pixel's size hides.
pub(crate) const LEAST_WIDTH: f32 = 0.5;

/// Configuration of the shape between outlines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ShapeConfig {
    /// How far the structure goes on beyond the outermost outline: at most this share of the mean gap between outlines, and at least one
    /// slice.
    pub reach: f32,
    /// At least so many slices, however near to each other the outlines are. In a session, later rounds have nearer outlines, and go on as far
    /// as the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_reach: f32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

sam_assist::__setters!(ShapeConfig {
    with_reach => reach: f32,
    with_min_reach => min_reach: f32,
});

impl Default for ShapeConfig {
    fn default() -> Self {
        Self { reach: 0.5, min_reach: 0.0 }
    }
}

impl ShapeConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_not_negative("shape.reach", f64::from(self.reach))?;
        ConfigError::check_not_negative("shape.min_reach", f64::from(self.min_reach))
    }

    /// The shape between these outlines, by slice. `aspect` is that of their pixels: see
    /// [`SliceSource::pixel_aspect`](sam_core::SliceSource::pixel_aspect).
    ///
    /// # Shapes
    /// - outlines: `[rows, columns]`, all alike
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no outline has a pixel; [`AutoError::NotAVolume`] if they differ in size.
    pub fn fit(&self, outlines: &BTreeMap<usize, Array2<bool>>, aspect: PixelAspect) -> Result<ShapePrior, AutoError> {
        self.check()?;
        let shown = outlines.values().find(|mask| !is_mask_empty(mask.view())).ok_or(AutoError::NothingAnnotated)?;
        let expected = shown.dim();
        if let Some((&index, mask)) = outlines.iter().find(|(_, mask)| mask.dim() != expected) {
            return Err(AutoError::NotAVolume { index, found: expected, expected: mask.dim() });
        }
        let outlines: Vec<_> = outlines.iter().map(|(&slice, mask)| Outline::new(slice, mask.view(), aspect)).collect();
        let step = edge_step(&outlines);
        Ok(ShapePrior { gaps: strands(&outlines, aspect), outlines, step, config: *self })
    }
}

/// The shape of a structure between its outlines, and a little beyond them.
///
/// Components of neighbouring outlines are matched. The centroid of a component that is matched with one other follows a smooth curve through
/// its outlines, and so do its extent and its signed distances around the centroid. Where components split or merge, the distances follow such
/// curves in their place. A component without a partner ends halfway to the next outline. Beyond the outermost outlines, the area follows
/// its trend.
///
/// Outlines are returned exactly. A slice that a person marked as empty counts as an outline without components.
#[derive(Debug, Clone)]
pub struct ShapePrior {
    /// In the order of their slices.
    outlines: Vec<Outline>,
    /// The strands between each outline and the next.
    gaps: Vec<Vec<Strand>>,
    /// How far the edge moves from one slice to the next, in pixels of the area 1.
    step: f32,
    config: ShapeConfig,
}

/// The shape on a slice.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PriorSlice {
    /// Signed distance to the expected edge, in pixels of the area 1 ([`PixelAspect`]): positive inside. `[rows, columns]`.
    pub signed: Array2<f32>,
    /// Standard deviation of the edge, in pixels of the area 1: 0 on outlined slices, elsewhere at least 0.5. The edge moves at random from slice
    /// to slice, by the mean radius of the outlines over all slices from the first outline to the last, so neither the size of a pixel nor the
    /// distance of the slices matters. Between outlines this is a Brownian bridge.
    pub width: f32,
    /// Whether the slice lies between outlines, and not beyond the outermost one.
    pub is_between: bool,
}

impl PriorSlice {
    /// The expected mask.
    pub fn mask(&self) -> Array2<bool> {
        self.signed.mapv(|distance| distance > 0.0)
    }
}

impl ShapePrior {
    /// The shape between these outlines, by slice, with the default configuration and square pixels.
    ///
    /// # Errors
    /// As [`ShapeConfig::fit`].
    pub fn new(outlines: &BTreeMap<usize, Array2<bool>>) -> Result<Self, AutoError> {
        ShapeConfig::default().fit(outlines, PixelAspect::SQUARE)
    }

    /// The shape on a slice. `None` beyond the outlines where the structure is not expected: farther than half the mean gap between
    /// outlines, or where the trend of the area has reached 0.
    pub fn slice(&self, slice: usize) -> Option<PriorSlice> {
        let upper = self.outlines.partition_point(|outline| outline.slice <= slice);
        let lower = upper.checked_sub(1);
        if let Some(outline) = lower.map(|lower| &self.outlines[lower]).filter(|outline| outline.slice == slice) {
            return Some(PriorSlice { signed: outline.signed.clone(), width: 0.0, is_between: true });
        }
        match lower {
            Some(lower) if upper < self.outlines.len() => Some(self.between(lower, slice)),
            _ => self.beyond(slice).map(|end| PriorSlice {
                signed: end.signed(),
                width: self.step_width(end.distance()),
                is_between: false,
            }),
        }
    }

    /// The mean radius of the outlines with the structure: that of a disc of the same area, in pixels of the area 1.
    pub(crate) fn radius(&self) -> f32 {
        mean_radius(&self.outlines)
    }

    /// The median width of the edge on the slices where the structure is expected and nobody outlined it; 0 if there are none. A volume has
    /// `count` slices.
    pub(crate) fn usual_width(&self, count: usize) -> f32 {
        let widths = (0..count).filter(|slice| self.outlines.iter().all(|outline| outline.slice != *slice));
        let mut widths: Vec<_> = widths.filter_map(|slice| self.width(slice)).collect();
        widths.sort_unstable_by(f32::total_cmp);
        match widths.len() {
            0 => 0.0,
            count => f32::midpoint(widths[(count - 1) / 2], widths[count / 2]),
        }
    }

    /// The width of the edge on a slice; `None` where the structure is not expected.
    fn width(&self, slice: usize) -> Option<f32> {
        let upper = self.outlines.partition_point(|outline| outline.slice <= slice);
        match upper.checked_sub(1) {
            Some(lower) if upper < self.outlines.len() => Some(self.bridge(lower, slice)),
            _ => self.beyond(slice).map(|end| self.step_width(end.distance())),
        }
    }

    /// The standard deviation of a Brownian bridge between two outlines.
    fn bridge(&self, lower: usize, slice: usize) -> f32 {
        let (low, high) = (self.outlines[lower].slice, self.outlines[lower + 1].slice);
        let (below, above) = ((slice - low) as f32, (high - slice) as f32);
        self.step_width(below * above / (below + above))
    }

    /// The standard deviation of an edge that has moved at random for this many slices.
    fn step_width(&self, slices: f32) -> f32 {
        (self.step * slices.sqrt()).max(LEAST_WIDTH)
    }

    /// The shape in the gap above an outline.
    fn between(&self, lower: usize, slice: usize) -> PriorSlice {
        let (low, high) = (&self.outlines[lower], &self.outlines[lower + 1]);
        let (below, above) = ((slice - low.slice) as f32, (high.slice - slice) as f32);
        let gap = below + above;
        let part = below / gap;
        let strands = &self.gaps[lower];
        // Without a strand, both outlines are empty.
        let outside = if strands.is_empty() {
            low.signed.clone()
        } else {
            Array2::from_elem(low.signed.dim(), f32::NEG_INFINITY)
        };
        let signed = strands.iter().fold(outside, |mut signed, strand| {
            let found = match strand {
                Strand::Through { lower: low, upper: high } => self.through(lower, (low, high), part),
                Strand::Ends(side) => side.fading(part),
                Strand::Begins(side) => side.fading(1.0 - part),
            };
            signed.zip_mut_with(&found, |deepest, &distance| *deepest = deepest.max(distance));
            signed
        });
        PriorSlice { signed, width: self.bridge(lower, slice), is_between: true }
    }

    /// The distances of a strand that goes through the gap: its centroid, its extent and its distances around the centroid follow curves.
    fn through(&self, lower: usize, (low, high): (&Side, &Side), part: f32) -> Array2<f32> {
        let gap = |first: usize| (self.outlines[first + 1].slice - self.outlines[first].slice) as f32;
        let before = lower.checked_sub(1);
        let before = before.and_then(|gap| Some((gap, self.gaps[gap].iter().find_map(|strand| strand.before(low))?)));
        let after = self.gaps.get(lower + 1).and_then(|gap| gap.iter().find_map(|strand| strand.after(high)));
        let knots = Knots {
            gap: gap(lower),
            before: before.map(|(before, _)| gap(before)),
            after: after.map(|_| gap(lower + 1)),
        };
        let before = before.map(|(_, side)| side);
        let along = |axis: fn(&Part) -> f32| {
            let of = |side: &Side| axis(side.part());
            knots.at(part, before.map(of), of(low), of(high), after.map(of))
        };
        let centroid = (along(|part| part.centroid.0), along(|part| part.centroid.1));
        let spread = |axis: fn(&Part) -> f32| along(axis).max(0.5 * axis(low.part()).min(axis(high.part())));
        let spread = (spread(|part| part.spread.0), spread(|part| part.spread.1));
        let moved = |side: &Side| {
            // Where components split or merge, the centroid of all of them says little.
            if low.branches_to(high) {
                return side.field.in_place().to_owned();
            }
            let part = side.part();
            side.field.placed(part.centroid, centroid, (spread.0 / part.spread.0, spread.1 / part.spread.1))
        };
        let (before, after) = (before.map(moved), after.map(moved));
        let (low, high) = (moved(low), moved(high));
        Array2::from_shape_fn(low.dim(), |at| {
            let beyond = |field: &Option<Array2<f32>>| field.as_ref().map(|field| field[at]);
            knots.at(part, beyond(&before), low[at], high[at], beyond(&after))
        })
    }

    /// What is expected of a slice beyond the outermost outlines.
    fn beyond(&self, slice: usize) -> Option<End<'_>> {
        ends::expected(&self.outlines, slice, self.config)
    }
}

/// How far the edge moves from one slice to the next, in pixels of the area 1: so far that it has moved by the mean radius of the outlines over
/// all slices from the first outline to the last. Measured in a prototype with 2, 3 and 5 outlines of 13 structures, the fusion gains from it
/// over a step of one pixel (mean Dice between the outlines .6195, .8711 and .9413 after .6126, .8679 and .9399).
fn edge_step(outlines: &[Outline]) -> f32 {
    let mut shown = outlines.iter().filter(|outline| !outline.is_empty()).map(|outline| outline.slice);
    let span = shown.next().zip(shown.next_back()).map_or(1, |(first, last)| last - first);
    mean_radius(outlines) / (span as f32).sqrt()
}

/// The mean radius of the outlines with the structure; 0 without any.
fn mean_radius(outlines: &[Outline]) -> f32 {
    let shown: Vec<_> = outlines.iter().filter(|outline| !outline.is_empty()).map(Outline::radius).collect();
    shown.iter().sum::<f32>() / (shown.len() as f32).max(1.0)
}

#[cfg(test)]
mod aspect_tests;
#[cfg(test)]
mod tests;
