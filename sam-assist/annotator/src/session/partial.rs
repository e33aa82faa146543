//! Slices on which the person decided on some structures only. The others are looked for there.

use std::collections::BTreeSet;

use sam_data::LabelVolume;
use sam_prompt::{
    SliceNumber,
    ndarray::{Array2, ArrayView2, Zip},
};

use super::{BoxError, Origin, PersonSlice, Session, SessionError, SessionEvent};
use crate::EmptySlices;

impl Session {
    /// Records a slice of the current round's mask as the person corrected it. It decides on the structures that the round looked for, those
    /// with a label, and those that were decided before. Returns the event's number.
    ///
    /// # Shapes
    /// - labels: `[rows, columns]` of [`Session::plane`]
    ///
    /// # Errors
    /// As [`Session::draw`].
    pub fn correct(&mut self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<u64, SessionError> {
        self.keep(Origin::Drawn, slice, labels, self.decided_with_round(slice))
    }

    /// Records a slice as the person outlined it, for some structures only. A structure of `decided` without a label is absent; the others are
    /// looked for on this slice. Structures with a label count as decided. Returns the event's number.
    ///
    /// # Shapes
    /// - labels: `[rows, columns]` of [`Session::plane`]
    ///
    /// # Errors
    /// As [`Session::draw`].
    pub fn draw_some(
        &mut self,
        slice: usize,
        labels: ArrayView2<'_, u16>,
        decided: &BTreeSet<u16>,
    ) -> Result<u64, SessionError> {
        self.keep(Origin::Drawn, slice, labels, decided.clone())
    }

    /// Stores the labels of a slice, and records that the person drew or accepted them. They decide on the structures of `decided` and on
    /// those with a label.
    pub(super) fn keep(
        &mut self,
        origin: Origin,
        slice: usize,
        labels: ArrayView2<'_, u16>,
        mut decided: BTreeSet<u16>,
    ) -> Result<u64, SessionError> {
        self.check_labels(slice, labels)?;
        decided.extend(labels.iter().filter(|&&label| label != 0));
        let decided = self.recorded(decided);
        let stored = self.objects.put_slice(labels).map_err(BoxError::from);
        let kept = stored.and_then(|labels| {
            self.push(match origin {
                Origin::Drawn => SessionEvent::Drawn { slice, labels, decided },
                Origin::Accepted => SessionEvent::Accepted { slice, labels, decided },
            })
        });
        let how = match origin {
            Origin::Drawn => "drawn",
            Origin::Accepted => "accepted",
        };
        kept.map_err(|source| self.not_saved(format!("slice {}, as {how},", SliceNumber::of_index(slice)), source))
    }

    /// The structures that the person decided on, on one of their slices, by label value. A structure that was added to the session later is
    /// not among them.
    pub fn decided(&self, person: &PersonSlice) -> BTreeSet<u16> {
        let all = || self.header().structures.keys().copied().collect();
        person.decided.clone().unwrap_or_else(all)
    }

    /// The structures that the person has decided on so far on a slice, by label value.
    pub(crate) fn decided_on(&self, slice: usize) -> BTreeSet<u16> {
        self.state.slices.get(&slice).map(|person| self.decided(person)).unwrap_or_default()
    }

    /// The structures on which a decision about the current round's mask on a slice decides, by label value: those that the round looked for,
    /// and those that were decided before.
    pub(super) fn decided_with_round(&self, slice: usize) -> BTreeSet<u16> {
        self.known_to_round().into_iter().chain(self.decided_on(slice)).collect()
    }

    /// A slice of a mask with one of the person's slices in it: of the mask remains what the person did not decide on.
    ///
    /// # Errors
    /// [`SessionError::Object`] if the person's labels are missing or damaged.
    pub fn shown(&self, slice: usize, person: &PersonSlice, mask: &LabelVolume) -> Result<Array2<u16>, SessionError> {
        let (mut labels, decided) = (self.labels_of(slice, person)?, self.decided(person));
        let found = self.plane().extract(mask.labels.view(), slice);
        Zip::from(&mut labels).and(&found).for_each(|label, &found| {
            if *label == 0 && !decided.contains(&found) {
                *label = found;
            }
        });
        Ok(labels)
    }

    /// The labels of a slice that the person can accept: those of the mask, with what the person drew there for some structures.
    pub(crate) fn acceptable(&self, slice: usize, found: &LabelVolume) -> Result<Array2<u16>, SessionError> {
        let known = self.known_to_round();
        match self.state.slices.get(&slice).filter(|person| !known.is_subset(&self.decided(person))) {
            Some(person) => self.shown(slice, person, found),
            None => Ok(self.plane().extract(found.labels.view(), slice)),
        }
    }

    /// The structures that the session has now, by label value.
    pub(crate) fn values(&self) -> BTreeSet<u16> {
        self.structures().into_keys().collect()
    }

    /// The structures that the current round looked for, by label value; before the first round, those that the session has now. The round's
    /// mask says nothing about structures that had no outline yet, or were added later.
    pub(crate) fn known_to_round(&self) -> BTreeSet<u16> {
        if let Some(round) = self.state.round.as_ref().filter(|round| !round.cards.is_empty()) {
            return round.cards.keys().copied().collect();
        }
        let current = self.state.round.as_ref().map(|round| round.number);
        let before = self.rounds().find(|(_, round)| Some(round.number) == current);
        let structures = before.map_or_else(|| self.structures(), |(before, _)| self.structures_in(&before));
        structures.into_keys().collect()
    }

    /// The decided structures as an event records them: `None` for all structures of the header, as events before format version 2 have it.
    fn recorded(&self, decided: BTreeSet<u16>) -> Option<BTreeSet<u16>> {
        let is_header = self.header().structures.keys().eq(&decided);
        (!is_header).then_some(decided)
    }

    /// Whether a slice of a mask has what the person decided.
    pub(super) fn agrees(
        &self,
        mask: ArrayView2<'_, u16>,
        slice: usize,
        person: &PersonSlice,
    ) -> Result<bool, SessionError> {
        let (labels, decided) = (self.labels_of(slice, person)?, self.decided(person));
        // The background is no structure that could be decided on.
        let is_free = |found: u16| !decided.contains(&found);
        Ok(labels.iter().zip(mask).all(|(&label, &found)| found == label || label == 0 && is_free(found)))
    }

    /// Adds one of the person's slices, with these labels, to the lists of empty slices of those structures that are absent on it.
    pub(super) fn add_empty(
        &self,
        empty: &mut EmptySlices,
        structures: &BTreeSet<u16>,
        slice: usize,
        person: &PersonSlice,
        labels: ArrayView2<'_, u16>,
    ) {
        let drawn: BTreeSet<u16> = labels.iter().copied().filter(|&label| label != 0).collect();
        let decided = self.decided(person);
        if drawn.is_empty() && structures.is_subset(&decided) {
            empty.all.extend([slice]);
            return;
        }
        for value in decided.intersection(structures).filter(|value| !drawn.contains(*value)) {
            empty.of.entry(*value).or_default().extend([slice]);
        }
    }
}
