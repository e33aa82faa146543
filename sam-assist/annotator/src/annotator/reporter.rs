//! Reports the events of a run, and remembers whether it was stopped.

use std::{ops::ControlFlow, sync::Arc};

use sam_auto::AutoError;
use sam_prompt::progress::Progress;

use crate::{AnnotateError, Event, Events};

/// Why a structure is incomplete.
pub(super) enum Halt {
    /// The event receiver stopped the run.
    Stopped,
    /// Something failed.
    Failed(AnnotateError),
}

impl From<AnnotateError> for Halt {
    fn from(error: AnnotateError) -> Self {
        Self::Failed(error)
    }
}

impl Halt {
    /// Converts the error of a step that can be stopped.
    pub(super) fn of(error: AutoError, name: impl FnOnce(AutoError) -> AnnotateError) -> Self {
        match error {
            AutoError::Stopped => Self::Stopped,
            other => Self::Failed(name(other)),
        }
    }
}

/// Reports events. Once the receiver has answered `Break`, it is not called again.
pub(super) struct Reporter<'a, 'b> {
    events: &'a mut Events<'b>,
    stopped: bool,
}

impl<'a, 'b> Reporter<'a, 'b> {
    pub(super) fn new(events: &'a mut Events<'b>) -> Self {
        Self { events, stopped: false }
    }

    /// Whether the receiver stopped the run.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Reports an event.
    ///
    /// # Errors
    /// [`Halt::Stopped`] if the receiver stops the run now or has stopped it before.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), Halt> {
        self.stopped = self.stopped || (self.events)(&event).is_break();
        if self.stopped { Err(Halt::Stopped) } else { Ok(()) }
    }

    /// An observer for a step of a structure.
    pub(super) fn observer(&mut self, structure: &Arc<str>) -> impl FnMut(&Progress) -> ControlFlow<()> {
        let structure = Arc::clone(structure);
        move |progress| match self.tell(Event::Progress { structure: Arc::clone(&structure), progress: *progress }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
