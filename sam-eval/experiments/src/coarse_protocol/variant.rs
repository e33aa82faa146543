//! The rows of the paper's Table 5.

use std::{fmt, str::FromStr};

use sam_prompt::ConfigError;
use sapnet::{Fusion, SapNetConfig};
use serde::{Deserialize, Serialize};

/// A method that is compared. Each row of the paper's Table 5 adds to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// PANet: prototypes of the frozen features, without training.
    Panet,
    /// SAP-Net: the trained network, with plain Dice loss.
    Sapnet,
    /// Adds the position encoding.
    Position,
    /// Adds the Dice loss that is biased against false positives.
    Biased,
    /// Adds top-K: only the largest components are kept.
    Topk,
    /// As [`Variant::Biased`], but the position encoding joins before the network: the default of SAP-Net, not in the paper.
    Early,
}

impl Variant {
    /// All rows, in the order of the table.
    pub const ALL: [Self; 6] = [Self::Panet, Self::Sapnet, Self::Position, Self::Biased, Self::Topk, Self::Early];

    /// Its name in options and in results.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Panet => "panet",
            Self::Sapnet => "sapnet",
            Self::Position => "position",
            Self::Biased => "biased",
            Self::Topk => "topk",
            Self::Early => "early",
        }
    }

    /// SAP-Net's config for this row; `None` for PANet, which is not trained.
    pub fn config(self, base: &SapNetConfig) -> Option<SapNetConfig> {
        let plain = |fusion| base.clone().with_fusion(fusion).with_dice(base.dice.with_beta(1.0));
        match self {
            Self::Panet => None,
            Self::Sapnet => Some(plain(Fusion::None)),
            Self::Position => Some(plain(Fusion::Late)),
            Self::Biased | Self::Topk => Some(base.clone().with_fusion(Fusion::Late)),
            Self::Early => Some(base.clone().with_fusion(Fusion::Early)),
        }
    }

    /// Whether only the largest components are kept.
    pub const fn keeps_largest(self) -> bool {
        matches!(self, Self::Topk)
    }
}

/// The name of the row in the table.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Panet => "PANet",
            Self::Sapnet => "SAP-Net",
            Self::Position => "+ position",
            Self::Biased => "+ biased Dice",
            Self::Topk => "+ top-K",
            Self::Early => "biased Dice, position first",
        })
    }
}

/// Reads the name that [`Variant::id`] returns.
impl FromStr for Variant {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|variant| variant.id() == text);
        found.ok_or_else(|| ConfigError::new("variant", text, Self::ALL.map(Self::id).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for variant in Variant::ALL {
            assert_eq!(variant.id().parse::<Variant>().expect("its name"), variant);
            assert_eq!(serde_json::to_value(variant).expect("a name"), variant.id());
        }
        let error = "unet".parse::<Variant>().expect_err("no row of the table");
        assert!(error.to_string().contains("panet, sapnet"), "{error}");
    }
}
