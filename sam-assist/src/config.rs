//! Every number of the learning.

use sam_prompt::PromptDraw;
use serde::{Deserialize, Serialize};

use crate::AssistError;

/// Which prompts the encoder learns to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnedKind {
    /// Clicks.
    Points,
    /// Boxes.
    Boxes,
    /// Clicks, boxes, and both together, in turn.
    Mixed,
}

/// How a prompt encoder is learned.
///
/// The paper states the method, not its numbers; the defaults are those that a PyTorch reference of the same method was tuned to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssistConfig {
    /// Which prompts are drawn.
    pub kind: LearnedKind,
    /// Fewest and most points on the object, and as many beside it; drawn anew in each iteration.
    pub points: (usize, usize),
    /// How boxes are drawn.
    pub draw: PromptDraw,
    /// Number of optimiser steps.
    pub iterations: usize,
    /// How many slices, at the most, one step learns from.
    pub slices_per_step: usize,
    /// Step size at the start.
    pub learning_rate: f64,
    /// Step size at the end, over that at the start; between them it falls along half a cosine. 1, the default, keeps it constant:
    /// with so few steps, falling rates learn less.
    pub final_rate: f64,
    /// `AdamW`'s decoupled weight decay.
    pub weight_decay: f64,
    /// Weight of the Dice loss; that of cross-entropy is 1.
    pub dice_weight: f64,
    /// Seed of all drawing.
    pub seed: u64,
}

impl AssistConfig {
    /// Learning from clicks.
    pub fn points() -> Self {
        Self {
            kind: LearnedKind::Points,
            points: (1, 10),
            draw: PromptDraw::default(),
            iterations: 120,
            slices_per_step: 2,
            learning_rate: 1e-2,
            final_rate: 1.0,
            weight_decay: 0.0,
            dice_weight: 1.0,
            seed: 0,
        }
    }

    /// Learning from boxes, which say so much already that little is left to learn.
    pub fn boxes() -> Self {
        Self { kind: LearnedKind::Boxes, iterations: 25, ..Self::points() }
    }

    /// Learning from clicks, boxes and both.
    pub fn mixed() -> Self {
        Self { kind: LearnedKind::Mixed, ..Self::points() }
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
        rule(self.slices_per_step > 0, "slices_per_step", "0".to_owned(), "at least 1")?;
        for (name, value) in [
            ("learning_rate", self.learning_rate),
            ("final_rate", self.final_rate),
            ("weight_decay", self.weight_decay),
            ("dice_weight", self.dice_weight),
        ] {
            rule(value.is_finite() && value >= 0.0, name, value.to_string(), "a finite number of at least 0")?;
        }
        Ok(())
    }

    /// The learning rate of an iteration.
    pub(crate) fn rate(&self, iteration: usize) -> f64 {
        let done = iteration as f64 / self.iterations.max(1) as f64;
        let falling = f64::midpoint(1.0, (std::f64::consts::PI * done).cos());
        self.learning_rate * (self.final_rate + (1.0 - self.final_rate) * falling)
    }
}
