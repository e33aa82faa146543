//! Decisions of a person since the last round, read from the label map that the person returns.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use sam_data::LabelVolume;
use sam_files::sanitize;
use sam_prompt::ndarray::{Array2, Zip};

use super::{
    Corrections, DecisionError,
    names::{NamedStructure, named},
};
use crate::{
    EmptySlices, Outline, SliceList,
    annotations::{list_structures, structure_name},
    session::{Session, SessionError},
    summary::{self, Outlines},
};

/// The index of a slice, and labels on it.
pub(super) type IndexedLabels = (usize, Array2<u16>);

/// Decisions of a person, ready to be recorded in a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    named: Vec<NamedStructure>,
    drawn: Vec<DrawnSlice>,
    accepted: Vec<usize>,
    rejected: Vec<usize>,
    questioned: Vec<Questioned>,
}

/// A slice that the person drew, and the structures that are annotated on it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DrawnSlice {
    slice: usize,
    labels: Array2<u16>,
    decided: BTreeSet<u16>,
}

/// An outline far smaller than the largest of its structure. It does not count. Its text is for the person.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Questioned {
    /// The structure's label value.
    pub value: u16,
    /// The structure's name.
    pub structure: String,
    /// The outline.
    pub outline: Outline,
    /// Number of voxels of the structure's largest outline.
    pub largest: usize,
}

impl fmt::Display for Questioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.structure, summary::questioned(&self.outline, self.largest))
    }
}

impl Decisions {
    /// Compares corrections with the session. Nothing is written yet.
    ///
    /// A slice counts as drawn if it differs from the person's earlier labels and from the mask of every round. Accepted slices that are
    /// already the person's are left out. A label value on a drawn slice that is not a structure of the session is added to it, with its
    /// name in [`Corrections::names`] or as `label 2` and so on.
    ///
    /// Before the first round, a drawn slice is annotated for the structures that are outlined on it, unless the outlines are complete. Later,
    /// it is a correction of the whole slice, and annotated for every structure that the round looked for. A structure that was added since
    /// is annotated where it is outlined; that it is not outlined says nothing.
    ///
    /// # Errors
    /// [`DecisionError`] if the label map is not a corrected mask, the lists contradict it or each other, or two structures would have the
    /// same name;
    /// [`SessionError::NoSuchSlice`].
    pub fn new(session: &Session, corrections: &Corrections) -> Result<Self, DecisionError> {
        let Corrections { labels, accept, reject, empty, names, complete, .. } = corrections;
        let empty_of = empty.of.values().flat_map(SliceList::iter);
        for slice in accept.iter().chain(reject.iter()).chain(empty.all.iter()).chain(empty_of) {
            session.check_slice(slice)?;
        }
        let compared = labels.as_ref().map(|given| compare(session, given, corrections));
        let (drawn, questioned) = compared.transpose()?.unwrap_or_default();
        let named = named(&session.structures(), names, &drawn)?;
        let mut decisions = Self { named, questioned, ..Self::default() };
        decisions.add_drawn(session, drawn, *complete);
        decisions.add_empty(session, empty)?;
        if *complete {
            decisions.complete(session)?;
        }
        for slice in reject.iter() {
            if accept.contains(slice) {
                return Err(DecisionError::AcceptedAndRejected { slice });
            }
            if decisions.is_drawn(slice) {
                return Err(DecisionError::CorrectedAndRejected { slice });
            }
        }
        let state = session.state();
        let known = session.known_to_round();
        let is_theirs =
            |slice: usize| state.slices.get(&slice).is_some_and(|person| known.is_subset(&session.decided(person)));
        let accepted = accept.iter().filter(|&slice| !is_theirs(slice) && !decisions.is_drawn(slice)).collect();
        let rejected = reject.iter().filter(|slice| !state.rejected.contains(slice)).collect();
        Ok(Self { accepted, rejected, ..decisions })
    }

    /// Adds the slices that were drawn in a label map.
    fn add_drawn(&mut self, session: &Session, drawn: Vec<IndexedLabels>, complete: bool) {
        let all = if complete {
            self.values(session)
        } else if session.state().round.is_some() {
            session.known_to_round()
        } else {
            BTreeSet::new()
        };
        for (slice, labels) in drawn {
            let mut decided = session.decided_on(slice);
            decided.extend(labels.iter().filter(|&&label| label != 0).chain(&all));
            for questioned in self.questioned.iter().filter(|questioned| questioned.outline.place.index == slice) {
                decided.remove(&questioned.value);
            }
            self.drawn.push(DrawnSlice { slice, labels, decided });
        }
    }

    /// The structures of the session and those that are added to it, by label value.
    fn values(&self, session: &Session) -> BTreeSet<u16> {
        session.values().into_iter().chain(self.named.iter().map(|named| named.label)).collect()
    }

    /// Adds the slices that show none of the structures, or not one of them.
    fn add_empty(&mut self, session: &Session, empty: &EmptySlices) -> Result<(), DecisionError> {
        let (all, mut structures) = (self.values(session), session.structures());
        structures.extend(self.named.iter().map(|named| (named.label, named.name.clone())));
        if let Some(&value) = empty.of.keys().find(|value| !all.contains(*value)) {
            return Err(DecisionError::NoSuchStructure { value, structures: list_structures(&structures) });
        }
        for slice in empty.all.iter() {
            let nothing = Array2::zeros(session.plane().size());
            let is_known = || -> Result<bool, SessionError> {
                let Some(person) = session.state().slices.get(&slice) else { return Ok(false) };
                Ok(all.is_subset(&session.decided(person)) && session.labels_of(slice, person)? == nothing)
            };
            match self.drawn.iter_mut().find(|drawn| drawn.slice == slice) {
                Some(drawn) if !is_empty(&drawn.labels) => return Err(DecisionError::OutlinedAndEmpty { slice }),
                Some(drawn) => drawn.decided.clone_from(&all),
                None if is_known()? => {}
                None => self.drawn.push(DrawnSlice { slice, labels: nothing, decided: all.clone() }),
            }
        }
        for (&value, slices) in &empty.of {
            for slice in slices.iter() {
                let structure = || structures.get(&value).cloned().unwrap_or_default();
                let drawn = self.drawn_slice(session, slice)?;
                if drawn.labels.iter().any(|&label| label == value) {
                    return Err(DecisionError::OutlinedAndAbsent { slice, structure: structure() });
                }
                if !drawn.decided.contains(&value) {
                    let decided = drawn.decided.iter().copied().chain([value]).collect();
                    self.replace(DrawnSlice { decided, ..drawn });
                }
            }
        }
        Ok(())
    }

    /// Completes the slices that the person has outlined for some structures.
    fn complete(&mut self, session: &Session) -> Result<(), DecisionError> {
        let all = self.values(session);
        for &slice in session.state().slices.keys() {
            if self.is_drawn(slice) {
                continue;
            }
            let drawn = self.drawn_slice(session, slice)?;
            if !is_empty(&drawn.labels) && !all.is_subset(&drawn.decided) {
                self.replace(DrawnSlice { decided: all.clone(), ..drawn });
            }
        }
        Ok(())
    }

    /// A slice as it is drawn now, or as it was the person's before; nothing is decided on any other.
    fn drawn_slice(&self, session: &Session, slice: usize) -> Result<DrawnSlice, SessionError> {
        if let Some(drawn) = self.drawn.iter().find(|drawn| drawn.slice == slice) {
            return Ok(drawn.clone());
        }
        let labels = match session.state().slices.get(&slice) {
            Some(person) => session.labels_of(slice, person)?,
            None => Array2::zeros(session.plane().size()),
        };
        Ok(DrawnSlice { slice, labels, decided: session.decided_on(slice) })
    }

    fn replace(&mut self, drawn: DrawnSlice) {
        self.drawn.retain(|other| other.slice != drawn.slice);
        self.drawn.push(drawn);
    }

    fn is_drawn(&self, slice: usize) -> bool {
        self.drawn.iter().any(|drawn| drawn.slice == slice)
    }

    /// The structures that are added to the session or renamed.
    pub fn named(&self) -> &[NamedStructure] {
        &self.named
    }

    /// The slices that were outlined or corrected, or on which a structure is said to be absent.
    pub fn drawn(&self) -> SliceList {
        self.drawn.iter().map(|drawn| drawn.slice).collect()
    }

    /// The slices that are accepted unchanged.
    pub fn accepted(&self) -> SliceList {
        self.accepted.iter().copied().collect()
    }

    /// The slices that are rejected.
    pub fn rejected(&self) -> SliceList {
        self.rejected.iter().copied().collect()
    }

    /// Outlines far smaller than the others. They are not recorded; the text of each is a sentence for the person.
    pub fn questioned(&self) -> &[Questioned] {
        &self.questioned
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
        for DrawnSlice { slice, labels, decided } in &self.drawn {
            session.draw_some(*slice, labels.view(), decided)?;
        }
        if !self.accepted.is_empty() {
            let found = session.found()?.ok_or(SessionError::NothingToAccept)?;
            for &slice in &self.accepted {
                let labels = session.acceptable(slice, &found)?;
                session.accept_as(slice, labels.view())?;
            }
        }
        self.rejected.iter().try_for_each(|&slice| session.reject(slice).map(drop))
    }
}

/// The slices that were drawn since, and the outlines on them that are too small to count.
fn compare(
    session: &Session,
    given: &LabelVolume,
    corrections: &Corrections,
) -> Result<(Vec<IndexedLabels>, Vec<Questioned>), DecisionError> {
    let scan = &session.header().scan;
    if let Err(source) = scan.grid.check_same(&given.grid) {
        return Err(DecisionError::OtherGrid { scan: scan.name.clone(), source });
    }
    let drawn = corrected(session, given)?;
    let (counted, questioned) = without_small(session, given, &drawn, corrections)?;
    let drawn = if questioned.is_empty() { drawn } else { corrected(session, &counted)? };
    check_corrected(session, &counted, &drawn, &corrections.empty.all)?;
    Ok((drawn, questioned))
}

/// A label map without the outlines that are too small, of the slices that were drawn since. There the mask shows again.
fn without_small<'a>(
    session: &Session,
    given: &'a LabelVolume,
    drawn: &[IndexedLabels],
    corrections: &Corrections,
) -> Result<(Cow<'a, LabelVolume>, Vec<Questioned>), SessionError> {
    let plane = session.plane();
    let (counted, too_small) = Outlines::of(given, plane).split(corrections.min_outline);
    if too_small.is_empty() {
        return Ok((Cow::Borrowed(given), Vec::new()));
    }
    let (mut labels, mut questioned, current) = (given.clone(), Vec::new(), session.current()?);
    let mut names = session.structures();
    names.extend(corrections.names.iter().map(|(&value, name)| (value, sanitize(name))));
    let is_drawn = |outline: &Outline| drawn.iter().any(|(slice, _)| *slice == outline.place.index);
    for (value, &outline) in too_small.iter().filter(|(_, outline)| is_drawn(outline)) {
        let index = outline.place.index;
        let mut slice = plane.extract(labels.labels.view(), index);
        let size = slice.dim();
        let before = current.as_ref().map_or(Array2::zeros(size), |mask| plane.extract(mask.labels.view(), index));
        Zip::from(&mut slice).and(&before).for_each(|label, &before| {
            if *label == value {
                *label = if before == value { 0 } else { before };
            }
        });
        plane.insert(&mut labels.labels, index, slice.view());
        let structure = structure_name(&names, value);
        let largest = counted.of_value(value).iter().map(|outline| outline.voxels).max().unwrap_or(0);
        questioned.push(Questioned { value, structure, outline, largest });
    }
    Ok((Cow::Owned(labels), questioned))
}

/// Slices that were drawn since: they differ from the person's labels and from the mask of every round.
fn corrected(session: &Session, given: &LabelVolume) -> Result<Vec<IndexedLabels>, SessionError> {
    let (plane, found) = (session.plane(), session.found()?);
    let cut = |slice: usize| plane.extract(given.labels.view(), slice);
    let mut open: BTreeSet<usize> = (0..plane.count()).collect();
    for (&slice, person) in &session.state().slices {
        let given = cut(slice);
        let shown = found.as_ref().map(|mask| session.shown(slice, person, mask)).transpose()?;
        if session.labels_of(slice, person)? == given || shown.is_some_and(|shown| shown == given) {
            open.remove(&slice);
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

/// Refuses a label map of a few outlines in place of a corrected mask.
fn check_corrected(
    session: &Session,
    given: &LabelVolume,
    drawn: &[IndexedLabels],
    empty: &SliceList,
) -> Result<(), DecisionError> {
    let Some(mask) = session.found()? else { return Ok(()) };
    let plane = session.plane();
    let found = |slice: usize| plane.extract(mask.labels.view(), slice);
    let is_emptied =
        |(slice, labels): &&IndexedLabels| is_empty(labels) && !is_empty(&found(*slice)) && !empty.contains(*slice);
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

fn is_empty(labels: &Array2<u16>) -> bool {
    labels.iter().all(|&label| label == 0)
}
