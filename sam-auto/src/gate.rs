//! Whether the object is on a slice at all: what keeps generators from prompting where there is nothing.

use burn::tensor::{backend::Backend, module::adaptive_avg_pool2d};
use sam_core::ImageEmbedding;
use sam_prompt::Prompts;
use serde::{Deserialize, Serialize};

use crate::{AutoError, PromptGenerator, SliceContext, SupportSlice};

/// Every number of a [`Gate`]. The paper has none: it names false positives as its open problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// The knob: a slice passes if its score lies above this. Higher: fewer false positives, and more of the object is missed. Scores
    /// lie between about -2 and 2; at 0, a slice looks as much like those with the object as like those without. The default
    /// lies below that: a missed slice is worse than one that is marked in vain.
    pub threshold: f32,
    /// What the score loses for each extent of the outlined slices that a slice lies outside of them. 0 for images in no order.
    pub distance_weight: f32,
    /// Outlined slices that span fewer slices than this are taken to span so many: of few slices, the extent is not known.
    pub least_extent: usize,
    /// A slice is described by the mean features of so many rows and columns of fields.
    pub fields: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { threshold: -0.2, distance_weight: 0.4, least_extent: 8, fields: 4 }
    }
}

impl GateConfig {
    /// For a set of images in no order: no image lies nearer to the annotated ones than another.
    pub fn unordered() -> Self {
        Self { distance_weight: 0.0, ..Self::default() }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        let threshold = self.threshold;
        AutoError::check(!threshold.is_nan(), "gate.threshold", || threshold.to_string(), "a number")?;
        let weight = self.distance_weight;
        let is_weight = weight.is_finite() && weight >= 0.0;
        AutoError::check(is_weight, "gate.distance_weight", || weight.to_string(), "a finite number of at least 0")?;
        AutoError::check(self.least_extent > 0, "gate.least_extent", || "0".to_owned(), "at least 1 slice")?;
        AutoError::check(self.fields > 0, "gate.fields", || "0".to_owned(), "at least 1")
    }

    /// Learns what slices with the object, and without it, look like. Slices annotated as empty help much; without any, a slice must
    /// look more like one with the object than like their mean.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no slice shows the object.
    pub fn fit<B: Backend>(&self, annotated: &[SupportSlice<B>]) -> Result<Gate, AutoError> {
        self.check()?;
        let places: Vec<_> = annotated.iter().filter(|slice| slice.pixels() > 0).map(SupportSlice::index).collect();
        let (Some(&first), Some(&last)) = (places.iter().min(), places.iter().max()) else {
            return Err(AutoError::NothingAnnotated);
        };
        let described: Vec<_> = annotated.iter().map(|slice| describe(slice.embedding(), self.fields)).collect();
        let mut centre = vec![0.0; described[0].len()];
        // One slice alone would be its own centre, and nothing be like it.
        if described.len() > 1 {
            for description in &described {
                centre.iter_mut().zip(description).for_each(|(sum, value)| *sum += value / described.len() as f32);
            }
        }
        let mut gate = Gate { config: self.clone(), first, last, centre, shown: Vec::new(), empty: Vec::new() };
        for (slice, description) in annotated.iter().zip(described) {
            let direction = gate.direction(description);
            let known = if slice.pixels() > 0 { &mut gate.shown } else { &mut gate.empty };
            known.push(direction);
        }
        Ok(gate)
    }
}

/// Decides for each slice whether the object is there, by what the whole slice looks like and where in the volume it lies.
///
/// A slice is described by SAM's features, averaged over a few fields: neighbours in a scan look alike, and slices through other
/// organs do not. Its score is the cosine similarity to the likest annotated slice with the object, less that to the likest one
/// without, less a penalty for lying outside of the outlined slices. It composes with any generator: see [`Gated`].
#[derive(Debug, Clone)]
pub struct Gate {
    config: GateConfig,
    /// The outermost outlined slices.
    first: usize,
    last: usize,
    /// The mean description, from which all directions start.
    centre: Vec<f32>,
    /// Unit vectors.
    shown: Vec<Vec<f32>>,
    empty: Vec<Vec<f32>>,
}

impl Gate {
    /// How much a slice is like those with the object: above the threshold, it passes.
    pub fn score<B: Backend>(&self, index: usize, embedding: &ImageEmbedding<B>) -> f32 {
        let direction = self.direction(describe(embedding, self.config.fields));
        let likest = |known: &[Vec<f32>]| {
            let cosines = known.iter().map(|other| other.iter().zip(&direction).map(|(a, b)| a * b).sum::<f32>());
            cosines.reduce(f32::max).unwrap_or(0.0)
        };
        likest(&self.shown) - likest(&self.empty) - self.config.distance_weight * self.distance(index)
    }

    /// Whether the object is on a slice.
    pub fn passes<B: Backend>(&self, index: usize, embedding: &ImageEmbedding<B>) -> bool {
        self.score(index, embedding) > self.config.threshold
    }

    /// How far a slice lies outside of the outlined ones, in extents of theirs.
    fn distance(&self, index: usize) -> f32 {
        let outside = self.first.saturating_sub(index).max(index.saturating_sub(self.last));
        outside as f32 / (self.last - self.first).max(self.config.least_extent) as f32
    }

    /// The unit vector from the centre to a description; nothing, if it is the centre.
    fn direction(&self, mut description: Vec<f32>) -> Vec<f32> {
        description.iter_mut().zip(&self.centre).for_each(|(value, centre)| *value -= centre);
        let length = description.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            for value in &mut description {
                *value /= length;
            }
        }
        description
    }
}

/// Mean features of each field.
fn describe<B: Backend>(embedding: &ImageEmbedding<B>, fields: usize) -> Vec<f32> {
    let [.., height, width] = embedding.features.dims();
    let size = [fields.min(height), fields.min(width)];
    adaptive_avg_pool2d(embedding.features.clone(), size).into_data().iter::<f32>().collect()
}

/// A generator that is asked only about slices that pass a gate.
#[derive(Debug, Clone)]
pub struct Gated<G> {
    /// What decides.
    pub gate: Gate,
    /// What prompts.
    pub generator: G,
}

impl<B: Backend, G: PromptGenerator<B>> PromptGenerator<B> for Gated<G> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        if self.gate.passes(slice.index, slice.embedding) { self.generator.generate(slice) } else { Ok(None) }
    }
}
