//! Learning rate schedules and early stopping.

use serde::{Deserialize, Serialize};

/// Learning rate schedule, from the first iteration to the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// Constant rate. With so few steps, decaying rates learn less.
    #[default]
    Constant,
    /// Decays along half a cosine.
    Cosine {
        /// The final rate as a fraction of the initial one.
        final_rate: f64,
    },
    /// Rises linearly to the full rate and stays there.
    WarmUp {
        /// The first iteration at the full rate, counted from 0.
        iterations: usize,
    },
}

impl Schedule {
    /// The fraction of the full rate in an iteration, counted from 0.
    pub(crate) fn fraction(self, iteration: usize, iterations: usize) -> f64 {
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

/// Early stopping: ends training before its last iteration when the loss no longer falls.
///
/// The loss of one step depends on the few prompts that were drawn, so the rule watches its exponential moving average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EarlyStopping {
    /// Number of consecutive iterations without a new minimum of the average, after which training ends.
    pub patience: usize,
    /// Minimum decrease of the average that counts as a new minimum.
    pub least_gain: f64,
    /// Weight of the past in the average. 0 uses each loss by itself; values closer to 1 smooth more.
    pub smoothing: f64,
}

crate::__setters!(EarlyStopping {
    with_patience => patience: usize,
    with_least_gain => least_gain: f64,
    with_smoothing => smoothing: f64,
});

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 30, least_gain: 1e-3, smoothing: 0.9 }
    }
}

impl EarlyStopping {
    /// Whether the average has had no new minimum for `patience` iterations.
    pub(crate) fn has_converged(self, losses: &[f32]) -> bool {
        let mut losses = losses.iter().map(|&loss| f64::from(loss));
        let Some(mut mean) = losses.next() else { return false };
        let (mut lowest, mut waited) = (mean, 0);
        for loss in losses {
            mean = self.smoothing * mean + (1.0 - self.smoothing) * loss;
            waited += 1;
            if mean < lowest - self.least_gain {
                (lowest, waited) = (mean, 0);
            }
        }
        waited >= self.patience
    }
}
