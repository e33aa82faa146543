//! Every number of the learning.

use sam_prompt::{PromptDraw, SamplingScheme};
use serde::{Deserialize, Serialize};

use crate::AssistError;

/// More members take long to ask, and say nothing more.
const MOST_MEMBERS: usize = 16;

/// Which prompts the encoder learns to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnedKind {
    /// Clicks.
    Points,
    /// Boxes.
    Boxes,
    /// Clicks and boxes, always together.
    Composite,
    /// Clicks, boxes, and both together, in turn.
    Mixed,
}

/// What learns beside the prompt encoder, which always does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trained {
    /// Nothing: the prompt encoder alone, as in the paper.
    #[default]
    PromptEncoder,
    /// Tokens that are put behind those of every prompt.
    ExtraTokens {
        /// How many.
        count: usize,
    },
    /// The mask decoder's token side: all of its weights but those that pixels pass through. Costs hardly more time than the prompt
    /// encoder alone.
    TokenSide,
    /// All of the mask decoder.
    Decoder,
    /// A change of low rank to the attentions' projections and the perceptrons of the decoder's token side (`LoRA`).
    LowRank {
        /// The change's rank.
        rank: usize,
        /// What the change is multiplied by.
        scale: f64,
    },
}

impl Trained {
    /// Whether the decoder's weights change that pixels pass through, and with them what it computes of an image alone.
    pub(crate) const fn changes_image_side(self) -> bool {
        matches!(self, Self::Decoder)
    }
}

/// How the step size changes from the first iteration to the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all: with so few steps, falling rates learn less.
    #[default]
    Constant,
    /// It falls along half a cosine.
    Cosine {
        /// The rate at the end, over that at the start.
        final_rate: f64,
    },
    /// It rises in equal steps to the full rate, and stays there.
    WarmUp {
        /// The iteration, counted from 0, that is the first at the full rate.
        iterations: usize,
    },
}

impl Schedule {
    /// The share of the full rate in an iteration, counted from 0.
    fn share(self, iteration: usize, iterations: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine { final_rate } => {
                let done = iteration as f64 / iterations.max(1) as f64;
                let falling = f64::midpoint(1.0, (std::f64::consts::PI * done).cos());
                final_rate + (1.0 - final_rate) * falling
            }
            Self::WarmUp { iterations } => ((iteration + 1) as f64 / (iterations + 1) as f64).min(1.0),
        }
    }
}

/// When learning ends before its last iteration: the loss no longer falls.
///
/// Each loss is that of a few prompts drawn at random, so what is watched is its exponential mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// So many iterations in a row without a new lowest mean end the learning.
    pub patience: usize,
    /// What a mean must be lower by to count as a new lowest.
    pub least_gain: f64,
    /// The share of the past in the mean: 0 watches each loss by itself, nearer to 1 is calmer.
    pub smoothing: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 30, least_gain: 1e-3, smoothing: 0.9 }
    }
}

/// How a prompt encoder is learned.
///
/// The paper states the method, not its numbers, and learns the prompt encoder alone, as [`AssistConfig::prompt_encoder_only`] does.
/// The defaults are what segmented most of CT and MR by few clicks after ten seconds of learning from two slices on two CPU cores: the
/// decoder's token side learns too, at a hundredth of the prompt encoder's rate, and many steps of one slice teach more than half as
/// many of two. Numbers that a file lacks, since its writer did not know them yet, are those of [`AssistConfig::points`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssistConfig {
    /// Which prompts are drawn.
    pub kind: LearnedKind,
    /// Fewest and most points on the object, and as many beside it; drawn anew in each iteration.
    pub points: (usize, usize),
    /// Where points are drawn.
    pub sampling: SamplingScheme,
    /// How boxes are drawn.
    pub draw: PromptDraw,
    /// What learns.
    pub trained: Trained,
    /// How many are learned, step by step in turn, each from prompts of its own; asked together, the mean of their logits is the answer.
    ///
    /// Learning from a few slices depends much on the prompts that were drawn, and a mean does so less: for as many times the seconds, three
    /// members segment better than one (ten structures of CT and MR, from two slices and by 5 points, without clipped gradients: mean Dice
    /// 0.85 instead of 0.81).
    pub members: usize,
    /// Number of optimiser steps, for as many slices as a step takes; see [`AssistConfig::for_slices`] for more.
    pub iterations: usize,
    /// The same where learning goes on from what was learned before: see [`AssistConfig::warm`].
    pub warm_iterations: usize,
    /// How many slices, at the most, one step learns from.
    pub slices_per_step: usize,
    /// Step size of the prompt encoder and of extra tokens.
    pub learning_rate: f64,
    /// Step size of the decoder or its adapters: smaller, since they know much already that a few slices cannot teach them again.
    pub decoder_rate: f64,
    /// How both step sizes change.
    pub schedule: Schedule,
    /// Extra tokens and adapters start uniformly within this of zero.
    pub initial_spread: f64,
    /// `AdamW`'s decoupled weight decay.
    pub weight_decay: f64,
    /// The largest norm of all gradients together; larger ones are scaled down to it.
    ///
    /// Without one, a single slice on which the prediction fails can throw the learning back to answering nothing for some forty steps.
    pub largest_gradient: Option<f64>,
    /// Weight of the Dice loss; that of cross-entropy is 1.
    pub dice_weight: f64,
    /// Whether learning may end early.
    pub early_stopping: Option<EarlyStopping>,
    /// How many points, on the object and as many beside it, [`self_check`](crate::self_check) prompts a slice with.
    pub check_points: usize,
    /// Seed of all drawing.
    pub seed: u64,
}

impl Default for AssistConfig {
    fn default() -> Self {
        Self::points()
    }
}

impl AssistConfig {
    /// Learning from clicks.
    pub fn points() -> Self {
        Self {
            kind: LearnedKind::Points,
            points: (1, 10),
            sampling: SamplingScheme::Uniform,
            draw: PromptDraw::default(),
            trained: Trained::TokenSide,
            members: 1,
            iterations: 52,
            warm_iterations: 26,
            slices_per_step: 1,
            learning_rate: 2e-2,
            decoder_rate: 2e-4,
            schedule: Schedule::Constant,
            initial_spread: 0.02,
            weight_decay: 0.0,
            largest_gradient: Some(4.0),
            dice_weight: 1.0,
            early_stopping: None,
            check_points: 5,
            seed: 0,
        }
    }

    /// Learning from boxes, which say so much already that little is left to learn.
    pub fn boxes() -> Self {
        Self { kind: LearnedKind::Boxes, iterations: 25, warm_iterations: 12, learning_rate: 1e-2, ..Self::points() }
    }

    /// Learning from clicks and boxes together.
    pub fn composite() -> Self {
        Self { kind: LearnedKind::Composite, ..Self::points() }
    }

    /// Learning from clicks, boxes and both.
    pub fn mixed() -> Self {
        Self { kind: LearnedKind::Mixed, ..Self::points() }
    }

    /// The same with as many iterations as let each member learn from each of so many slices as often as if one step took them all.
    ///
    /// More slices have more to teach: with as many iterations as for few, they would be learned worse than those. Time grows with
    /// their number, as the paper's does.
    #[must_use]
    pub fn for_slices(self, slices: usize) -> Self {
        let at_once = self.slices_per_step.max(1);
        let iterations = self.iterations.saturating_mul(slices.max(at_once)) / at_once * self.members;
        Self { iterations, ..self }
    }

    /// The same with as many iterations as are needed to go on from what was learned before, by [`Learner::warm`](crate::Learner::warm):
    /// to be said before [`AssistConfig::for_slices`].
    #[must_use]
    pub fn warm(self) -> Self {
        Self { iterations: self.warm_iterations, ..self }
    }

    /// The same, but the prompt encoder alone learns: the paper's 6,220 parameters.
    #[must_use]
    pub fn prompt_encoder_only(self) -> Self {
        Self { trained: Trained::PromptEncoder, ..self }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`AssistError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AssistError> {
        let rule = |holds: bool, name, found: String, expected| {
            if holds { Ok(()) } else { Err(AssistError::Config { name, found, expected }) }
        };
        let (fewest, most) = self.points;
        rule((1..=most).contains(&fewest), "points", format!("{fewest} to {most}"), "at least 1, the fewest first")?;
        rule((1..=MOST_MEMBERS).contains(&self.members), "members", self.members.to_string(), "1 to 16")?;
        rule(self.slices_per_step > 0, "slices_per_step", "0".to_owned(), "at least 1")?;
        rule(self.check_points > 0, "check_points", "0".to_owned(), "at least 1")?;
        let (mut at_least_0, mut above_0) = (
            vec![
                ("learning_rate", self.learning_rate),
                ("decoder_rate", self.decoder_rate),
                ("initial_spread", self.initial_spread),
                ("weight_decay", self.weight_decay),
                ("dice_weight", self.dice_weight),
            ],
            Vec::from_iter(self.largest_gradient.map(|norm| ("largest_gradient", norm))),
        );
        match self.trained {
            Trained::PromptEncoder | Trained::TokenSide | Trained::Decoder => {}
            Trained::ExtraTokens { count } => rule(count > 0, "extra_tokens.count", "0".to_owned(), "at least 1")?,
            Trained::LowRank { rank, scale } => {
                rule(rank > 0, "low_rank.rank", "0".to_owned(), "at least 1")?;
                above_0.push(("low_rank.scale", scale));
            }
        }
        if let Schedule::Cosine { final_rate } = self.schedule {
            at_least_0.push(("final_rate", final_rate));
        }
        if let Some(EarlyStopping { patience, least_gain, smoothing }) = self.early_stopping {
            rule(patience > 0, "early_stopping.patience", "0".to_owned(), "at least 1")?;
            at_least_0.push(("early_stopping.least_gain", least_gain));
            let is_share = (0.0..1.0).contains(&smoothing);
            rule(is_share, "early_stopping.smoothing", smoothing.to_string(), "at least 0 and less than 1")?;
        }
        for (name, value) in at_least_0 {
            rule(value.is_finite() && value >= 0.0, name, value.to_string(), "a finite number of at least 0")?;
        }
        for (name, value) in above_0 {
            rule(value.is_finite() && value > 0.0, name, value.to_string(), "a finite number above 0")?;
        }
        Ok(())
    }

    /// The step sizes of an iteration.
    pub(crate) fn rates(&self, iteration: usize) -> Rates {
        let share = self.schedule.share(iteration, self.iterations);
        Rates { prompts: self.learning_rate * share, decoder: self.decoder_rate * share }
    }
}

/// The step sizes of one iteration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Of the prompt encoder and of extra tokens.
    pub(crate) prompts: f64,
    /// Of the decoder or its adapters.
    pub(crate) decoder: f64,
}
