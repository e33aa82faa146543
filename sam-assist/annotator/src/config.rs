//! How structures are learned, segmented and ranked.

use sam_assist::AssistConfig;
use sam_auto::{Strategy, TrustConfig};
use serde::{Deserialize, Serialize};

use crate::AnnotateError;

/// How structures are learned, segmented and ranked: the configuration of a run.
///
/// It serializes to JSON with the fields `learning`, `prompting` and `trust`, as sessions store it.
///
/// ```
/// use sam_annotate::AnnotateConfig;
///
/// let config = AnnotateConfig::default().with_members(3).with_seed(7);
/// assert_eq!((config.learning.members, config.seed()), (3, 7));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AnnotateConfig {
    /// How a structure is learned from its outlines.
    pub learning: AssistConfig,
    /// How the other slices are segmented: by mask propagation from slice to slice, or by prompt generators.
    #[serde(rename = "prompting")]
    pub strategy: Strategy,
    /// How far the segmented slices are trusted.
    pub trust: TrustConfig,
}

impl Default for AnnotateConfig {
    /// Mask propagation, from prompts that fit it.
    fn default() -> Self {
        Self::new(Strategy::default())
    }
}

impl AnnotateConfig {
    /// A strategy, and the learning that fits the prompts it gives.
    pub fn new(strategy: Strategy) -> Self {
        Self { learning: strategy.learning(0, 1), strategy, trust: TrustConfig::default() }
    }

    /// This configuration with another strategy and the learning that fits it; its seed and number of members stay.
    #[must_use]
    pub fn with_strategy(self, strategy: Strategy) -> Self {
        let (seed, members) = (self.seed(), self.learning.members);
        Self { learning: strategy.learning(seed, members), strategy, ..self }.with_seed(seed)
    }

    /// This configuration with another learning, which has its own seed.
    #[must_use]
    pub fn with_learning(self, learning: AssistConfig) -> Self {
        Self { learning, ..self }
    }

    /// This configuration with another estimation of trust.
    #[must_use]
    pub fn with_trust(self, trust: TrustConfig) -> Self {
        Self { trust, ..self }
    }

    /// This configuration with this number of learned members for each structure. Three segment better than one, and take three times as
    /// long.
    #[must_use]
    pub fn with_members(mut self, members: usize) -> Self {
        self.learning.members = members;
        self
    }

    /// This configuration with one seed for everything random: learning, generators and trust.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.learning.seed = seed;
        Self { strategy: self.strategy.with_seed(seed), trust: self.trust.with_seed(seed), ..self }
    }

    /// The seed of learning, which [`AnnotateConfig::with_seed`] sets with all others.
    pub fn seed(&self) -> u64 {
        self.learning.seed
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AnnotateError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AnnotateError> {
        self.learning.check().map_err(|error| AnnotateError::Config(error.into()))?;
        self.strategy.check().map_err(|error| AnnotateError::Config(error.into()))?;
        self.trust.check().map_err(|error| AnnotateError::Config(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_the_seed_of_everything() -> serde_json::Result<()> {
        // A seed that stayed would be found in the JSON.
        for strategy in crate::testing::strategies(-0.2) {
            let config = AnnotateConfig::new(strategy).with_seed(987_654);
            let text = serde_json::to_string(&config)?;
            assert!(text.matches("\"seed\":987654").count() >= 4, "{text}");
            let again = config.clone().with_seed(1).with_seed(987_654);
            assert_eq!(again, config);
        }
        Ok(())
    }
}
