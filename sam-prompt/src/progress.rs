//! Progress and cancellation: the observer of every long call of the workspace receives progress and can stop the call. Also the reason why
//! a call stopped.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

/// The stage of a long call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Reads the files of a scan.
    Read,
    /// Fetches a file over the network.
    Fetch,
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
    /// Decides between structures that overlap: one unit is one slice with an overlap.
    Join,
    /// Tests what was learned on annotated slices that were left out.
    SelfCheck,
    /// Compares what was learned with an earlier result, on annotated slices that both left out.
    Compare,
}

/// The progress of a long call.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Units of work done in this stage.
    pub done: usize,
    /// Units of work in this stage, if it does not end early.
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

/// Receives the progress of a long call. Returning [`ControlFlow::Break`] stops the call at its next step.
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

/// An observer that ignores progress and never stops the work.
pub fn ignore_progress() -> impl FnMut(&Progress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

/// Why a long call, such as a training, stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All work was done.
    Complete,
    /// The training converged before its last iteration.
    Converged,
    /// The observer stopped it, so that the result is partial.
    Stopped,
}

impl StopReason {
    /// Whether the result is partial, because the observer stopped the call.
    pub const fn is_partial(self) -> bool {
        matches!(self, Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observers_receive_progress_and_can_stop() {
        let mut losses = Vec::new();
        let observer: &mut Observer<'_> = &mut |progress: &Progress| {
            losses.push(progress.loss);
            if progress.done == progress.total { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(observer(&Progress::new(Stage::Fit, 1, 2).at_slice(3)).is_continue());
        assert!(observer(&Progress::new(Stage::Fit, 2, 2).with_loss(0.5)).is_break());
        assert_eq!(losses, [None, Some(0.5)]);
        assert!(ignore_progress()(&Progress::new(Stage::Read, 0, 1)).is_continue());
    }

    #[test]
    fn only_a_stopped_call_is_partial() {
        assert!(StopReason::Stopped.is_partial());
        assert!(!StopReason::Complete.is_partial() && !StopReason::Converged.is_partial());
    }
}
