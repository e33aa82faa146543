//! Configuration of the fusion.

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{MaskPropagationConfig, PixelClassifierConfig, PromptExtraction, RandomWalker, ShapeConfig};

/// Configuration of the fusion of shape, image, pixel classifier and model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FusionConfig {
    /// The shape of the outlines.
    pub shape: ShapeConfig,
    /// How the shape's edge moves onto edges of the image.
    pub walker: RandomWalker,
    /// How inside and outside are told apart by what they look like.
    pub classifier: PixelClassifierConfig,
    /// How the model is prompted with the shape.
    pub extraction: PromptExtraction,
    /// How much each of them counts.
    pub weights: FusionWeights,
    /// How masks are propagated: through wide gaps, and from one outline, which has no other that its shape could lead to.
    #[serde(alias = "one_outline")]
    pub propagation: MaskPropagationConfig,
    /// Gaps between outlines wider than this share of the slices from the first outline to the last are wide: masks are propagated through
    /// them from both ends, and correct the shape if they meet, or if the pixel classifier agrees with them more than with the shape.
    pub wide_gap: f32,
}

impl Default for FusionConfig {
    /// Evenly spread, 4 outlines have wide gaps and 5 have none. With 2 and 3 outlines the masks gain from propagation; with 5 they gain nothing
    /// that its time would be worth.
    fn default() -> Self {
        Self {
            shape: ShapeConfig::default(),
            walker: RandomWalker::default(),
            classifier: PixelClassifierConfig::default(),
            extraction: PromptExtraction::default(),
            weights: FusionWeights::default(),
            propagation: MaskPropagationConfig::default(),
            wide_gap: 0.3,
        }
    }
}

sam_assist::__setters!(FusionConfig {
    with_shape => shape: ShapeConfig,
    with_walker => walker: RandomWalker,
    with_classifier => classifier: PixelClassifierConfig,
    with_extraction => extraction: PromptExtraction,
    with_weights => weights: FusionWeights,
    with_propagation => propagation: MaskPropagationConfig,
    with_wide_gap => wide_gap: f32,
});

impl FusionConfig {
    /// Sets the random seeds of the prompts and of the classifier.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.extraction.seed = seed;
        self.classifier.seed = seed;
        self.propagation = self.propagation.with_seed(seed);
        self
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.shape.check()?;
        self.walker.check()?;
        self.classifier.check()?;
        self.extraction.check()?;
        self.propagation.check()?;
        let found = || self.wide_gap.to_string();
        ConfigError::check(self.wide_gap > 0.0, "wide_gap", found, "a number above 0; 1 for no wide gaps")?;
        self.weights.check()
    }
}

/// How much each part counts in the fusion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FusionWeights {
    /// The shape of the outlines.
    pub shape: f32,
    /// The image's edges near the shape's edge.
    pub image: f32,
    /// The pixel classifier.
    pub classifier: f32,
    /// The model.
    pub model: f32,
}

sam_assist::__setters!(FusionWeights {
    with_shape => shape: f32,
    with_image => image: f32,
    with_classifier => classifier: f32,
    with_model => model: f32,
});

impl Default for FusionWeights {
    /// Chosen by the mean Dice between 5, and between 3, outlines of 13 structures. The mean is flat around them: other weights of the shape
    /// from 0.25 to 1, of the classifier from 2 to 4 and of the model from 1 to 2 change it by less than 0.004 with 5 outlines.
    fn default() -> Self {
        Self { shape: 0.5, image: 1.0, classifier: 3.0, model: 1.0 }
    }
}

impl FusionWeights {
    /// The names of the parts that count, in the order of the fields.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        let Self { shape, image, classifier, model } = *self;
        let parts = [("shape", shape), ("image", image), ("classifier", classifier), ("model", model)];
        parts.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(name, _)| name)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let optional =
            [("weights.image", self.image), ("weights.classifier", self.classifier), ("weights.model", self.model)];
        for (name, weight) in optional {
            let found = || weight.to_string();
            ConfigError::check(weight.is_finite() && weight >= 0.0, name, found, "a finite number of at least 0")?;
        }
        // Without the shape, nothing says where a structure ends.
        ConfigError::check_positive("weights.shape", self.shape)
    }
}
