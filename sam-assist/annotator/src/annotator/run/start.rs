//! Where learning starts.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use sam_assist::{AssistConfig, PromptCard};

use super::Run;
use crate::LearnedFrom;

/// Where learning starts: from the model or from cards. Cards can also replace learning.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Learning starts from the model.
    #[default]
    Model,
    /// Learning continues from these cards, by label value; structures without a card start from the model.
    Warm(BTreeMap<u16, PromptCard>),
    /// Learning continues from cards of other scans, one for each structure in the order of their label values. The masks come from what
    /// was learned on this scan; the resulting card is the given one, improved: see [`PromptCard::improved`].
    Improve(Vec<PromptCard>),
    /// Nothing is learned: these cards are used, one for each structure in the order of their label values.
    Cards(Vec<PromptCard>),
}

impl<B: Backend> Run<'_, B> {
    /// The card that a structure's learning continues from.
    pub(super) fn start_card(&self, value: u16) -> Option<&PromptCard> {
        match self.start {
            Start::Warm(cards) => cards.get(&value),
            _ => self.improved_card(value),
        }
    }

    /// The card that a structure's learning improves.
    pub(super) fn improved_card(&self, value: u16) -> Option<&PromptCard> {
        let Start::Improve(cards) = self.start else { return None };
        self.annotated.keys().zip(cards).find(|(known, _)| **known == value).map(|(_, card)| card)
    }

    /// Where a structure's learning starts.
    pub(super) fn learned_from(&self, value: u16) -> LearnedFrom {
        match (self.improved_card(value), self.start_card(value)) {
            (Some(card), _) => {
                let about = card.metadata();
                LearnedFrom::Card { card: about.structure.as_str().into(), scans: about.scans().count() }
            }
            (None, Some(_)) => LearnedFrom::LastRound,
            (None, None) => LearnedFrom::Model,
        }
    }

    /// How a structure is learned.
    pub(super) fn learning(&self, value: u16) -> AssistConfig {
        let mut learning = self.config.learning.clone();
        if self.before.is_some_and(|before| !before.annotated.contains_key(&value)) {
            // The first round of a structure that was added later.
            learning.max_counted_slices = None;
        }
        if let Some(card) = self.improved_card(value) {
            // Learning can only continue with the same parameters.
            let AssistConfig { trained, members, .. } = card.metadata().learning;
            learning = learning.with_trained(trained).with_members(members);
        }
        learning
    }
}
