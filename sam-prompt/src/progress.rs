//! One kind of observer for every long call of the workspace: it is told how far the work is, and can stop it.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

/// What a long call is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Reads a file.
    Read,
    /// Embeds slices with the image encoder.
    Embed,
    /// Learns prompts: one unit is one iteration.
    Learn,
    /// Fits prompt generators, such as SAP-Net: one unit is one iteration.
    Fit,
    /// Segments slices.
    Segment,
    /// Estimates how far each slice can be trusted.
    Rank,
    /// Tests what was learned on annotated slices that were left out.
    SelfCheck,
    /// Writes results.
    Write,
}

/// How far a long call is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Units of work done in this stage.
    pub done: usize,
    /// Units of work in this stage, unless it ends early.
    pub total: usize,
    /// The slice that was just finished, counted from 0.
    pub slice: Option<usize>,
    /// The loss of the last training iteration.
    pub loss: Option<f32>,
}

impl Progress {
    /// `done` of `total` units of a stage.
    pub const fn new(stage: Stage, done: usize, total: usize) -> Self {
        Self { stage, done, total, slice: None, loss: None }
    }

    /// This progress, for a slice that was just finished.
    #[must_use]
    pub const fn at_slice(self, slice: usize) -> Self {
        Self { slice: Some(slice), ..self }
    }

    /// This progress, with the loss of the last iteration.
    #[must_use]
    pub const fn with_loss(self, loss: f32) -> Self {
        Self { loss: Some(loss), ..self }
    }
}

/// Watches a long call. [`ControlFlow::Break`] stops it as soon as it can stop.
///
/// ```
/// use std::ops::ControlFlow;
/// use sam_prompt::progress::{Observer, Progress};
///
/// let mut seen = 0;
/// let observer: &mut Observer = &mut |progress: &Progress| {
///     seen += 1;
///     if progress.done >= 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// };
/// # let _ = observer(&Progress::new(sam_prompt::progress::Stage::Segment, 1, 20));
/// ```
pub type Observer<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// An observer that watches nothing and never stops the work.
pub fn ignore_progress() -> impl FnMut(&Progress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}
