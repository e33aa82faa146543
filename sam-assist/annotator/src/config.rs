//! Configuration of a run.

use sam_assist::AssistConfig;
use sam_auto::{Strategy, TrustConfig};
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::AnnotateError;

/// The default weight of accepted slices.
const ACCEPTED_WEIGHT: f64 = 0.5;

/// Configuration of a run: how structures are learned, segmented and ranked.
///
/// It serializes to JSON with the fields `learning`, `prompting`, `trust` and `expected_dice`, as sessions store it.
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
    /// How the other slices are segmented: by the fusion of shape, image, pixel classifier and model, by a part of it, or by
    /// prompt generators.
    #[serde(rename = "prompting")]
    pub strategy: Strategy,
    /// How trust in the segmented slices is estimated.
    pub trust: TrustConfig,
    /// Whether a fusion is tested on outlines that are left out, to tell what Dice is to be expected between outlines: see
    /// [`FusionConfig::expected_dice`](sam_auto::FusionConfig::expected_dice). It comes after all masks are known, takes about as long as
    /// learning, and changes no mask; a stop then keeps the masks. In a later round of a session, the outlines that the last round left out
    /// are left out before masks are known, and decide which masks are kept: see [`KeptMasks`](crate::KeptMasks). What is to be expected is
    /// then that of the new model. Turn it off where nobody reads the result. `sam-med batch`, experiments
    /// and the replay of a session do. Off in sessions of earlier versions.
    ///
    /// The model does not know the left-out outlines: it learns again without them. Learning that continues from a card of this scan, told
    /// by the scan's name, starts from the model instead. With [`Start::Cards`](crate::Start::Cards) the card is used as it is, and the
    /// Dice is too high if it was learned on these slices.
    #[serde(default)]
    pub expected_dice: bool,
    /// How often learning draws an accepted slice, compared with one that the person drew: above 0, at most 1. The model found its outline
    /// itself, so it teaches less than a correction. 1 in sessions of earlier versions.
    #[serde(default = "as_often")]
    pub accepted_weight: f64,
}

/// The weight of accepted slices in earlier versions.
fn as_often() -> f64 {
    1.0
}

impl Default for AnnotateConfig {
    /// The fusion of shape, image, pixel classifier and model, with the learning that fits it.
    fn default() -> Self {
        Self::new(Strategy::default())
    }
}

impl AnnotateConfig {
    /// A configuration with this strategy, the learning that fits its prompts, and trust that reuses its fitted generators.
    pub fn new(strategy: Strategy) -> Self {
        let trust = TrustConfig::default().reusing(&strategy);
        Self {
            learning: strategy.learning(0, 1),
            trust,
            strategy,
            expected_dice: true,
            accepted_weight: ACCEPTED_WEIGHT,
        }
    }

    /// This configuration with another strategy, the learning that fits its prompts, and trust that reuses its fitted generators. Seed and
    /// number of members stay.
    #[must_use]
    pub fn with_strategy(self, strategy: Strategy) -> Self {
        let (seed, members) = (self.seed(), self.learning.members);
        let (learning, trust) = (strategy.learning(seed, members), self.trust.reusing(&strategy));
        Self { learning, strategy, trust, ..self }.with_seed(seed)
    }

    /// This configuration with another learning config, which has its own seed.
    #[must_use]
    pub fn with_learning(self, learning: AssistConfig) -> Self {
        Self { learning, ..self }
    }

    /// This configuration with another trust config.
    #[must_use]
    pub fn with_trust(self, trust: TrustConfig) -> Self {
        Self { trust, ..self }
    }

    /// This configuration with or without a test of what Dice is to be expected.
    #[must_use]
    pub fn with_expected_dice(self, expected_dice: bool) -> Self {
        Self { expected_dice, ..self }
    }

    /// This configuration with another weight of accepted slices.
    #[must_use]
    pub fn with_accepted_weight(self, accepted_weight: f64) -> Self {
        Self { accepted_weight, ..self }
    }

    /// This configuration with another ensemble size of learning. Three members segment better than one, and take three times as long.
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

    /// The seed of learning. [`AnnotateConfig::with_seed`] sets it together with all others.
    pub fn seed(&self) -> u64 {
        self.learning.seed
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AnnotateError::Config`] names the first value that is invalid.
    pub fn check(&self) -> Result<(), AnnotateError> {
        let (weight, most) = (self.accepted_weight, "above 0, at most 1");
        let refuse = |error: ConfigError| AnnotateError::Config(error.into());
        ConfigError::check(weight > 0.0 && weight <= 1.0, "accepted_weight", || weight.to_string(), most)
            .map_err(refuse)?;
        self.learning.check().map_err(|error| AnnotateError::Config(error.into()))?;
        self.strategy.check().map_err(|error| AnnotateError::Config(error.into()))?;
        self.trust.check().map_err(|error| AnnotateError::Config(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use sam_auto::{
        CleanUp, CoarseConfig, CoarseMethod, GateConfig, GeneratorConfig, GeneratorKind, GeneratorStrategy,
        sapnet::SapNetConfig,
    };

    use super::*;

    #[test]
    fn trust_has_the_gate_and_the_sapnet_of_the_strategy() {
        let (gate, sapnet) = (GateConfig::default().with_fields(2), SapNetConfig::default().with_iterations(7));
        let config = GeneratorConfig::default().with_gate(gate.clone()).with_sapnet(sapnet.clone());
        let strategy = Strategy::Generators(GeneratorStrategy::new(GeneratorKind::Sapnet).with_config(config));
        let made = AnnotateConfig::new(strategy.clone()).with_seed(3);
        for config in [&made, &AnnotateConfig::default().with_seed(3).with_strategy(strategy)] {
            assert_eq!(config.trust.gate, gate);
            assert_eq!(config.trust.coarse.method, CoarseMethod::Sapnet(sapnet.clone().with_seed(3)));
        }
        // The defaults of a strategy are the defaults of trust, but for the SAP-Net: that of the strategy is the newer one.
        for kind in GeneratorKind::ALL {
            let config = AnnotateConfig::new(Strategy::Generators(GeneratorStrategy::new(*kind)));
            assert_eq!(config.trust, TrustConfig::default().with_coarse(CoarseConfig::default()));
        }
        assert_eq!(AnnotateConfig::default().trust, TrustConfig::default());
    }

    #[test]
    fn what_would_fail_after_learning_is_refused_before() {
        let strategy = GeneratorStrategy::new(GeneratorKind::Sapnet).with_clean_up(CleanUp::Volume(0));
        let refused = AnnotateConfig::new(Strategy::Generators(strategy)).check().expect_err("it keeps nothing");
        assert!(
            sam_prompt::error_chain(&refused).contains("clean_up: expected at least 1 component, found 0 components"),
            "{refused:?}"
        );
    }

    #[test]
    fn one_seed_is_the_seed_of_everything() -> serde_json::Result<()> {
        // A seed that was not replaced would be found in the JSON.
        for strategy in crate::testing::strategies(-0.2) {
            let config = AnnotateConfig::new(strategy).with_seed(987_654);
            let text = serde_json::to_string(&config)?;
            // The shape alone draws nothing.
            let own = usize::from(!matches!(config.strategy, Strategy::Shape(_)));
            assert!(text.matches("\"seed\":987654").count() >= 3 + own, "{text}");
            let again = config.clone().with_seed(1).with_seed(987_654);
            assert_eq!(again, config);
        }
        Ok(())
    }
}
