//! State of a session, computed from its events.

use std::collections::{BTreeMap, BTreeSet};

use sam_files::Sha256Id;
use serde::Serialize;

use super::event::{LogEntry, Round, SessionEvent};

/// How a slice became the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The person outlined or corrected it.
    Drawn,
    /// The person accepted the mask of a round.
    Accepted,
}

/// A slice of the person: outlined, corrected or accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PersonSlice {
    /// How the slice became the person's.
    pub origin: Origin,
    /// Its labels, by the SHA-256 of their file.
    pub labels: Sha256Id,
    /// The structures that the person decided on, by label value; the others are looked for on this slice. `None`: all structures of the
    /// session's header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<BTreeSet<u16>>,
}

/// State of a session.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionState {
    /// The person's slices. Their labels stay as they are.
    pub slices: BTreeMap<usize, PersonSlice>,
    /// Slices that the person rejected and has not corrected.
    pub rejected: BTreeSet<usize>,
    /// The round whose mask is the current one.
    pub round: Option<Round>,
    /// Names given since the session was created, by label value. [`Session::structures`](super::Session::structures) has those of the
    /// header, too.
    pub names: BTreeMap<u16, String>,
}

impl SessionState {
    /// The state after these events. Undone events have no effect.
    pub(super) fn after(entries: &[LogEntry]) -> Self {
        let mut state = Self::default();
        in_effect(entries).for_each(|entry| state.apply(&entry.event));
        state
    }

    fn apply(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::Drawn { slice, labels, decided } => {
                self.decide(*slice, Origin::Drawn, *labels, decided.as_ref());
            }
            SessionEvent::Accepted { slice, labels, decided } => {
                self.decide(*slice, Origin::Accepted, *labels, decided.as_ref());
            }
            SessionEvent::Rejected { slice } => {
                self.slices.remove(slice);
                self.rejected.insert(*slice);
            }
            SessionEvent::Round(round) => self.round = Some(round.clone()),
            SessionEvent::Named { label, name } => drop(self.names.insert(*label, name.clone())),
            SessionEvent::Undone { .. } => {}
        }
    }

    fn decide(&mut self, slice: usize, origin: Origin, labels: Sha256Id, decided: Option<&BTreeSet<u16>>) {
        self.slices.insert(slice, PersonSlice { origin, labels, decided: decided.cloned() });
        self.rejected.remove(&slice);
    }

    /// The person's slices of one origin, in ascending order.
    pub fn slices_of(&self, origin: Origin) -> Vec<usize> {
        self.slices.iter().filter(|(_, slice)| slice.origin == origin).map(|(&index, _)| index).collect()
    }

    /// Whether the person's slices and their labels are the same as in another state, and decide on the same structures.
    pub fn has_same_labels(&self, other: &Self) -> bool {
        let said = |state: &Self| -> Vec<_> {
            let slices = state.slices.iter();
            slices.map(|(&index, slice)| (index, slice.labels, slice.decided.clone())).collect()
        };
        said(self) == said(other)
    }
}

/// All rounds, including undone rounds, each with the number of events before it.
pub(super) fn rounds(entries: &[LogEntry]) -> impl Iterator<Item = (usize, &Round)> {
    entries.iter().enumerate().filter_map(|(place, entry)| match &entry.event {
        SessionEvent::Round(round) => Some((place, round)),
        _ => None,
    })
}

/// The events in effect, without undo events.
fn in_effect(entries: &[LogEntry]) -> impl Iterator<Item = &LogEntry> {
    let undone = entries.iter().filter_map(|entry| match entry.event {
        SessionEvent::Undone { event } => Some(event),
        _ => None,
    });
    let undone: BTreeSet<u64> = undone.collect();
    let is_in_effect =
        move |entry: &&LogEntry| !undone.contains(&entry.number) && !matches!(entry.event, SessionEvent::Undone { .. });
    entries.iter().filter(is_in_effect)
}
