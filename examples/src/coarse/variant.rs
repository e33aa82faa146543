//! The rows of the paper's Table 5.

use clap::ValueEnum;
use sapnet::{BiasedDiceLossConfig, Fusion, SapNetConfig};
use serde::Serialize;

/// What is compared; each row of Table 5 adds to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Prototypes of the frozen features, nothing trained.
    Panet,
    /// With the trained network; plain Dice loss.
    Sapnet,
    /// And with the position encoding.
    Position,
    /// And with the Dice loss that is biased against false positives.
    Biased,
    /// And with the largest components alone.
    Topk,
}

impl Variant {
    /// SAP-Net's numbers for this row; `None` for PANet, which has none.
    pub fn config(self, base: &SapNetConfig) -> Option<SapNetConfig> {
        let plain = BiasedDiceLossConfig { beta: 1.0, ..base.dice };
        match self {
            Self::Panet => None,
            Self::Sapnet => Some(SapNetConfig { fusion: Fusion::None, dice: plain, ..base.clone() }),
            Self::Position => Some(SapNetConfig { dice: plain, ..base.clone() }),
            Self::Biased | Self::Topk => Some(base.clone()),
        }
    }

    /// Whether only the largest components are kept.
    pub const fn keeps_largest(self) -> bool {
        matches!(self, Self::Topk)
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Panet => "PANet",
            Self::Sapnet => "SAP-Net",
            Self::Position => "+ position",
            Self::Biased => "+ biased Dice",
            Self::Topk => "+ top-K",
        })
    }
}
