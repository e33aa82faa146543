//! Generators and what they hand on, by name.

use clap::ValueEnum;
use sam_assist::AssistConfig;
use sam_auto::HandOver;
use serde::{Deserialize, Serialize};

use crate::learning::Learning;

/// A way to prompt without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoKind {
    /// Points handed on from slice to slice where intensities stay alike: the paper's Algorithm 1.
    Propagation,
    /// A linear classifier of the frozen features.
    Classification,
    /// Prototypes of the frozen features.
    Panet,
    /// The spatial-aware prototypical network.
    Sapnet,
    /// The majority of two SAP-Nets and a linear classifier.
    Ensemble,
}

impl AutoKind {
    /// What is best handed on: a box, but for propagation, which has points alone.
    pub const fn hand_over(self) -> HandOverKind {
        match self {
            Self::Propagation => HandOverKind::Points,
            Self::Classification | Self::Panet | Self::Sapnet | Self::Ensemble => HandOverKind::Box,
        }
    }
}

impl std::fmt::Display for AutoKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Propagation => "propagation",
            Self::Classification => "classification",
            Self::Panet => "PANet",
            Self::Sapnet => "SAP-Net",
            Self::Ensemble => "ensemble",
        })
    }
}

/// What of a coarse map is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandOverKind {
    /// Points inside and outside.
    Points,
    /// A box around each component.
    Box,
    /// The map as low-res logits.
    Mask,
    /// Boxes and the map.
    BoxMask,
    /// Points, boxes and the map.
    Together,
}

impl HandOverKind {
    /// This, with so many points on each component.
    pub fn hand_over(self, points: usize, base: &HandOver) -> HandOver {
        let (has_points, boxes, mask) = match self {
            Self::Points => (true, false, false),
            Self::Box => (false, true, false),
            Self::Mask => (false, false, true),
            Self::BoxMask => (false, true, true),
            Self::Together => (true, true, true),
        };
        HandOver { points: if has_points { points } else { 0 }, boxes, mask, ..base.clone() }
    }

    /// The learning that fits it. No learning draws mask prompts.
    pub fn learning(self, learning: &Learning) -> &AssistConfig {
        match self {
            Self::Points => &learning.points,
            Self::Box | Self::Mask | Self::BoxMask => &learning.boxes,
            Self::Together => &learning.composite,
        }
    }
}

impl std::fmt::Display for HandOverKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Points => "points",
            Self::Box => "box",
            Self::Mask => "mask",
            Self::BoxMask => "box+mask",
            Self::Together => "together",
        })
    }
}
