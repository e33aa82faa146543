//! Strategies of prompt generators.

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{AutoError, CleanUp, GeneratorConfig, GeneratorKind, PromptExtraction, PromptParts, ShapeConfig};

/// Configuration of a strategy of generators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GeneratorStrategy {
    /// Kind of the generators.
    pub kind: GeneratorKind,
    /// Which prompts are extracted from coarse maps.
    #[serde(rename = "hand_over", alias = "parts")]
    pub parts: PromptParts,
    /// Number of points on a component, if points are extracted.
    pub points: usize,
    /// Configuration of the generators and the gate.
    #[serde(rename = "numbers", alias = "config")]
    pub config: GeneratorConfig,
    /// Which components are kept.
    pub clean_up: CleanUp,
    /// In a volume: between outlined slices the structure is looked for without the gate, and beyond them only as far as this shape goes.
    /// `None`: the gate alone decides, as in sessions of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ShapeConfig>,
}

impl GeneratorStrategy {
    /// The default configuration of a kind, with the best prompts of this kind.
    pub fn new(kind: GeneratorKind) -> Self {
        Self {
            kind,
            parts: kind.parts(),
            points: 5,
            config: GeneratorConfig::default(),
            clean_up: CleanUp::default(),
            shape: Some(ShapeConfig::default()),
        }
    }

    /// Configuration of prompt extraction from coarse maps.
    pub fn extraction(&self) -> PromptExtraction {
        self.parts.extraction(self.points, &self.config.extraction)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        self.config.check()?;
        // Propagated points are not extracted from a map, and their number is configured elsewhere.
        let extracts = self.kind != GeneratorKind::Propagation && self.parts == PromptParts::Points;
        ConfigError::check(!extracts || self.points > 0, "points", || "0".to_owned(), "at least 1")?;
        self.shape.map_or(Ok(()), |shape| shape.check())?;
        Ok(self.clean_up.check()?)
    }
}

sam_assist::__setters!(GeneratorStrategy {
    with_parts => parts: PromptParts,
    with_points => points: usize,
    with_config => config: GeneratorConfig,
    with_clean_up => clean_up: CleanUp,
    with_shape => shape: Option<ShapeConfig>,
});
