//! Whole prompts drawn from an outline: points, boxes, or both.

use std::{fmt, slice};

use ndarray::{Array2, ArrayView2};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{BoxJitter, PointSampler, draw_points};
use crate::{BoundingBox, Label, PromptError, Prompts, bounding_box, component_masks};

/// Which prompts are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// Points on the object, and as many beside it unless [`PromptDraw::background`] is off.
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

    /// How many points of each label.
    const fn points(self) -> usize {
        match self {
            Self::Points(count) | Self::BoxAndPoints(count) => count,
            Self::Box => 0,
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

/// How prompts are simulated from an outline: what a person would click, drawn at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptDraw {
    /// How far boxes are off.
    pub jitter: BoxJitter,
    /// Whether as many points are drawn beside the object as on it.
    pub background: bool,
    /// Components of fewer pixels get no box and no prompts of their own, unless all are that small.
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
    /// [`PromptError::EmptyRegion`] if the outline is empty, or [`PromptError::TooFewPixels`] as the sampler says.
    pub fn draw(
        &self,
        kind: PromptKind,
        outline: ArrayView2<'_, bool>,
        sampler: &dyn PointSampler,
        rng: &mut dyn Rng,
    ) -> Result<Prompts, PromptError> {
        let boxes = if kind.has_box() { self.boxes(&self.parts(outline)?, rng)? } else { Vec::new() };
        Ok(Prompts {
            points: draw_points(sampler, outline, kind.points(), self.background_points(kind), rng)?,
            boxes,
            ..Prompts::default()
        })
    }

    /// Draws prompts of a kind for each component of an outline alone, largest first: the components that [`PromptDraw::draw`]
    /// gives boxes.
    ///
    /// The foreground points lie in that component, the background points beside the whole outline.
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
        let beside = outline.mapv(|inside| !inside);
        let prompts_of = |part: &Array2<bool>| {
            let boxes = if kind.has_box() { self.boxes(slice::from_ref(part), rng)? } else { Vec::new() };
            let mut points = sampler.sample(part.view(), Label::Foreground, kind.points(), rng)?;
            points.extend(sampler.sample(beside.view(), Label::Background, self.background_points(kind), rng)?);
            Ok(Prompts { points, boxes, ..Prompts::default() })
        };
        self.parts(outline)?.iter().map(prompts_of).collect()
    }

    const fn background_points(&self, kind: PromptKind) -> usize {
        if self.background { kind.points() } else { 0 }
    }

    /// The components that prompts speak of, largest first.
    fn parts(&self, outline: ArrayView2<'_, bool>) -> Result<Vec<Array2<bool>>, PromptError> {
        let mut parts = component_masks(outline, self.min_box_pixels);
        if parts.is_empty() {
            parts = component_masks(outline, 1);
        }
        if parts.is_empty() {
            return Err(PromptError::EmptyRegion { requested: 1, label: Label::Foreground.name() });
        }
        Ok(parts)
    }

    /// A jittered box around each component.
    fn boxes(&self, parts: &[Array2<bool>], rng: &mut dyn Rng) -> Result<Vec<BoundingBox>, PromptError> {
        parts
            .iter()
            .filter_map(|part| bounding_box(part.view()).map(|exact| (exact, part.dim())))
            .map(|(exact, (height, width))| self.jitter.apply(exact, height, width, rng))
            .collect()
    }
}
