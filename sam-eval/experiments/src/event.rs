//! Events that an experiment reports while it runs.

use std::ops::ControlFlow;

use sam_prompt::progress::Progress;

/// An event of a running experiment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// One experiment of several begins.
    Experiment {
        /// Its number, counted from 1.
        number: usize,
        /// Number of experiments.
        count: usize,
        /// Its title.
        title: String,
    },
    /// The tests on one structure of one case begin.
    Case {
        /// Case and structure.
        name: String,
        /// Number of [`Event::Step`]s that follow, unless results are in the journal already.
        steps: usize,
    },
    /// The current activity, in words.
    Activity(String),
    /// One step of a case is done: a learning iteration, a tested slice or a trial.
    Step {
        /// The loss, after a learning iteration.
        loss: Option<f32>,
    },
    /// Progress of a call within a step; not counted as a step.
    Progress(Progress),
    /// The tests on this case are complete.
    CaseDone,
    /// A note for the user, for example what was left out and why.
    Note(String),
}

/// An observer of an experiment. `Break` stops the experiment as soon as possible; it then ends with
/// [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
pub type EventObserver<'a> = dyn FnMut(&Event) -> ControlFlow<()> + 'a;

/// An observer that passes notes on to `tracing` and never stops the experiment.
pub fn trace_notes() -> impl FnMut(&Event) -> ControlFlow<()> {
    |event| {
        if let Event::Note(note) = event {
            tracing::info!("{note}");
        }
        ControlFlow::Continue(())
    }
}
