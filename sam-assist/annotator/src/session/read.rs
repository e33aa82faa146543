//! Reads a session: the person's slices, masks, cards and rankings.

use std::collections::BTreeMap;

use sam_assist::PromptCard;
use sam_data::{AxisReason, Grid, LabelVolume, SliceAxis};
use sam_files::Sha256Id;
use sam_prompt::{
    SliceNumber,
    ndarray::{Array2, Array3},
};
use serde::Deserialize;
use thiserror::Error;

use super::{
    Origin, PersonSlice, Round, Session, SessionError, SessionState,
    error::{BoxError, from_json},
    objects::ObjectKind,
    state,
};
use crate::{AnnotateError, AnnotationSummary, Annotations, EmptySlices, MinOutline, SliceTrust};

/// The ranking names a slice that the scan does not have.
#[derive(Debug, Error)]
#[error("it names slice {}, but the scan has {count}", SliceNumber::of_index(*slice).with_index())]
struct ForeignSlice {
    slice: usize,
    count: usize,
}

/// An entry of a ranking.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RankedEntry {
    Slice(SliceTrust),
    /// As before format version 3: a slice and its trust.
    Pair(usize, f32),
}

impl From<RankedEntry> for SliceTrust {
    fn from(entry: RankedEntry) -> Self {
        match entry {
            RankedEntry::Slice(slice) => slice,
            RankedEntry::Pair(index, trust) => Self::new(index, trust),
        }
    }
}

impl Session {
    /// All rounds in order, including undone rounds, each with the state of the session before it.
    pub fn rounds(&self) -> impl Iterator<Item = (SessionState, &Round)> {
        let entries = self.entries();
        state::rounds(entries).map(|(place, round)| (SessionState::after(&entries[..place]), round))
    }

    /// Whether the current round was learned from the person's current slices.
    pub fn is_up_to_date(&self) -> bool {
        let Some(current) = &self.state().round else { return false };
        self.rounds().any(|(before, round)| round.number == current.number && before.has_same_labels(self.state()))
    }

    /// The person's current slices, as annotations to learn from.
    ///
    /// # Errors
    /// [`SessionError::Object`] if a slice is missing or damaged.
    pub fn annotations(&self) -> Result<Annotations, SessionError> {
        self.annotations_of(self.state())
    }

    /// The person's slices in an earlier state, as annotations to learn from.
    ///
    /// # Errors
    /// [`SessionError::Object`] if a slice is missing or damaged.
    pub fn annotations_of(&self, state: &SessionState) -> Result<Annotations, SessionError> {
        let Grid { shape, affine, .. } = self.header().scan.grid;
        let (mut labels, mut empty) = (Array3::zeros(shape), EmptySlices::default());
        let structures = self.structures_in(state);
        let values = structures.keys().copied().collect();
        for (&slice, person) in &state.slices {
            let drawn = self.labels_of(slice, person)?;
            self.add_empty(&mut empty, &values, slice, person, drawn.view());
            self.plane().insert(&mut labels, slice, drawn.view());
        }
        let annotations = Annotations::new(LabelVolume::new(labels, affine)).with_empty_slices(empty);
        // What the person drew by mistake was left out before it was recorded.
        let annotations = annotations.with_min_outline(MinOutline::NONE);
        Ok(annotations.with_accepted(state.slices_of(Origin::Accepted)).with_names(structures))
    }

    /// What is understood of the person's current slices.
    ///
    /// # Errors
    /// [`AnnotateError::Session`] if a slice is missing or damaged.
    pub fn summary(&self) -> Result<AnnotationSummary, AnnotateError> {
        let annotations = self.annotations()?;
        annotations.summary(self.plane(), self.axis_reason(&annotations))
    }

    /// Why the session has its axis, as far as the outlines tell.
    pub(crate) fn axis_reason(&self, annotations: &Annotations) -> AxisReason {
        let told = annotations.labels.outlined_axis(SliceAxis::Auto).ok();
        told.filter(|told| told.axis == self.header().axis).map_or(AxisReason::Given, |told| told.reason)
    }

    /// The labels of one of the person's slices.
    ///
    /// # Errors
    /// [`SessionError::Object`] if they are missing or damaged.
    pub fn labels_of(&self, slice: usize, person: &PersonSlice) -> Result<Array2<u16>, SessionError> {
        let read = self.objects.slice(person.labels, self.plane().size());
        read.map_err(|source| {
            unreadable(
                format!("the person's slice {}", SliceNumber::of_index(slice)),
                "outlining it again repairs it",
                source,
            )
        })
    }

    /// The recorded mask of the current round, without later decisions; `None` before the first round.
    ///
    /// # Errors
    /// [`SessionError::Object`] if it is missing or damaged.
    pub fn found(&self) -> Result<Option<LabelVolume>, SessionError> {
        self.state().round.as_ref().map(|round| self.mask_of(round)).transpose()
    }

    /// The recorded mask of a round.
    ///
    /// # Errors
    /// [`SessionError::Object`] if it is missing or damaged.
    pub fn mask_of(&self, round: &Round) -> Result<LabelVolume, SessionError> {
        let read = || -> Result<LabelVolume, BoxError> {
            let mask = sam_data::read_labels(&self.objects.find(ObjectKind::Mask, round.mask)?)?;
            self.header().scan.grid.compare_shape(&mask.grid)?;
            Ok(mask)
        };
        let what = || format!("the mask of round {}", round.number);
        read().map_err(|source| unreadable(what(), "undoing the round goes back to the one before", source))
    }

    /// The cards of a round, by label value.
    ///
    /// # Errors
    /// [`SessionError::Object`] if one is missing or damaged, or was made for other weights.
    pub fn cards_of(&self, round: &Round) -> Result<BTreeMap<u16, PromptCard>, SessionError> {
        let read = |(&value, &id): (&u16, &Sha256Id)| -> Result<_, BoxError> {
            let card = PromptCard::load(self.objects.find(ObjectKind::Card, id)?)?;
            card.check_weights(&self.header().weights_sha256)?;
            Ok((value, card))
        };
        let cards = round.cards.iter().map(read).collect::<Result<_, _>>();
        let what = || format!("a card of round {}", round.number);
        cards.map_err(|source| unreadable(what(), "a round that learns from the model does not need it", source))
    }

    /// The ranking of a round, least trusted first; `None` if there is none. Before format version 3, it has no reasons.
    ///
    /// # Errors
    /// [`SessionError::Object`] if it is missing or damaged, or names a slice that the scan does not have.
    pub fn ranking_of(&self, round: &Round) -> Result<Option<Vec<SliceTrust>>, SessionError> {
        let read = |id| -> Result<Vec<SliceTrust>, BoxError> {
            let ranking: Vec<RankedEntry> = from_json(&self.objects.read(ObjectKind::Ranking, id)?)?;
            let ranking: Vec<_> = ranking.into_iter().map(SliceTrust::from).collect();
            let count = self.plane().count();
            match ranking.iter().find(|ranked| ranked.index >= count) {
                Some(ranked) => Err(ForeignSlice { slice: ranked.index, count }.into()),
                None => Ok(ranking),
            }
        };
        let what = || format!("the ranking of round {}", round.number);
        round
            .ranking
            .map(read)
            .transpose()
            .map_err(|source| unreadable(what(), "another round ranks the slices again", source))
    }

    /// The mask to save: that of the current round with all of the person's slices in it. `None` before the first round.
    ///
    /// # Errors
    /// [`SessionError::Object`] if an object is missing or damaged.
    pub fn current(&self) -> Result<Option<LabelVolume>, SessionError> {
        let Some(mut mask) = self.found()? else { return Ok(None) };
        for (&slice, person) in &self.state().slices {
            let shown = self.shown(slice, person, &mask)?;
            self.plane().insert(&mut mask.labels, slice, shown.view());
        }
        Ok(Some(mask))
    }
}

fn unreadable(what: String, advice: &'static str, source: impl Into<BoxError>) -> SessionError {
    SessionError::Object { what, advice, source: source.into() }
}
