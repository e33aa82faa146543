//! Whole prompts drawn from an outline: points, boxes, or both.

use std::{fmt, str::FromStr};

use ndarray::{Array2, ArrayView2};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{BoxJitter, PointSampler, draw_points};
use crate::{BoundingBox, Label, PromptError, Prompts, bounding_box, component_boxes, component_masks};

/// The kind of prompts to draw.
///
/// The text form is `points-5`, `box` or `box+points-5`; `points:5` is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PromptKind {
    /// A number of points inside the object, and as many outside it unless [`PromptDraw::background`] is off.
    Points(usize),
    /// A box around each component.
    Box,
    /// A box around each component, and points as in [`PromptKind::Points`].
    BoxAndPoints(usize),
}

impl PromptKind {
    const fn has_box(self) -> bool {
        matches!(self, Self::Box | Self::BoxAndPoints(_))
    }

    /// Number of points of each label.
    const fn points(self) -> usize {
        match self {
            Self::Points(count) | Self::BoxAndPoints(count) => count,
            Self::Box => 0,
        }
    }
}

impl FromStr for PromptKind {
    type Err = PromptError;

    fn from_str(text: &str) -> Result<Self, PromptError> {
        let unknown = || PromptError::UnknownPromptKind { found: text.to_owned() };
        let Some((name, count)) = text.split_once([':', '-']) else {
            return if text == "box" { Ok(Self::Box) } else { Err(unknown()) };
        };
        let count = count.parse().ok().filter(|&count| count > 0).ok_or_else(unknown)?;
        match name {
            "points" => Ok(Self::Points(count)),
            "box+points" => Ok(Self::BoxAndPoints(count)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for PromptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Points(count) => write!(f, "points-{count}"),
            Self::Box => write!(f, "box"),
            Self::BoxAndPoints(count) => write!(f, "box+points-{count}"),
        }
    }
}

/// Draws random prompts from an outline, as a simulated annotator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptDraw {
    /// How inaccurate boxes are.
    pub jitter: BoxJitter,
    /// Whether as many points are drawn outside the object as inside it.
    pub background: bool,
    /// Components of fewer pixels get no box and no separate prompts, unless all components are that small.
    pub min_box_pixels: usize,
}

impl Default for PromptDraw {
    fn default() -> Self {
        Self { jitter: BoxJitter::default(), background: true, min_box_pixels: 10 }
    }
}

impl PromptDraw {
    /// Draws prompts of a kind from an outline.
    ///
    /// # Errors
    /// [`PromptError::EmptyRegion`] if the outline is empty, and those of the sampler.
    pub fn draw(
        &self,
        kind: PromptKind,
        outline: ArrayView2<'_, bool>,
        sampler: &dyn PointSampler,
        rng: &mut dyn Rng,
    ) -> Result<Prompts, PromptError> {
        let boxes = if kind.has_box() {
            let exact = self.each_component(|min_pixels| component_boxes(outline, min_pixels))?;
            self.jittered(&exact, outline.dim(), rng)?
        } else {
            Vec::new()
        };
        Ok(Prompts {
            points: draw_points(sampler, outline, kind.points(), self.background_points(kind), rng)?,
            boxes,
            ..Prompts::default()
        })
    }

    /// Draws prompts of a kind for each component of an outline separately, largest first, for the components that
    /// [`PromptDraw::draw`] gives boxes.
    ///
    /// The foreground points lie in that component, the background points outside the whole outline.
    ///
    /// # Errors
    /// As [`PromptDraw::draw`], for any of the components.
    pub fn draw_each(
        &self,
        kind: PromptKind,
        outline: ArrayView2<'_, bool>,
        sampler: &dyn PointSampler,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Prompts>, PromptError> {
        let outside = outline.mapv(|inside| !inside);
        let parts = self.each_component(|min_pixels| component_masks(outline, min_pixels))?;
        let prompts_of = |part: &Array2<bool>| {
            let exact = bounding_box(part.view()).filter(|_| kind.has_box());
            let boxes = self.jittered(exact.as_slice(), part.dim(), rng)?;
            let mut points = sampler.sample(part.view(), Label::Foreground, kind.points(), rng)?;
            points.extend(sampler.sample(outside.view(), Label::Background, self.background_points(kind), rng)?);
            Ok(Prompts { points, boxes, ..Prompts::default() })
        };
        parts.iter().map(prompts_of).collect()
    }

    const fn background_points(&self, kind: PromptKind) -> usize {
        if self.background { kind.points() } else { 0 }
    }

    /// The components that get prompts, largest first, as `find` gives those of at least some number of pixels.
    fn each_component<T>(&self, find: impl Fn(usize) -> Vec<T>) -> Result<Vec<T>, PromptError> {
        let mut found = find(self.min_box_pixels);
        if found.is_empty() {
            found = find(1);
        }
        if found.is_empty() {
            return Err(PromptError::EmptyRegion { requested: 1, label: Label::Foreground.name() });
        }
        Ok(found)
    }

    /// The boxes, each jittered, on an image of some height and width.
    fn jittered(
        &self,
        exact: &[BoundingBox],
        (height, width): (usize, usize),
        rng: &mut dyn Rng,
    ) -> Result<Vec<BoundingBox>, PromptError> {
        exact.iter().map(|&exact| self.jitter.apply(exact, height, width, rng)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in [PromptKind::Points(5), PromptKind::Box, PromptKind::BoxAndPoints(10)] {
            let text = kind.to_string();
            assert_eq!(text.parse(), Ok(kind));
            assert_eq!(text.replace('-', ":").parse(), Ok(kind));
        }
        for text in ["", "boxes", "box:2", "points", "points:", "points:0", "points:-1", "points:1:2", "Box"] {
            let found = text.parse::<PromptKind>();
            assert_eq!(found, Err(PromptError::UnknownPromptKind { found: text.to_owned() }));
        }
    }
}
