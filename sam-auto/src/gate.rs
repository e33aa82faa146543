//! Gate: decides whether a slice shows the structure, so that generators do not prompt empty slices.

use std::sync::Arc;

use burn::tensor::{backend::Backend, module::adaptive_avg_pool2d};
use sam_core::{AnnotatedSlice, ImageEmbedding};
use sam_prompt::{ConfigError, Prompts};
use sapnet::SapnetError;
use serde::{Deserialize, Serialize};

use crate::{AutoError, PromptGenerator, SliceContext};

/// Configuration of a [`Gate`]. The paper has no gate; it names false positives as its open problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GateConfig {
    /// A slice passes if its score is above this threshold. Higher values give fewer false positives but miss more of the structure. Scores
    /// are between about -2 and 2. A slice with score 0 is equally similar to slices with the structure and to slices without it. The
    /// default is lower, because a missed slice is worse than a false positive.
    pub threshold: f32,
    /// Weight of the distance from the outlined slices, in units of their extent. The weighted distance is subtracted from the score. 0 for
    /// images without an order.
    pub distance_weight: f32,
    /// Minimum extent of the outlined slices, in slices. If only a few slices are outlined, the true extent is unknown.
    pub least_extent: usize,
    /// Number of rows and columns of the grid in whose fields the features of a slice are averaged.
    pub fields: usize,
}

sam_assist::__setters!(GateConfig {
    with_threshold => threshold: f32,
    with_distance_weight => distance_weight: f32,
    with_least_extent => least_extent: usize,
    with_fields => fields: usize,
});

impl Default for GateConfig {
    fn default() -> Self {
        Self { threshold: -0.2, distance_weight: 0.4, least_extent: 8, fields: 4 }
    }
}

impl GateConfig {
    /// Config for a set of images without an order: distance does not count.
    pub fn unordered() -> Self {
        Self { distance_weight: 0.0, ..Self::default() }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let threshold = self.threshold;
        ConfigError::check(!threshold.is_nan(), "gate.threshold", || threshold.to_string(), "a number")?;
        ConfigError::check_not_negative("gate.distance_weight", self.distance_weight)?;
        ConfigError::check(self.least_extent > 0, "gate.least_extent", || "0".to_owned(), "at least 1 slice")?;
        ConfigError::check_count("gate.fields", self.fields)
    }

    /// Fits a gate to annotated slices. Slices annotated as empty help much. Without them, a slice must be more similar to a slice with the
    /// structure than to the mean of those slices.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no slice shows the structure.
    pub fn fit<B: Backend>(&self, annotated: &[AnnotatedSlice<B>]) -> Result<Gate, AutoError> {
        self.check()?;
        let places: Vec<_> = annotated.iter().filter(|slice| !slice.is_empty()).map(AnnotatedSlice::index).collect();
        let (Some(&first), Some(&last)) = (places.iter().min(), places.iter().max()) else {
            return Err(AutoError::NothingAnnotated);
        };
        let described: Vec<_> = annotated.iter().map(|slice| describe(slice.embedding(), self.fields)).collect();
        let mut centre = vec![0.0; described[0].len()];
        // The centre of a single slice stays 0. Otherwise the slice would be its own centre and have no direction.
        if described.len() > 1 {
            for description in &described {
                centre.iter_mut().zip(description).for_each(|(sum, value)| *sum += value / described.len() as f32);
            }
        }
        let mut gate = Gate { config: self.clone(), first, last, centre, shown: Vec::new(), empty: Vec::new() };
        for (slice, description) in annotated.iter().zip(described) {
            let direction = gate.direction(description);
            let known = if slice.is_empty() { &mut gate.empty } else { &mut gate.shown };
            known.push(direction);
        }
        Ok(gate)
    }
}

/// Gate: decides whether a slice shows the structure, from the features of the whole slice and its position in the volume.
///
/// A slice is described by SAM's features, averaged over the fields of a coarse grid: neighbours in a scan look alike, and slices through
/// other organs do not. The score is the cosine similarity to the most similar annotated slice with the structure, minus the similarity to
/// the most similar one without it, minus a penalty for the distance from the outlined slices. [`Gated`] adds a gate to any generator.
#[derive(Debug, Clone)]
pub struct Gate {
    config: GateConfig,
    /// First and last outlined slice.
    first: usize,
    last: usize,
    /// The mean description. Directions are measured from it.
    centre: Vec<f32>,
    /// Unit vectors.
    shown: Vec<Vec<f32>>,
    empty: Vec<Vec<f32>>,
}

impl Gate {
    /// Score of a slice: how similar it is to slices with the structure. It passes above [`GateConfig::threshold`].
    pub fn score<B: Backend>(&self, index: usize, embedding: &ImageEmbedding<B>) -> f32 {
        let direction = self.direction(describe(embedding, self.config.fields));
        let most_similar = |known: &[Vec<f32>]| {
            let cosines = known.iter().map(|other| other.iter().zip(&direction).map(|(a, b)| a * b).sum::<f32>());
            cosines.reduce(f32::max).unwrap_or(0.0)
        };
        most_similar(&self.shown) - most_similar(&self.empty) - self.config.distance_weight * self.distance(index)
    }

    /// Whether a slice shows the structure, according to its score.
    pub fn passes<B: Backend>(&self, index: usize, embedding: &ImageEmbedding<B>) -> bool {
        self.is_above(self.score(index, embedding))
    }

    fn is_above(&self, score: f32) -> bool {
        score > self.config.threshold
    }

    /// How far a slice is outside of the outlined slices, in units of their extent.
    fn distance(&self, index: usize) -> f32 {
        let outside = self.first.saturating_sub(index).max(index.saturating_sub(self.last));
        outside as f32 / (self.last - self.first).max(self.config.least_extent) as f32
    }

    /// The unit vector from the centre to a description; zero if the description is the centre.
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
    let [.., height, width] = embedding.features().dims();
    let size = [fields.min(height), fields.min(width)];
    adaptive_avg_pool2d(embedding.features().clone(), size).into_data().iter::<f32>().collect()
}

/// A generator that prompts only slices that pass a gate.
#[derive(Debug, Clone)]
pub struct Gated<G> {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The generator.
    pub generator: G,
}

impl<B: Backend, G: PromptGenerator<B>> PromptGenerator<B> for Gated<G> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let score = self.gate.score(slice.index, slice.embedding);
        if score.is_nan() {
            // It is above no threshold, so the slice would be taken for empty.
            return Err(SapnetError::NotFinite { tensor: "features" }.into());
        }
        if self.gate.is_above(score) { self.generator.generate(slice) } else { Ok(None) }
    }
}
