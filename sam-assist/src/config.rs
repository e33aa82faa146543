//! Configuration of prompt learning.

use sam_prompt::{ConfigError, PromptDraw, SamplingScheme};
use serde::{Deserialize, Serialize};

use crate::{CorrectiveClicks, EarlyStopping, Schedule};

/// Maximum ensemble size. More members cost inference time without improving the result.
const MAX_MEMBERS: usize = 16;

/// Learning rates must be below this. Larger ones diverge, or are in the wrong unit.
const MAX_RATE: f64 = 1.0;

/// Kind of prompts that the prompt encoder is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LearnedKind {
    /// Points.
    Points,
    /// Boxes.
    Boxes,
    /// Points and boxes, always together.
    Composite,
    /// Points, boxes, and both together, in turn.
    Mixed,
}

/// What is trained in addition to the prompt encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trained {
    /// Nothing: the prompt encoder alone, as in the paper.
    #[default]
    PromptEncoder,
    /// Extra tokens that are appended to those of every prompt.
    ExtraTokens {
        /// Number of tokens.
        count: usize,
    },
    /// The token branch of the mask decoder: all of its weights except those that pixels pass through. Training it takes hardly longer than
    /// training the prompt encoder alone.
    // Keeps the name in saved files.
    #[serde(rename = "token_side")]
    TokenBranch,
    /// The whole mask decoder.
    Decoder,
    /// Low-rank adapters (`LoRA`) of the attention projections and perceptrons in the decoder's token branch.
    LowRank {
        /// Rank of the adapters.
        rank: usize,
        /// Scale of the low-rank change.
        scale: f64,
    },
}

impl Trained {
    /// Whether training changes decoder weights that pixels pass through. Then the image must be projected again in each step.
    pub(crate) const fn changes_image_side(self) -> bool {
        matches!(self, Self::Decoder)
    }
}

/// Configuration of prompt learning.
///
/// Start from the preset for the prompts at inference:
///
/// | prompts at inference | preset | prompts drawn in training |
/// |---|---|---|
/// | points, clicks | [`AssistConfig::points`] | points |
/// | boxes, mask prompts | [`AssistConfig::boxes`] | boxes |
/// | a box with points | [`AssistConfig::composite`] | boxes with points |
/// | any, or masks propagated from slice to slice | [`AssistConfig::mixed`] | points, boxes, and both, in turn |
///
/// The paper gives the method without hyperparameters and trains the prompt encoder alone, as [`AssistConfig::prompt_encoder_only`] does.
/// Our defaults also train the decoder's token branch, at a hundredth of the prompt encoder's rate. Each step draws from one slice, because
/// twice as many steps of one slice learn more than half as many steps of two. These defaults segmented CT and MR best by a few clicks,
/// after ten seconds of training from two slices on two CPU cores.
///
/// Fields missing from a serialized config (written by an older version) default to [`AssistConfig::points`].
///
/// ```
/// use sam_assist::AssistConfig;
///
/// let config = AssistConfig::boxes().with_seed(7).with_members(3);
/// assert_eq!(config.members, 3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AssistConfig {
    /// Kind of the prompts that are drawn.
    pub kind: LearnedKind,
    /// Minimum and maximum number of points inside the outline; as many are drawn outside. The number is drawn in each iteration.
    pub points: (usize, usize),
    /// How points are sampled.
    pub sampling: SamplingScheme,
    /// How boxes are drawn.
    pub draw: PromptDraw,
    /// Training steps with corrective clicks. `None` for no such steps, as in configs that lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrective: Option<CorrectiveClicks>,
    /// What is trained.
    pub trained: Trained,
    /// Ensemble size. Members are trained round-robin on independently sampled prompts. At inference, their logits are averaged.
    ///
    /// The result of learning from a few slices depends on the prompts that were drawn; the average of an ensemble depends on them less.
    /// Three members cost three times as much and segment better than one: mean Dice 0.85 instead of 0.81 (ten structures of CT and MR,
    /// from two slices and by 5 points, without clipped gradients).
    pub members: usize,
    /// Number of optimiser steps for [`AssistConfig::slices_per_step`] slices. [`AssistConfig::for_slices`] scales it to more slices.
    pub iterations: usize,
    /// Number of optimiser steps when learning continues from an earlier result: see [`AssistConfig::warm`].
    pub warm_iterations: usize,
    /// Maximum number of slices in one step.
    pub slices_per_step: usize,
    /// Slices beyond this number add no iterations in [`AssistConfig::for_slices`], so that learning takes no longer with them. `None` for
    /// no limit, as in the paper and in configs that lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_counted_slices: Option<usize>,
    /// Learning rate of the prompt encoder and of extra tokens.
    pub learning_rate: f64,
    /// Learning rate of the decoder or its adapters. It is smaller, because a few slices cannot restore what they overwrite there.
    pub decoder_rate: f64,
    /// Schedule of both learning rates.
    pub schedule: Schedule,
    /// Extra tokens and adapters are initialised uniformly within this distance of zero.
    pub initial_spread: f64,
    /// Decoupled weight decay of `AdamW`.
    pub weight_decay: f64,
    /// Maximum norm of all gradients together (gradient clipping). `None` for no limit.
    ///
    /// Without a limit, a single slice with a failed prediction can set training back by some forty steps.
    #[serde(rename = "largest_gradient", alias = "max_grad_norm")]
    pub max_grad_norm: Option<f64>,
    /// Weight of the Dice loss. The weight of cross-entropy is 1.
    pub dice_weight: f64,
    /// Early stopping. `None` to run all iterations.
    pub early_stopping: Option<EarlyStopping>,
    /// Number of points inside, and as many outside, with which [`self_check`](crate::self_check) prompts a slice.
    pub check_points: usize,
    /// Random seed.
    pub seed: u64,
}

crate::__setters!(AssistConfig {
    with_kind => kind: LearnedKind,
    with_points => points: (usize, usize),
    with_sampling => sampling: SamplingScheme,
    with_draw => draw: PromptDraw,
    with_corrective => corrective: Option<CorrectiveClicks>,
    with_trained => trained: Trained,
    with_members => members: usize,
    with_iterations => iterations: usize,
    with_warm_iterations => warm_iterations: usize,
    with_slices_per_step => slices_per_step: usize,
    with_max_counted_slices => max_counted_slices: Option<usize>,
    with_learning_rate => learning_rate: f64,
    with_decoder_rate => decoder_rate: f64,
    with_schedule => schedule: Schedule,
    with_initial_spread => initial_spread: f64,
    with_weight_decay => weight_decay: f64,
    with_max_grad_norm => max_grad_norm: Option<f64>,
    with_dice_weight => dice_weight: f64,
    with_early_stopping => early_stopping: Option<EarlyStopping>,
    with_check_points => check_points: usize,
    with_seed => seed: u64,
});

impl Default for AssistConfig {
    fn default() -> Self {
        Self::points()
    }
}

impl AssistConfig {
    /// Preset for point prompts.
    pub fn points() -> Self {
        Self {
            kind: LearnedKind::Points,
            points: (1, 10),
            sampling: SamplingScheme::Uniform,
            draw: PromptDraw::default(),
            corrective: None,
            trained: Trained::TokenBranch,
            members: 1,
            iterations: 52,
            warm_iterations: 26,
            slices_per_step: 1,
            max_counted_slices: None,
            learning_rate: 2e-2,
            decoder_rate: 2e-4,
            schedule: Schedule::Constant,
            initial_spread: 0.02,
            weight_decay: 0.0,
            max_grad_norm: Some(4.0),
            dice_weight: 1.0,
            early_stopping: None,
            check_points: 5,
            seed: 0,
        }
    }

    /// Preset for box prompts. A box already says so much that half the iterations suffice.
    pub fn boxes() -> Self {
        Self { kind: LearnedKind::Boxes, iterations: 25, warm_iterations: 12, learning_rate: 1e-2, ..Self::points() }
    }

    /// Preset for prompts of a box with points.
    pub fn composite() -> Self {
        Self { kind: LearnedKind::Composite, ..Self::points() }
    }

    /// Preset for prompts of any kind.
    pub fn mixed() -> Self {
        Self { kind: LearnedKind::Mixed, ..Self::points() }
    }

    /// Scales the number of iterations to a number of slices, so that each ensemble member sees each slice as often as if one step took all
    /// of them. Training time grows with the number of slices, as in the paper, up to [`AssistConfig::max_counted_slices`].
    #[must_use]
    pub fn for_slices(self, slices: usize) -> Self {
        let at_once = self.slices_per_step.max(1);
        let counted = self.max_counted_slices.map_or(slices, |most| slices.min(most)).max(at_once);
        let iterations = self.iterations.saturating_mul(counted) / at_once * self.members;
        Self { iterations, ..self }
    }

    /// Uses [`AssistConfig::warm_iterations`], for learning that continues from an earlier result with
    /// [`Learner::warm`](crate::Learner::warm). Call it before [`AssistConfig::for_slices`].
    #[must_use]
    pub fn warm(self) -> Self {
        Self { iterations: self.warm_iterations, ..self }
    }

    /// Trains the prompt encoder alone: the paper's 6,220 parameters.
    #[must_use]
    pub fn prompt_encoder_only(self) -> Self {
        Self { trained: Trained::PromptEncoder, ..self }
    }

    /// Whether the learned model can use its earlier logits as a mask prompt. Without corrective clicks, nothing is learned about mask
    /// prompts, and they mislead.
    pub fn takes_logits(&self) -> bool {
        self.corrective.is_some_and(|corrective| corrective.mask)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_stored()?;
        ConfigError::check(self.iterations > 0, "iterations", || "0".to_owned(), "at least 1")?;
        for (name, rate) in [("learning_rate", self.learning_rate), ("decoder_rate", self.decoder_rate)] {
            ConfigError::check(rate < MAX_RATE, name, || rate.to_string(), "below 1 (the presets use 0.02 or less)")?;
        }
        Ok(())
    }

    /// Checks a stored config. Earlier versions accepted 0 iterations and any learning rate, and their files stay readable.
    pub(crate) fn check_stored(&self) -> Result<(), ConfigError> {
        let (fewest, most) = self.points;
        let found = || format!("{fewest} to {most}");
        ConfigError::check((1..=most).contains(&fewest), "points", found, "at least 1, the minimum first")?;
        let members = (1..=MAX_MEMBERS).contains(&self.members);
        ConfigError::check(members, "members", || self.members.to_string(), "1 to 16")?;
        ConfigError::check_count("slices_per_step", self.slices_per_step)?;
        self.max_counted_slices.map_or(Ok(()), |most| ConfigError::check_count("max_counted_slices", most))?;
        ConfigError::check_count("check_points", self.check_points)?;
        self.corrective.map_or(Ok(()), |corrective| corrective.check())?;
        ConfigError::check_not_negative("learning_rate", self.learning_rate)?;
        ConfigError::check_not_negative("decoder_rate", self.decoder_rate)?;
        ConfigError::check_not_negative("initial_spread", self.initial_spread)?;
        ConfigError::check_not_negative("weight_decay", self.weight_decay)?;
        ConfigError::check_not_negative("dice_weight", self.dice_weight)?;
        self.max_grad_norm.map_or(Ok(()), |norm| ConfigError::check_positive("max_grad_norm", norm))?;
        match self.trained {
            Trained::PromptEncoder | Trained::TokenBranch | Trained::Decoder => {}
            Trained::ExtraTokens { count } => ConfigError::check_count("extra_tokens.count", count)?,
            Trained::LowRank { rank, scale } => {
                ConfigError::check_count("low_rank.rank", rank)?;
                ConfigError::check_positive("low_rank.scale", scale)?;
            }
        }
        if let Schedule::Cosine { final_rate } = self.schedule {
            ConfigError::check_not_negative("final_rate", final_rate)?;
        }
        if let Some(EarlyStopping { patience, least_gain, smoothing }) = self.early_stopping {
            ConfigError::check_count("early_stopping.patience", patience)?;
            ConfigError::check_not_negative("early_stopping.least_gain", least_gain)?;
            let is_share = (0.0..1.0).contains(&smoothing);
            let found = || smoothing.to_string();
            ConfigError::check(is_share, "early_stopping.smoothing", found, "at least 0 and below 1")?;
        }
        Ok(())
    }

    /// The learning rates of an iteration.
    pub(crate) fn rates(&self, iteration: usize) -> Rates {
        let fraction = self.schedule.fraction(iteration, self.iterations);
        Rates { prompts: self.learning_rate * fraction, decoder: self.decoder_rate * fraction }
    }
}

/// The learning rates of one iteration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Of the prompt encoder and of extra tokens.
    pub(crate) prompts: f64,
    /// Of the decoder or its adapters.
    pub(crate) decoder: f64,
}
