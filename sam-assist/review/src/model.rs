//! A SAM behind the page: each slice is embedded once, then clicks are answered fast.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use sam_assist::PromptCard;
use sam_core::{EmbeddingStore, SamPredictor, SliceSource};
use sam_prompt::{Prompts, ndarray::Axis};

use crate::{BoxError, ReviewError, SliceSegmenter, StructureMask};

/// A SAM for the slices of one scan, with the prompt card of each structure applied.
#[derive(Debug)]
pub struct ScanModel<B: Backend> {
    slices: Arc<EmbeddingStore<B>>,
    /// The model of each structure; all share one image encoder.
    structures: Vec<SamPredictor<B>>,
    /// Whether mask prompts help each structure.
    takes_logits: Vec<bool>,
}

impl<B: Backend> ScanModel<B> {
    /// A model for the slices of a scan. Each structure has a card or `None`; without a card, the loaded model is used unchanged.
    ///
    /// # Errors
    /// [`ReviewError::Card`] if a card was made for other weights.
    pub fn new<'a>(
        slices: Arc<EmbeddingStore<B>>,
        cards: impl IntoIterator<Item = Option<&'a PromptCard>>,
    ) -> Result<Self, ReviewError> {
        let cards: Vec<_> = cards.into_iter().collect();
        // SAM was trained to correct its own masks.
        let takes_logits = |card: Option<&PromptCard>| card.is_none_or(|card| card.metadata().learning.takes_logits());
        let takes_logits = cards.iter().copied().map(takes_logits).collect();
        let learned = |(structure, card): (usize, Option<&PromptCard>)| match card {
            Some(card) => {
                card.apply(slices.predictor()).map_err(|source| ReviewError::Card { structure, source: source.into() })
            }
            None => Ok(slices.predictor().clone()),
        };
        let structures = cards.into_iter().enumerate().map(learned).collect::<Result<_, _>>()?;
        Ok(Self { slices, structures, takes_logits })
    }
}

impl<B: Backend> SliceSegmenter for ScanModel<B> {
    fn is_embedded(&self, slice: usize) -> bool {
        self.slices.is_in_memory(slice)
    }

    fn embed(&self, slice: usize) -> Result<(), BoxError> {
        self.slices.embedding(slice)?;
        Ok(())
    }

    fn segment(&self, slice: usize, structure: usize, prompts: &Prompts) -> Result<StructureMask, BoxError> {
        let embedding = self.slices.embedding(slice)?;
        let predictor = &self.structures[structure];
        let found = sam_threads::in_pool(|| predictor.predict(&embedding, prompts))?;
        let best = found.best();
        let logits = found.low_res.index_axis(Axis(0), best).to_owned();
        Ok(StructureMask::new(found.mask(), found.iou[best]).with_logits(logits))
    }

    fn takes_logits(&self, structure: usize) -> bool {
        self.takes_logits[structure]
    }
}
