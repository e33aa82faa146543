//! Hyperparameters of SAP-Net and of its training.

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::setters::setters;
use crate::{BiasedDiceLossConfig, FourierPositionConfig, SapnetError, SupportConfig};

/// Where the position encoding joins the features.
///
/// The default was better on real images: mean Dice of the coarse masks 0.71 after 0.66, false positives on 15 of 36 empty slices after 20
/// (kidney, aorta and liver of a CT, nuclei, fetal heads; LiteMedSAM, 5 outlines, seeds 0 and 1; example `table5_sapnet_ablation`). It gains most
/// on small structures: 0.89 after 0.85 on three spinal cords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fusion {
    /// No position encoding.
    None,
    /// After the network, `F = phi(E) (+) PE`: our reading of the paper's Eq. 5.
    Late,
    /// Before the network, `F = phi(E (+) PE)`.
    #[default]
    Early,
}

/// The channels of the small network between the frozen features and the prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Hidden channels between its convolutions.
    pub hidden: usize,
    /// Output channels.
    pub channels: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { hidden: 32, channels: 64 }
    }
}

/// Maximum numbers of annotated slices in an episode. Other slices take part in other episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EpisodeConfig {
    /// Maximum number of support slices, which the prototypes come from. At least one shows the object.
    pub support: usize,
    /// Maximum number of query slices, which are segmented with the prototypes.
    pub query: usize,
}

impl Default for EpisodeConfig {
    fn default() -> Self {
        Self { support: 3, query: 2 }
    }
}

/// The hyperparameters of SAP-Net. Start from `SapNetConfig::default()` and change them with the `with_*` methods.
///
/// The paper gives the method but hardly any hyperparameters. Defaults without a source are ours, tuned on real scans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SapNetConfig {
    /// The trainable network, phi.
    pub network: NetworkConfig,
    /// Where the position encoding joins it.
    pub fusion: Fusion,
    /// The position encoding.
    pub position: FourierPositionConfig,
    /// Length of the feature half of a pixel's vector. Both halves are scaled to fixed lengths, so that neither dominates the cosine. For
    /// [`Fusion::Late`] only.
    pub feature_weight: f64,
    /// Length of the position half of a pixel's vector.
    pub position_weight: f64,
    /// How pixels are compared with prototypes.
    pub support: SupportConfig,
    /// How annotated slices are split in training. At inference, all of them are support.
    pub episode: EpisodeConfig,
    /// Weight of the query's cross-entropy.
    pub cross_entropy_weight: f64,
    /// Weight of the query's Dice loss.
    pub dice_weight: f64,
    /// The Dice loss, with its weight of false positives.
    pub dice: BiasedDiceLossConfig,
    /// Weight of the alignment loss, lambda. The paper mentions none; 1 is PANet's (`align_loss_scaler`).
    pub alignment_weight: f64,
    /// Number of optimiser steps.
    pub iterations: usize,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Seed of the network's initial weights and of the episodes. The position encoding has a separate seed.
    pub seed: u64,
}

impl Default for SapNetConfig {
    fn default() -> Self {
        Self {
            network: NetworkConfig::default(),
            fusion: Fusion::default(),
            position: FourierPositionConfig::default(),
            feature_weight: 1.0,
            position_weight: 1.0,
            support: SupportConfig::default(),
            episode: EpisodeConfig::default(),
            cross_entropy_weight: 1.0,
            dice_weight: 1.0,
            dice: BiasedDiceLossConfig::default(),
            alignment_weight: 1.0,
            iterations: 80,
            learning_rate: 3e-3,
            weight_decay: 0.0,
            seed: 0,
        }
    }
}

impl SapNetConfig {
    /// Checks every hyperparameter. [`SapNet::fit`](crate::SapNet::fit) does it first.
    ///
    /// # Errors
    /// [`SapnetError::Config`] names the first hyperparameter that is invalid.
    pub fn check(&self) -> Result<(), SapnetError> {
        for (parameter, count) in [
            ("sapnet.network.hidden", self.network.hidden),
            ("sapnet.network.channels", self.network.channels),
            ("sapnet.position.frequencies", self.position.frequencies),
            ("sapnet.episode.support", self.episode.support),
            ("sapnet.episode.query", self.episode.query),
        ] {
            ConfigError::check_count(parameter, count)?;
        }
        for (parameter, value) in [
            ("sapnet.position.sigma", self.position.sigma),
            ("sapnet.feature_weight", self.feature_weight),
            ("sapnet.support.scale", self.support.scale),
            ("sapnet.dice.beta", self.dice.beta),
            ("sapnet.dice.epsilon", self.dice.epsilon),
        ] {
            ConfigError::check_positive(parameter, value)?;
        }
        for (parameter, value) in [
            ("sapnet.position_weight", self.position_weight),
            ("sapnet.cross_entropy_weight", self.cross_entropy_weight),
            ("sapnet.dice_weight", self.dice_weight),
            ("sapnet.alignment_weight", self.alignment_weight),
            ("sapnet.learning_rate", self.learning_rate),
            ("sapnet.weight_decay", self.weight_decay),
        ] {
            ConfigError::check_not_negative(parameter, value)?;
        }
        Ok(())
    }
}

setters!(NetworkConfig { with_hidden: hidden: usize, with_channels: channels: usize });
setters!(EpisodeConfig { with_support: support: usize, with_query: query: usize });
setters!(SapNetConfig {
    with_network: network: NetworkConfig,
    with_fusion: fusion: Fusion,
    with_position: position: FourierPositionConfig,
    with_feature_weight: feature_weight: f64,
    with_position_weight: position_weight: f64,
    with_support: support: SupportConfig,
    with_episode: episode: EpisodeConfig,
    with_cross_entropy_weight: cross_entropy_weight: f64,
    with_dice_weight: dice_weight: f64,
    with_dice: dice: BiasedDiceLossConfig,
    with_alignment_weight: alignment_weight: f64,
    with_iterations: iterations: usize,
    with_learning_rate: learning_rate: f64,
    with_weight_decay: weight_decay: f64,
    with_seed: seed: u64,
});
