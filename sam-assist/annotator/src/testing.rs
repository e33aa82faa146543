//! Helpers of this crate's unit tests.

use sam_auto::{CleanUp, GeneratorKind, GeneratorStrategy, Strategy, StrategyKind};

use crate::AnnotateConfig;

/// A configuration.
pub(crate) fn config() -> AnnotateConfig {
    AnnotateConfig::default()
}

/// Strategies of several kinds, the default first. The generators, which are the last, have this threshold of the gate.
pub(crate) fn strategies(threshold: f32) -> [Strategy; 4] {
    let mut generators = GeneratorStrategy::new(GeneratorKind::Ensemble).with_clean_up(CleanUp::Volume(1));
    generators.config.gate.threshold = threshold;
    [
        Strategy::default(),
        StrategyKind::Shape.into(),
        StrategyKind::MaskPropagation.into(),
        Strategy::Generators(generators),
    ]
}
