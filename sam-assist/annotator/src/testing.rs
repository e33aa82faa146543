//! Helpers of this crate's unit tests.

use sam_auto::{CleanUp, GeneratorKind, GeneratorStrategy, Strategy};

use crate::AnnotateConfig;

/// A configuration.
pub(crate) fn config() -> AnnotateConfig {
    AnnotateConfig::default()
}

/// Both strategies. The generators have this threshold of the gate.
pub(crate) fn strategies(threshold: f32) -> [Strategy; 2] {
    let mut generators = GeneratorStrategy::new(GeneratorKind::Ensemble).with_clean_up(CleanUp::Volume(1));
    generators.config.gate.threshold = threshold;
    [Strategy::default(), Strategy::Generators(generators)]
}
