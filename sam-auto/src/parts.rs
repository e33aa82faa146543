//! Kinds of prompts that are extracted from coarse maps, by name.

use std::{fmt, str::FromStr};

use sam_assist::AssistConfig;
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::PromptExtraction;

/// Kinds of prompts that are extracted from a coarse map.
///
/// No training draws mask prompts. A mask beside a box is understood without it. A mask alone is not: its Dice after learning was 0.00 to 0.04
/// on real scans. So it cannot be chosen by name.
///
/// | parts | name | prompts | [`PromptParts::learning`] |
/// |---|---|---|---|
/// | [`PromptParts::Points`] | `points` | points inside and outside | [`AssistConfig::points`] |
/// | [`PromptParts::Box`] | `box` | a box around each component | [`AssistConfig::boxes`] |
/// | [`PromptParts::Mask`] | | the map as low-res logits | [`AssistConfig::boxes`] |
/// | [`PromptParts::BoxMask`] | `box-mask` | boxes and the map | [`AssistConfig::boxes`] |
/// | [`PromptParts::PointsBoxMask`] | `together` | points, boxes and the map | [`AssistConfig::composite`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PromptParts {
    /// Points inside and outside.
    Points,
    /// A box around each component.
    Box,
    /// The map as low-res logits: only in configs of earlier versions.
    Mask,
    /// Boxes and the map.
    BoxMask,
    /// Points, boxes and the map.
    #[serde(rename = "together")]
    PointsBoxMask,
}

impl PromptParts {
    /// Every choice by name.
    pub const ALL: &'static [Self] = &[Self::Points, Self::Box, Self::BoxMask, Self::PointsBoxMask];

    /// A copy of `base` that extracts these parts. `points` is the number of points on each component, if points are extracted.
    pub fn extraction(self, points: usize, base: &PromptExtraction) -> PromptExtraction {
        let (has_points, boxes, mask) = match self {
            Self::Points => (true, false, false),
            Self::Box => (false, true, false),
            Self::Mask => (false, false, true),
            Self::BoxMask => (false, true, true),
            Self::PointsBoxMask => (true, true, true),
        };
        PromptExtraction { points: if has_points { points } else { 0 }, boxes, mask, ..base.clone() }
    }

    /// The learning preset for these prompts.
    pub fn learning(self) -> AssistConfig {
        match self {
            Self::Points => AssistConfig::points(),
            Self::Box | Self::Mask | Self::BoxMask => AssistConfig::boxes(),
            Self::PointsBoxMask => AssistConfig::composite(),
        }
    }
}

impl fmt::Display for PromptParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Points => "points",
            Self::Box => "box",
            Self::Mask => "mask",
            Self::BoxMask => "box+mask",
            Self::PointsBoxMask => "together",
        })
    }
}

impl FromStr for PromptParts {
    type Err = ConfigError;

    /// Reads `points`, `box`, `box-mask` (or `box+mask`) and `together`.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "points" => Ok(Self::Points),
            "box" => Ok(Self::Box),
            "box-mask" | "box+mask" | "boxmask" => Ok(Self::BoxMask),
            "together" => Ok(Self::PointsBoxMask),
            _ => Err(ConfigError::new("prompt parts", text, "points, box, box-mask or together")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for &parts in PromptParts::ALL {
            assert_eq!(parts.to_string().parse(), Ok(parts));
        }
        for text in ["boxes", "mask"] {
            assert!(text.parse::<PromptParts>().is_err(), "{text}");
        }
    }
}
