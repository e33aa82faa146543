//! Configuration of the pixel classifier.

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

/// Configuration of [`PixelClassifier`](super::PixelClassifier).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PixelClassifierConfig {
    /// Number of trees.
    pub trees: usize,
    /// A leaf holds at least this many training pixels.
    pub min_leaf: usize,
    /// Training pixels are drawn at random if there are more than this.
    pub max_pixels: usize,
    /// Pixels are learned from if they lie at most this many widths of the shape's edge from an outline.
    pub band: f32,
    /// The least distance of the band's borders from the outline, in pixels of the area 1.
    pub min_band: f32,
    /// Seed of the trees and of the pixels that are drawn.
    pub seed: u64,
}

sam_assist::__setters!(PixelClassifierConfig {
    with_trees => trees: usize,
    with_min_leaf => min_leaf: usize,
    with_max_pixels => max_pixels: usize,
    with_band => band: f32,
    with_min_band => min_band: f32,
    with_seed => seed: u64,
});

impl Default for PixelClassifierConfig {
    fn default() -> Self {
        Self { trees: 60, min_leaf: 8, max_pixels: 20_000, band: 3.0, min_band: 6.0, seed: 0 }
    }
}

impl PixelClassifierConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (trees, pixels, least) = (self.trees, self.max_pixels, self.min_band);
        ConfigError::check((1..=1000).contains(&trees), "classifier.trees", || trees.to_string(), "1 to 1000")?;
        ConfigError::check_count("classifier.min_leaf", self.min_leaf)?;
        // Fewer pixels may all lie on one side of the outlines.
        ConfigError::check(pixels >= 100, "classifier.max_pixels", || pixels.to_string(), "at least 100")?;
        ConfigError::check_positive("classifier.band", self.band)?;
        // The pixels beside an outline are half a pixel away from it.
        let found = || least.to_string();
        ConfigError::check(
            least.is_finite() && least >= 1.0,
            "classifier.min_band",
            found,
            "a finite number of at least 1",
        )
    }
}
