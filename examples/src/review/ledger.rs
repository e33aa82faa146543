//! Where the decisions of a review are kept: in memory until the mask is saved, or in a session at once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use sam_data::LabelVolume;
use sam_prompt::ndarray;
use serde_json::{Value, json};

use super::SliceState;
use crate::session::{Event, Origin, Session};

/// A slice's labels, and what was decided about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Label values: `[rows, columns]`.
    pub labels: Array2<u16>,
    /// What was decided.
    pub state: SliceState,
    /// Whether no structure is on it.
    pub is_blank: bool,
}

impl Sheet {
    /// Labels that stand so.
    pub fn new(labels: Array2<u16>, state: SliceState) -> Self {
        let is_blank = is_blank(&labels);
        Self { labels, state, is_blank }
    }
}

fn is_blank(labels: &Array2<u16>) -> bool {
    labels.iter().all(|&label| label == 0)
}

/// Keeps decisions, and takes them back.
pub trait Ledger: Send {
    /// Keeps what was decided on a slice, and gives how it stands then; `before` is how it stood.
    ///
    /// # Errors
    /// If it cannot be kept: nothing has then changed.
    fn keep(&mut self, slice: usize, before: &Sheet, decided: Sheet) -> Result<Sheet>;

    /// Whether there is a decision to take back.
    fn can_undo(&self) -> bool;

    /// Takes the last decision back: its slice, and how that stands now. `None` where there is none.
    ///
    /// # Errors
    /// If that cannot be kept.
    fn undo(&mut self) -> Result<Option<(usize, Sheet)>>;

    /// Whether a mask shows what was found on rejected slices: a later round finds it anew.
    fn writes_rejected(&self) -> bool;

    /// Where a mask comes from, in at most 64 characters.
    fn describe(&self) -> String;

    /// What is written beside a mask that has these decisions in it: the ending of the file's name, the field's name, and its content.
    fn record(&self, states: &BTreeMap<usize, SliceState>) -> (&'static str, &'static str, Value);
}

/// Slices as they were before each decision. What was not saved is lost with the program.
#[derive(Debug, Default)]
pub struct Memory(Vec<(usize, Sheet)>);

impl Ledger for Memory {
    fn keep(&mut self, slice: usize, before: &Sheet, decided: Sheet) -> Result<Sheet> {
        self.0.push((slice, before.clone()));
        Ok(decided)
    }

    fn can_undo(&self) -> bool {
        !self.0.is_empty()
    }

    fn undo(&mut self) -> Result<Option<(usize, Sheet)>> {
        Ok(self.0.pop())
    }

    fn writes_rejected(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "reviewed".to_owned()
    }

    fn record(&self, states: &BTreeMap<usize, SliceState>) -> (&'static str, &'static str, Value) {
        ("review.json", "slices", json!(states))
    }
}

/// A session: each decision is on the disk before it is shown.
#[derive(Debug)]
pub struct SessionLedger {
    session: Session,
    /// The current round's mask, as it was found.
    found: LabelVolume,
}

impl SessionLedger {
    /// Goes on with a session that has a round to review.
    ///
    /// # Errors
    /// If it has none yet, or its mask is missing or damaged.
    pub fn new(session: Session) -> Result<Self> {
        let found = session
            .found()?
            .context("nothing was found in this session yet: run `annotate` in it first, with a few slices outlined")?;
        Ok(Self { session, found })
    }

    /// How every slice stands.
    ///
    /// # Errors
    /// If a slice of the person's is missing or damaged.
    pub fn sheets(&self) -> Result<Vec<Sheet>> {
        (0..self.session.plane().count()).map(|slice| self.sheet(slice)).collect()
    }

    fn sheet(&self, slice: usize) -> Result<Sheet> {
        let state = self.session.state();
        let Some(person) = state.slices.get(&slice) else {
            let labels = self.session.plane().extract(self.found.labels.view(), slice);
            let is_rejected = state.rejected.contains(&slice);
            let state = if is_rejected { SliceState::Rejected } else { SliceState::Predicted };
            return Ok(Sheet::new(labels, state));
        };
        let labels = self.session.labels_of(slice, person)?;
        let state = match person.origin {
            _ if is_blank(&labels) => SliceState::Empty,
            Origin::Drawn => SliceState::Drawn,
            Origin::Accepted => SliceState::Accepted,
        };
        Ok(Sheet::new(labels, state))
    }
}

impl Ledger for SessionLedger {
    /// A slice that is rejected is no longer the person's: it stands as it was found.
    fn keep(&mut self, slice: usize, _: &Sheet, decided: Sheet) -> Result<Sheet> {
        let labels = decided.labels.view();
        match decided.state {
            SliceState::Drawn | SliceState::Empty => self.session.draw(slice, labels)?,
            SliceState::Accepted => self.session.accept_as(slice, labels)?,
            SliceState::Rejected => {
                self.session.reject(slice)?;
                return self.sheet(slice);
            }
            SliceState::Predicted => bail!("nothing was decided on slice {slice}"),
        };
        Ok(decided)
    }

    /// A round is no decision; `annotate --undo` takes it back.
    fn can_undo(&self) -> bool {
        self.session.last().is_some_and(|last| last.slice().is_some())
    }

    fn undo(&mut self) -> Result<Option<(usize, Sheet)>> {
        let Some(slice) = self.session.last().and_then(Event::slice) else { return Ok(None) };
        self.session.undo()?;
        Ok(Some((slice, self.sheet(slice)?)))
    }

    fn writes_rejected(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.session.describe()
    }

    fn record(&self, _: &BTreeMap<usize, SliceState>) -> (&'static str, &'static str, Value) {
        ("json", "session", self.session.provenance())
    }
}
