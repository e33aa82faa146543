//! Events of an annotator.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use sam_auto::{RankedSlice, StrategyKind};
use sam_prompt::progress::Progress;

use crate::{AnnotationSummary, Expectation};

/// Where the learning of a structure started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LearnedFrom {
    /// At the model.
    Model,
    /// At the card of the last round.
    LastRound,
    /// At a card of other scans, which is improved.
    Card {
        /// The structure that the card was learned for.
        card: Arc<str>,
        /// Number of scans that the card was learned from.
        scans: usize,
    },
}

/// Event of an annotator: progress or a result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The annotations were understood. It is the first event of a run: nothing was embedded or learned yet.
    Understood {
        /// What was understood.
        summary: Arc<AnnotationSummary>,
    },
    /// Progress of a stage of a structure.
    Progress {
        /// The structure's name; "all structures" while they are joined.
        structure: Arc<str>,
        /// The stage and its progress.
        progress: Progress,
    },
    /// A structure was learned.
    Learned {
        /// The structure's name.
        structure: Arc<str>,
        /// Learning time in seconds, without embedding.
        seconds: f64,
        /// Where learning started.
        start: LearnedFrom,
    },
    /// A card is used instead of learning.
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
        /// Number of annotated slices, including those without the structure.
        annotated: usize,
        /// Number of slices that show the structure, including annotated slices.
        found: usize,
        /// Number of all slices.
        slices: usize,
        /// What segmented it. A fusion of one outline is mask propagation.
        strategy: StrategyKind,
    },
    /// A structure's slices that nobody annotated were ranked.
    Ranked {
        /// The structure's name.
        structure: Arc<str>,
        /// The slices, least trusted first. A person should look at the first ones.
        ranking: Arc<[RankedSlice]>,
    },
    /// It was tested what Dice is to be expected of a structure that was fused. All masks are complete: a stop does not change them.
    Expected {
        /// The structure's name.
        structure: Arc<str>,
        /// What was fused, and the Dice to be expected.
        expected: Arc<Expectation>,
    },
}

impl Event {
    /// The name of the event's structure; `None` for [`Event::Understood`], which is about all structures.
    pub fn structure(&self) -> Option<&str> {
        match self {
            Self::Understood { .. } => None,
            Self::Progress { structure, .. }
            | Self::Learned { structure, .. }
            | Self::CardUsed { structure, .. }
            | Self::CardSaved { structure, .. }
            | Self::Segmented { structure, .. }
            | Self::Ranked { structure, .. }
            | Self::Expected { structure, .. } => Some(structure),
        }
    }
}

/// Event receiver of an annotator. [`ControlFlow::Break`] stops the work as soon as possible.
///
/// It is called on a thread of the computing pool and must therefore be `Send`.
pub type Events<'a> = dyn FnMut(&Event) -> ControlFlow<()> + Send + 'a;

/// Receives events and never stops the work.
///
/// ```
/// let events: &mut sam_annotate::Events<'_> = &mut sam_annotate::ignore_events();
/// ```
pub fn ignore_events() -> impl FnMut(&Event) -> ControlFlow<()> + Send {
    |_| ControlFlow::Continue(())
}
