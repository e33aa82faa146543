//! Decisions of a person since the last round, read from the label map that the person returns.

use std::collections::{BTreeMap, BTreeSet};

use sam_data::{GridMismatch, LabelVolume};
use sam_files::sanitize;
use sam_prompt::ndarray::Array2;
use thiserror::Error;

use crate::{
    SliceList,
    session::{Session, SessionError},
};

/// Corrections that a person returns after a round: usually a corrected copy of the mask, and lists of slices.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Corrections {
    /// Before the first round, a label map with a few outlined slices; later, the last mask with a few corrected slices.
    pub labels: Option<LabelVolume>,
    /// Slices of the last mask that are correct.
    pub accept: SliceList,
    /// Slices of the last mask that are wrong.
    pub reject: SliceList,
    /// Slices that show none of the structures.
    pub empty: SliceList,
    /// Names of structures, by label value: a new value is added to the session, a known one is renamed.
    pub names: BTreeMap<u16, String>,
}

impl Corrections {
    /// No corrections.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets the label map: a few outlined slices before the first round, a corrected copy of the last mask afterwards.
    #[must_use]
    pub fn with_labels(self, labels: LabelVolume) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// Sets the slices of the last mask that are correct.
    #[must_use]
    pub fn with_accepted(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { accept: slices.into_iter().collect(), ..self }
    }

    /// Sets the slices of the last mask that are wrong.
    #[must_use]
    pub fn with_rejected(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { reject: slices.into_iter().collect(), ..self }
    }

    /// Sets the slices that show none of the structures.
    #[must_use]
    pub fn with_empty(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { empty: slices.into_iter().collect(), ..self }
    }

    /// Sets names of structures, by label value: a new value is added to the session, a known one is renamed.
    #[must_use]
    pub fn with_names(self, names: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self { names: names.into_iter().filter(|&(label, _)| label != 0).collect(), ..self }
    }
}

/// Why corrections are refused: they contradict themselves or the session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// The label map is not on the scan's grid.
    #[error("the label map does not lie on the grid of {scan}; resample it onto the scan's grid")]
    OtherGrid {
        /// The scan's name.
        scan: String,
        /// What differs.
        #[source]
        source: GridMismatch,
    },
    /// A slice is listed as empty, and the label map has an outline there.
    #[error("slice {slice} is listed as empty, but the label map has an outline there; do one of both")]
    OutlinedAndEmpty {
        /// The slice.
        slice: usize,
    },
    /// A slice is accepted and rejected.
    #[error("slice {slice} is accepted and rejected at the same time; do one of both")]
    AcceptedAndRejected {
        /// The slice.
        slice: usize,
    },
    /// A slice is corrected and rejected.
    #[error("slice {slice} is corrected and rejected at the same time; do one of both")]
    CorrectedAndRejected {
        /// The slice.
        slice: usize,
    },
    /// Two structures would have the same name, so results could not tell them apart.
    #[error(
        "the label values {} and {} would both be called {name:?}; give each structure a name of its own in the file of names",
        labels[0], labels[1]
    )]
    SameName {
        /// The name.
        name: String,
        /// The label values.
        labels: [u16; 2],
    },
    /// The label map has only a few outlines, so all other slices would count as emptied.
    #[error(
        "the label map keeps no slice of the last mask, and has nothing on slices {emptied}; correct a copy of the last mask instead of a \
         map of outlines alone, or list these slices as empty if nothing is on them"
    )]
    NotACorrectedMask {
        /// The slices that would be emptied.
        emptied: SliceList,
    },
    /// The session cannot be read or written.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A structure that is added to a session or renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedStructure {
    /// Its label value.
    pub label: u16,
    /// Its name so far; `None` if it is added.
    pub before: Option<String>,
    /// Its new name.
    pub name: String,
}

/// Decisions of a person, ready to be recorded in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    named: Vec<NamedStructure>,
    drawn: Vec<(usize, Array2<u16>)>,
    accepted: Vec<usize>,
    rejected: Vec<usize>,
}

impl Decisions {
    /// Compares corrections with the session. Nothing is written yet.
    ///
    /// A slice counts as drawn if it differs from the person's earlier labels and from the mask of every round. Accepted slices that are
    /// already the person's are left out. A label value on a drawn slice that is not a structure of the session is added to it, with its
    /// name in [`Corrections::names`] or as `label 2` and so on.
    ///
    /// # Errors
    /// [`DecisionError`] if the label map is not a corrected mask, the lists contradict it or each other, or two structures would have the
    /// same name;
    /// [`SessionError::NoSuchSlice`].
    pub fn new(session: &Session, corrections: &Corrections) -> Result<Self, DecisionError> {
        let Corrections { labels, accept, reject, empty, names } = corrections;
        for slice in accept.iter().chain(reject.iter()).chain(empty.iter()) {
            session.check_slice(slice)?;
        }
        let mut drawn = Vec::new();
        if let Some(given) = labels {
            let scan = &session.header().scan;
            if let Err(source) = scan.grid.check_same(&given.grid) {
                return Err(DecisionError::OtherGrid { scan: scan.name.clone(), source });
            }
            drawn = corrected(session, given)?;
            check_corrected(session, given, &drawn, empty)?;
        }
        for slice in empty.iter() {
            let nothing = Array2::zeros(session.plane().size());
            match drawn.iter().find(|(index, _)| *index == slice) {
                Some((_, labels)) if !is_empty(labels) => return Err(DecisionError::OutlinedAndEmpty { slice }),
                None if decided(session, slice)?.as_ref() != Some(&nothing) => drawn.push((slice, nothing)),
                _ => {}
            }
        }
        let is_drawn = |slice: usize| drawn.iter().any(|(index, _)| *index == slice);
        for slice in reject.iter() {
            if accept.contains(slice) {
                return Err(DecisionError::AcceptedAndRejected { slice });
            }
            if is_drawn(slice) {
                return Err(DecisionError::CorrectedAndRejected { slice });
            }
        }
        let state = session.state();
        let accepted = accept.iter().filter(|&slice| !state.slices.contains_key(&slice) && !is_drawn(slice)).collect();
        let rejected = reject.iter().filter(|slice| !state.rejected.contains(slice)).collect();
        let named = named(&session.structures(), names, &drawn)?;
        Ok(Self { named, drawn, accepted, rejected })
    }

    /// The structures that are added to the session or renamed.
    pub fn named(&self) -> &[NamedStructure] {
        &self.named
    }

    /// The slices that were outlined or corrected.
    pub fn drawn(&self) -> SliceList {
        self.drawn.iter().map(|(slice, _)| *slice).collect()
    }

    /// The slices that are accepted unchanged.
    pub fn accepted(&self) -> SliceList {
        self.accepted.iter().copied().collect()
    }

    /// The slices that are rejected.
    pub fn rejected(&self) -> SliceList {
        self.rejected.iter().copied().collect()
    }

    /// Whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.drawn.is_empty() && self.accepted.is_empty() && self.rejected.is_empty()
    }

    /// Records all decisions in the session, one after the other. If a call was interrupted, start again with [`Decisions::new`], which
    /// leaves out what is already recorded.
    ///
    /// # Errors
    /// [`SessionError::NothingToAccept`] before the first round; those of [`Session::draw`].
    pub fn record(&self, session: &mut Session) -> Result<(), SessionError> {
        // Names come first: a slice may hold only the structures of the session.
        for NamedStructure { label, name, .. } in &self.named {
            session.name_structure(*label, name)?;
        }
        for (slice, labels) in &self.drawn {
            session.draw(*slice, labels.view())?;
        }
        if !self.accepted.is_empty() {
            let found = session.found()?.ok_or(SessionError::NothingToAccept)?;
            for &slice in &self.accepted {
                let labels = session.plane().extract(found.labels.view(), slice);
                session.accept_as(slice, labels.view())?;
            }
        }
        self.rejected.iter().try_for_each(|&slice| session.reject(slice).map(drop))
    }
}

/// Slices that were drawn since: they differ from the person's labels and from the mask of every round.
fn corrected(session: &Session, given: &LabelVolume) -> Result<Vec<(usize, Array2<u16>)>, SessionError> {
    let plane = session.plane();
    let cut = |slice: usize| plane.extract(given.labels.view(), slice);
    let mut open = BTreeSet::new();
    for slice in 0..plane.count() {
        if decided(session, slice)?.is_none_or(|labels| labels != cut(slice)) {
            open.insert(slice);
        }
    }
    // Masks of undone rounds as well, because a person may have corrected a copy of one.
    let current = session.state().round.as_ref();
    for (_, round) in session.rounds() {
        match session.mask_of(round) {
            Ok(mask) => open.retain(|&slice| plane.extract(mask.labels.view(), slice) != cut(slice)),
            Err(error) if current == Some(round) => return Err(error),
            Err(error) => {
                tracing::warn!(
                    round = round.number,
                    error = &error as &dyn std::error::Error,
                    "skipped an unreadable mask"
                );
            }
        }
    }
    // Before the first round, a slice without a label is not a decision.
    let drawn = open.into_iter().map(|slice| (slice, cut(slice)));
    Ok(drawn.filter(|(_, labels)| current.is_some() || !is_empty(labels)).collect())
}

/// The structures that are added or renamed, by the names that are given and the label values that were drawn.
fn named(
    known: &BTreeMap<u16, String>,
    given: &BTreeMap<u16, String>,
    drawn: &[(usize, Array2<u16>)],
) -> Result<Vec<NamedStructure>, DecisionError> {
    let values: BTreeSet<u16> = drawn.iter().flat_map(|(_, labels)| labels.iter().copied()).collect();
    let unnamed = values.into_iter().filter(|label| *label != 0 && !known.contains_key(label));
    let mut names: BTreeMap<u16, String> = unnamed.map(|label| (label, format!("label {label}"))).collect();
    names.extend(given.iter().map(|(&label, name)| (label, sanitize(name))));
    names.retain(|label, name| known.get(label) != Some(name));
    let mut all = known.clone();
    all.extend(names.clone());
    for (&label, name) in &names {
        if let Some((&other, _)) = all.iter().find(|&(&other, known)| other != label && known == name) {
            let labels = [label.min(other), label.max(other)];
            return Err(DecisionError::SameName { name: name.clone(), labels });
        }
    }
    let structure = |(label, name)| NamedStructure { label, before: known.get(&label).cloned(), name };
    Ok(names.into_iter().map(structure).collect())
}

/// Refuses a label map of a few outlines in place of a corrected mask.
fn check_corrected(
    session: &Session,
    given: &LabelVolume,
    drawn: &[(usize, Array2<u16>)],
    empty: &SliceList,
) -> Result<(), DecisionError> {
    let Some(mask) = session.found()? else { return Ok(()) };
    let plane = session.plane();
    let found = |slice: usize| plane.extract(mask.labels.view(), slice);
    let is_emptied = |(slice, labels): &&(usize, Array2<u16>)| {
        is_empty(labels) && !is_empty(&found(*slice)) && !empty.contains(*slice)
    };
    let emptied: SliceList = drawn.iter().filter(is_emptied).map(|(slice, _)| *slice).collect();
    let is_kept = |slice: usize| {
        let found = found(slice);
        let is_persons = session.state().slices.contains_key(&slice);
        !is_persons && !is_empty(&found) && found == plane.extract(given.labels.view(), slice)
    };
    if emptied.is_empty() || (0..plane.count()).any(is_kept) {
        return Ok(());
    }
    Err(DecisionError::NotACorrectedMask { emptied })
}

/// The person's labels of a slice, if it is theirs.
fn decided(session: &Session, slice: usize) -> Result<Option<Array2<u16>>, SessionError> {
    session.state().slices.get(&slice).map(|person| session.labels_of(slice, person)).transpose()
}

fn is_empty(labels: &Array2<u16>) -> bool {
    labels.iter().all(|&label| label == 0)
}
