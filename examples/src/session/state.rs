//! Where a session stands: what follows from its events.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Entry, Event, ObjectId, Round};

/// How a slice became the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The person outlined or corrected it.
    Drawn,
    /// The person took over what was found.
    Accepted,
}

/// A slice that a person has decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PersonSlice {
    /// How it became theirs.
    pub origin: Origin,
    /// Its labels.
    pub labels: ObjectId,
}

/// Where a session stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The person's slices: what they say stays.
    pub slices: BTreeMap<usize, PersonSlice>,
    /// Slices that the person found to be wrong, and that are nobody's.
    pub rejected: BTreeSet<usize>,
    /// The round whose mask is the current one.
    pub round: Option<Round>,
}

impl State {
    /// What follows from events, those that were undone left out.
    pub(super) fn after(entries: &[Entry]) -> Self {
        let mut state = Self::default();
        in_effect(entries).for_each(|entry| state.apply(&entry.event));
        state
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Drawn { slice, labels } => self.decide(*slice, Origin::Drawn, *labels),
            Event::Accepted { slice, labels } => self.decide(*slice, Origin::Accepted, *labels),
            Event::Rejected { slice } => {
                self.slices.remove(slice);
                self.rejected.insert(*slice);
            }
            Event::Round(round) => self.round = Some(round.clone()),
            Event::Undone { .. } => {}
        }
    }

    fn decide(&mut self, slice: usize, origin: Origin, labels: ObjectId) {
        self.slices.insert(slice, PersonSlice { origin, labels });
        self.rejected.remove(&slice);
    }

    /// The person's slices of one origin.
    pub fn slices_of(&self, origin: Origin) -> Vec<usize> {
        self.slices.iter().filter(|(_, slice)| slice.origin == origin).map(|(&index, _)| index).collect()
    }

    /// Whether a person says the same of the same slices.
    pub fn has_same_labels(&self, other: &Self) -> bool {
        let labels =
            |state: &Self| state.slices.iter().map(|(&index, slice)| (index, slice.labels)).collect::<Vec<_>>();
        labels(self) == labels(other)
    }
}

/// All rounds, undone or not, each with how many events came before it.
pub(super) fn rounds(entries: &[Entry]) -> impl Iterator<Item = (usize, &Round)> {
    entries.iter().enumerate().filter_map(|(place, entry)| match &entry.event {
        Event::Round(round) => Some((place, round)),
        _ => None,
    })
}

/// The events that were not undone; undoing is not among them.
fn in_effect(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let undone = entries.iter().filter_map(|entry| match entry.event {
        Event::Undone { event } => Some(event),
        _ => None,
    });
    let undone: BTreeSet<u64> = undone.collect();
    entries.iter().filter(move |entry| !undone.contains(&entry.number) && !matches!(entry.event, Event::Undone { .. }))
}
