//! Strategies by name.

use std::{fmt, str::FromStr};

use sam_prompt::ConfigError;

use crate::{FusionConfig, GeneratorKind, GeneratorStrategy, MaskPropagationConfig, ShapeConfig, Strategy};

/// Kind of a [`Strategy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyKind {
    /// [`Strategy::Fusion`]
    Fusion,
    /// [`Strategy::Shape`]
    Shape,
    /// [`Strategy::MaskPropagation`]
    MaskPropagation,
    /// [`Strategy::Generators`]
    Generators(GeneratorKind),
}

impl StrategyKind {
    /// The names of all kinds, as [`StrategyKind::from_str`] reads them.
    pub const NAMES: &'static str = "fusion, shape, propagation, points, classification, panet, sapnet or ensemble";
}

impl From<StrategyKind> for Strategy {
    /// The default configuration of a kind.
    fn from(kind: StrategyKind) -> Self {
        match kind {
            StrategyKind::Fusion => Self::Fusion(FusionConfig::default()),
            StrategyKind::Shape => Self::Shape(ShapeConfig::default()),
            StrategyKind::MaskPropagation => Self::MaskPropagation(MaskPropagationConfig::default()),
            StrategyKind::Generators(kind) => Self::Generators(GeneratorStrategy::new(kind)),
        }
    }
}

impl fmt::Display for StrategyKind {
    /// The name that [`StrategyKind::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fusion => "fusion",
            Self::Shape => "shape",
            Self::MaskPropagation => "propagation",
            Self::Generators(GeneratorKind::Propagation) => "points",
            Self::Generators(GeneratorKind::Classification) => "classification",
            Self::Generators(GeneratorKind::Panet) => "panet",
            Self::Generators(GeneratorKind::Sapnet) => "sapnet",
            Self::Generators(GeneratorKind::Ensemble) => "ensemble",
        })
    }
}

impl FromStr for StrategyKind {
    type Err = ConfigError;

    /// Reads [`StrategyKind::NAMES`], in any case. `propagation` is that of masks, and `points` the paper's Algorithm 1.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.to_lowercase().as_str() {
            "fusion" => Ok(Self::Fusion),
            "shape" => Ok(Self::Shape),
            "propagation" => Ok(Self::MaskPropagation),
            "points" => Ok(Self::Generators(GeneratorKind::Propagation)),
            other => {
                let unknown = |_| ConfigError::new("strategy", text, Self::NAMES);
                other.parse().map(Self::Generators).map_err(unknown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let generators = GeneratorKind::ALL.iter().copied().map(StrategyKind::Generators);
        for kind in
            [StrategyKind::Fusion, StrategyKind::Shape, StrategyKind::MaskPropagation].into_iter().chain(generators)
        {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(StrategyKind::NAMES.contains(&kind.to_string()), "{kind}");
        }
        let message = "unet".parse::<StrategyKind>().expect_err("no such strategy").to_string();
        assert!(message.contains("unet") && message.contains("fusion"), "{message}");
    }
}
