//! Storage of the decisions of a review: in memory until the mask is saved, or in a session at once.

use std::collections::BTreeMap;

use sam_annotate::{
    Pace,
    session::{Origin, Session, SessionError, SessionEvent},
};
use sam_data::LabelVolume;
use sam_prompt::ndarray::Array2;
use serde_json::{Value, json};

use crate::{SliceState, StoreError};

/// The labels of a slice, and the decision about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceReview {
    labels: Array2<u16>,
    state: SliceState,
    is_blank: bool,
}

impl SliceReview {
    /// The labels of a slice, `[rows, columns]`, and its state.
    pub fn new(labels: Array2<u16>, state: SliceState) -> Self {
        let is_blank = is_blank(&labels);
        Self { labels, state, is_blank }
    }

    /// Label values: `[rows, columns]`.
    pub fn labels(&self) -> &Array2<u16> {
        &self.labels
    }

    /// The decision on the slice.
    pub fn state(&self) -> SliceState {
        self.state
    }

    /// Whether the slice shows no structure.
    pub fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// The same labels in another state.
    #[must_use]
    pub fn with_state(self, state: SliceState) -> Self {
        Self { state, ..self }
    }
}

fn is_blank(labels: &Array2<u16>) -> bool {
    labels.iter().all(|&label| label == 0)
}

/// Information about the decisions in a mask, written to its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    /// The field of the record.
    pub field: &'static str,
    /// The field's value.
    pub content: Value,
}

/// Storage of decisions that can be undone.
pub trait DecisionStore: Send + Sync {
    /// Stores a decision, and returns the slice's new state; `before` is its state before.
    ///
    /// # Errors
    /// If it cannot be stored. Nothing has changed then.
    fn keep(&mut self, slice: usize, before: &SliceReview, decided: SliceReview) -> Result<SliceReview, StoreError>;

    /// Whether there is a decision to undo.
    fn can_undo(&self) -> bool;

    /// Undoes the last decision, and returns its slice with its new state; `None` if there is none.
    ///
    /// # Errors
    /// If that cannot be stored. Nothing has changed then.
    fn undo(&mut self) -> Result<Option<(usize, SliceReview)>, StoreError>;

    /// Seconds that a person's actions take. Assumed, unless the storage knows when they decided.
    fn pace(&self) -> Pace {
        Pace::default()
    }

    /// Whether a mask contains the labels of rejected slices, because a later round segments them again.
    fn writes_rejected(&self) -> bool;

    /// A description of the mask's origin, in at most 64 characters.
    fn describe(&self) -> String;

    /// Information about a mask with these decisions, to be written next to it.
    fn provenance(&self, states: &BTreeMap<usize, SliceState>) -> Provenance;
}

/// Keeps decisions in memory, as the state of each slice before it. Decisions that are not saved are lost when the program ends.
#[derive(Debug, Default)]
pub struct MemoryStore(Vec<(usize, SliceReview)>);

impl MemoryStore {
    /// A store without decisions.
    pub fn new() -> Self {
        Self::default()
    }
}

impl DecisionStore for MemoryStore {
    fn keep(&mut self, slice: usize, before: &SliceReview, decided: SliceReview) -> Result<SliceReview, StoreError> {
        self.0.push((slice, before.clone()));
        Ok(decided)
    }

    fn can_undo(&self) -> bool {
        !self.0.is_empty()
    }

    fn undo(&mut self) -> Result<Option<(usize, SliceReview)>, StoreError> {
        Ok(self.0.pop())
    }

    fn writes_rejected(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "reviewed".to_owned()
    }

    fn provenance(&self, states: &BTreeMap<usize, SliceState>) -> Provenance {
        Provenance { field: "slices", content: json!(states) }
    }
}

/// Stores each decision in a session: it is on the disk before the page shows it.
#[derive(Debug)]
pub struct SessionStore {
    session: Session,
    /// The current round's mask before any decision.
    found: LabelVolume,
}

impl SessionStore {
    /// Continues a session that has a round to review.
    ///
    /// # Errors
    /// [`StoreError::NothingToReview`] if it has none yet; [`StoreError::Session`] if its mask is missing or damaged.
    pub fn new(session: Session) -> Result<Self, StoreError> {
        let found = session.found()?.ok_or(StoreError::NothingToReview)?;
        Ok(Self { session, found })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The state of every slice.
    ///
    /// # Errors
    /// [`StoreError::Session`] if a slice that the person drew or accepted is missing or damaged.
    pub fn slices(&self) -> Result<Vec<SliceReview>, StoreError> {
        (0..self.session.plane().count()).map(|slice| Ok(self.slice(slice)?)).collect()
    }

    fn slice(&self, slice: usize) -> Result<SliceReview, SessionError> {
        let state = self.session.state();
        let Some(person) = state.slices.get(&slice) else {
            let labels = self.session.plane().extract(self.found.labels.view(), slice);
            let is_rejected = state.rejected.contains(&slice);
            let state = if is_rejected { SliceState::Rejected } else { SliceState::Predicted };
            return Ok(SliceReview::new(labels, state));
        };
        let labels = self.session.shown(slice, person, &self.found)?;
        let state = match person.origin {
            _ if is_blank(&labels) => SliceState::Empty,
            Origin::Drawn => SliceState::Drawn,
            Origin::Accepted => SliceState::Accepted,
        };
        Ok(SliceReview::new(labels, state))
    }
}

impl DecisionStore for SessionStore {
    /// A rejected slice gets back the labels that the round found.
    fn keep(&mut self, slice: usize, _: &SliceReview, decided: SliceReview) -> Result<SliceReview, StoreError> {
        let labels = decided.labels.view();
        match decided.state {
            SliceState::Drawn => self.session.correct(slice, labels)?,
            SliceState::Empty => self.session.draw(slice, labels)?,
            SliceState::Accepted => self.session.accept_as(slice, labels)?,
            SliceState::Rejected => {
                self.session.reject(slice)?;
                return Ok(self.slice(slice)?);
            }
            state @ SliceState::Predicted => return Err(StoreError::NoDecision { slice, state }),
        };
        Ok(decided)
    }

    fn pace(&self) -> Pace {
        Pace::of(&self.session)
    }

    /// A round is not a decision; `sam-med annotate --undo` undoes it.
    fn can_undo(&self) -> bool {
        self.session.last().is_some_and(|last| last.slice().is_some())
    }

    fn undo(&mut self) -> Result<Option<(usize, SliceReview)>, StoreError> {
        let Some(slice) = self.session.last().and_then(SessionEvent::slice) else { return Ok(None) };
        self.session.undo()?;
        Ok(Some((slice, self.slice(slice)?)))
    }

    fn writes_rejected(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.session.describe()
    }

    fn provenance(&self, _: &BTreeMap<usize, SliceState>) -> Provenance {
        Provenance { field: "session", content: self.session.provenance() }
    }
}
