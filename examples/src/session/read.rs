//! What is read back from a session: the person's slices, masks and cards.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use sam_assist::PromptCard;
use sam_data::{Grid, LabelVolume};
use sam_prompt::ndarray::{Array2, Array3};

use super::{Annotations, Kind, ObjectId, PersonSlice, Round, Session, State, from_json, state};

impl Session {
    /// All rounds in their order, undone or not, each with where the session stood before it.
    pub fn rounds(&self) -> impl Iterator<Item = (State, &Round)> {
        let entries = self.log.entries();
        state::rounds(entries).map(|(place, round)| (State::after(&entries[..place]), round))
    }

    /// Whether the current round was learned from all that the person says now.
    pub fn is_up_to_date(&self) -> bool {
        let current = self.state.round.as_ref();
        current.is_some_and(|current| {
            self.rounds().any(|(before, round)| round.number == current.number && before.has_same_labels(&self.state))
        })
    }

    /// What the person says now.
    ///
    /// # Errors
    /// If a slice is missing or damaged.
    pub fn annotations(&self) -> Result<Annotations> {
        self.annotations_of(&self.state)
    }

    /// What the person said when the session stood elsewhere.
    ///
    /// # Errors
    /// As [`Session::annotations`].
    pub fn annotations_of(&self, state: &State) -> Result<Annotations> {
        let Grid { shape, affine } = self.header.scan.grid;
        let (mut labels, mut empty) = (Array3::zeros(shape), Vec::new());
        for (&slice, person) in &state.slices {
            let drawn = self.labels_of(slice, person)?;
            if drawn.iter().all(|&label| label == 0) {
                empty.push(slice);
            }
            self.plane.insert(&mut labels, slice, drawn.view());
        }
        Ok(Annotations { labels: LabelVolume::new(labels, affine), empty })
    }

    /// The labels of a slice of the person's.
    ///
    /// # Errors
    /// If they are missing or damaged.
    pub fn labels_of(&self, slice: usize, person: &PersonSlice) -> Result<Array2<u16>> {
        let read = self.objects.slice(person.labels, self.plane.size());
        read.with_context(|| format!("slice {slice} of the person's cannot be read; outlining it again helps as well"))
    }

    /// The mask of the current round as it was found; `None` before the first.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn found(&self) -> Result<Option<LabelVolume>> {
        self.state.round.as_ref().map(|round| self.mask_of(round)).transpose()
    }

    /// The mask of a round.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn mask_of(&self, round: &Round) -> Result<LabelVolume> {
        let read = || -> Result<LabelVolume> {
            let mask = sam_data::read_labels(&self.objects.find(Kind::Mask, round.mask)?)?;
            self.header.scan.grid.compare_shape(&mask.grid)?;
            Ok(mask)
        };
        read().with_context(|| {
            format!("the mask of round {} cannot be read; --undo goes back to the round before", round.number)
        })
    }

    /// The cards of a round, by label value.
    ///
    /// # Errors
    /// If one is missing or damaged, or was made for other weights.
    pub fn cards_of(&self, round: &Round) -> Result<BTreeMap<u16, PromptCard>> {
        let read = |(&value, &id): (&u16, &ObjectId)| {
            let card = PromptCard::load(self.objects.find(Kind::Card, id)?)?;
            card.check_weights(&self.header.weights_sha256)?;
            Ok((value, card))
        };
        let cards = round.cards.iter().map(read).collect::<Result<_>>();
        cards.with_context(|| format!("the cards of round {} cannot be read; --anew learns without them", round.number))
    }

    /// The ranking of a round, slices and how much each is to be trusted, if one was computed.
    ///
    /// # Errors
    /// If it is missing or damaged, or names a slice that the scan has not.
    pub fn ranking_of(&self, round: &Round) -> Result<Option<Vec<(usize, f32)>>> {
        let read = |id| {
            let ranking: Vec<(usize, f32)> = from_json(&fs::read(self.objects.find(Kind::Ranking, id)?)?)?;
            let count = self.plane.count();
            match ranking.iter().find(|&&(slice, _)| slice >= count) {
                Some((slice, _)) => bail!("it names slice {slice}, but the scan has {count}, counted from 0"),
                None => Ok(ranking),
            }
        };
        let ranking: Result<_> = round.ranking.map(read).transpose();
        ranking.with_context(|| format!("the ranking of round {} cannot be read", round.number))
    }

    /// The current round's mask with all of the person's slices upon it: what is to be written. `None` before the first round.
    ///
    /// # Errors
    /// If something is missing or damaged.
    pub fn current(&self) -> Result<Option<LabelVolume>> {
        let Some(mut mask) = self.found()? else { return Ok(None) };
        for (&slice, person) in &self.state.slices {
            self.plane.insert(&mut mask.labels, slice, self.labels_of(slice, person)?.view());
        }
        Ok(Some(mask))
    }
}
