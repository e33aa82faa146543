//! What an annotator reports while it works.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use sam_auto::RankedSlice;
use sam_prompt::progress::Progress;

/// What an annotator reports while it works.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// How far a stage of a structure is.
    Progress {
        /// The structure's name.
        structure: Arc<str>,
        /// The stage, and how far it is.
        progress: Progress,
    },
    /// A structure was learned.
    Learned {
        /// The structure's name.
        structure: Arc<str>,
        /// Seconds that learning took, embedding not included.
        seconds: f64,
        /// Whether learning started from a card instead of the model.
        warm: bool,
    },
    /// A card takes the place of learning.
    CardUsed {
        /// The structure's name.
        structure: Arc<str>,
        /// The structure that the card was learned for.
        card: Arc<str>,
    },
    /// A card was written.
    CardSaved {
        /// The structure's name.
        structure: Arc<str>,
        /// The card's file.
        path: PathBuf,
    },
    /// A structure was segmented.
    Segmented {
        /// The structure's name.
        structure: Arc<str>,
        /// Number of annotated slices, those without the structure included.
        annotated: usize,
        /// Number of slices that show the structure, annotated ones included.
        found: usize,
        /// Number of all slices.
        slices: usize,
    },
    /// The slices of a structure that nobody annotated were ranked.
    Ranked {
        /// The structure's name.
        structure: Arc<str>,
        /// The slices, the least trusted first: a person should look at these first.
        ranking: Arc<[RankedSlice]>,
    },
}

impl Event {
    /// The name of the structure that is worked on.
    pub fn structure(&self) -> &str {
        match self {
            Self::Progress { structure, .. }
            | Self::Learned { structure, .. }
            | Self::CardUsed { structure, .. }
            | Self::CardSaved { structure, .. }
            | Self::Segmented { structure, .. }
            | Self::Ranked { structure, .. } => structure,
        }
    }
}

/// Receives an annotator's events. [`ControlFlow::Break`] stops the work as soon as it can stop.
///
/// It is called on a thread of the computing pool, hence `Send`.
pub type Events<'a> = dyn FnMut(&Event) -> ControlFlow<()> + Send + 'a;

/// Receives events and never stops the work.
///
/// ```
/// let events: &mut sam_annotate::Events<'_> = &mut sam_annotate::ignore_events();
/// ```
pub fn ignore_events() -> impl FnMut(&Event) -> ControlFlow<()> + Send {
    |_| ControlFlow::Continue(())
}
