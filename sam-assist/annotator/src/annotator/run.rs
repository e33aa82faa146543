//! One run of an annotator: each structure in turn, then all together.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use burn::tensor::backend::Backend;
use sam_assist::{
    AnnotatedSlice, AssistError, CardMetadata, Learned, MultiClass, PromptCard, TrainingSlices, learn_structure,
};
use sam_auto::{FittedStrategy, RankedSlice, Segmentation};
use sam_core::{EmbeddingStore, SamPredictor, SliceError, SliceSource};
use sam_data::{LabelVolume, SlicePlane};
use sam_prompt::{
    ndarray::{Array2, Array3},
    progress::StopReason,
};

use super::{
    Annotator, View,
    reporter::{Halt, Reporter},
};
use crate::{AnnotateConfig, AnnotateError, Annotated, AnnotatedStructure, Annotations, Event, Events, cards};

/// Where learning starts: from the model or from cards. Cards can also replace learning.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Learning starts from the model.
    #[default]
    Model,
    /// Learning continues from these cards, by label value; structures without a card start from the model.
    Warm(BTreeMap<u16, PromptCard>),
    /// Nothing is learned: these cards are used, one for each structure in the order of their label values.
    Cards(Vec<PromptCard>),
}

/// One run. Its inputs are already checked.
pub(super) struct Run<'a, B: Backend> {
    annotator: &'a Annotator<B>,
    view: &'a View,
    annotations: &'a Annotations,
    config: &'a AnnotateConfig,
    start: &'a Start,
    slices: Arc<EmbeddingStore<B>>,
    plane: SlicePlane,
    /// The structures' label values.
    values: Vec<u16>,
}

/// A complete structure and its model.
struct Complete<B: Backend> {
    result: AnnotatedStructure,
    predictor: SamPredictor<B>,
}

/// A structure's model and its origin.
struct LearnedStructure<B: Backend> {
    predictor: SamPredictor<B>,
    card: PromptCard,
    seconds: Option<f64>,
}

impl<'a, B: Backend> Run<'a, B> {
    /// Checks that the annotations fit the scan, and that the cards fit the annotations.
    pub(super) fn new(
        annotator: &'a Annotator<B>,
        view: &'a View,
        annotations: &'a Annotations,
        config: &'a AnnotateConfig,
        start: &'a Start,
    ) -> Result<Self, AnnotateError> {
        config.check()?;
        let plane = annotator.plane(view.axis);
        check(annotator, &plane, annotations)?;
        let values: Vec<_> = annotations.labels.values().into_iter().collect();
        if let Start::Cards(cards) = start {
            let names: Vec<_> = values.iter().map(|&value| annotations.name(value)).collect();
            cards::check_count(cards, &names)?;
        }
        let slices = annotator.embedded(view)?;
        Ok(Self { annotator, view, annotations, config, start, slices, plane, values })
    }

    /// Learns, segments, ranks and joins the structures.
    pub(super) fn annotate(&self, events: &mut Events<'_>) -> Result<Annotated, AnnotateError> {
        let (mut complete, mut reporter, begun) = (Vec::new(), Reporter::new(events), Instant::now());
        for (place, &value) in self.values.iter().enumerate() {
            match self.structure(place, value, &mut reporter) {
                Ok(structure) => complete.push(structure),
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Stopped) => {}
            }
            if reporter.is_stopped() {
                break;
            }
        }
        let stopped = complete.len() < self.values.len();
        let (counts, seconds) = (self.slices.counts(), begun.elapsed().as_secs_f64());
        let (structures, embedded, embeddings_read) = (complete.len(), counts.computed, counts.read);
        tracing::info!(structures, embedded, embeddings_read, stopped, seconds, "annotated the scan");
        Ok(Annotated {
            labels: LabelVolume::new(self.join(&complete)?, self.annotations.labels.grid.affine),
            structures: complete.into_iter().map(|structure| structure.result).collect(),
            axis: self.view.axis,
            window: self.view.resolved.clone(),
            config: self.config.clone(),
            stopped,
        })
    }

    /// Learns a structure or takes it from its card, segments it, and ranks its slices.
    fn structure(&self, place: usize, value: u16, reporter: &mut Reporter<'_, '_>) -> Result<Complete<B>, Halt> {
        let name: Arc<str> = self.annotations.name(value).into();
        let _span = tracing::info_span!("structure", name = &*name, value).entered();
        let annotated = self.embed(value, &name, reporter)?;
        let learned = self.learn(place, value, &name, &annotated, reporter)?;
        let (fitted, found) = self.segment(&name, &annotated, &learned.predictor, reporter)?;
        reporter.tell(Event::Segmented {
            structure: Arc::clone(&name),
            annotated: annotated.len(),
            found: found.slices.iter().filter(|slice| slice.mask().is_some()).count(),
            slices: found.slices.len(),
        })?;
        let ranking = self.rank(&name, &fitted, &found, &learned.predictor, reporter)?;
        // The structure is complete, so a run that is stopped here keeps it.
        let _ = reporter.tell(Event::Ranked { structure: Arc::clone(&name), ranking: ranking.as_slice().into() });
        let result = AnnotatedStructure {
            value,
            name: name.to_string(),
            annotated: annotated.len(),
            agreement: found.agreement.into_iter().map(|(index, agreement)| (index, agreement.slice)).collect(),
            slices: found.slices,
            ranking,
            card: learned.card,
            learning_seconds: learned.seconds,
        };
        Ok(Complete { result, predictor: learned.predictor })
    }

    /// The annotated slices, embedded, with the outlines of one structure. A slice with any outline is annotated for all structures.
    fn embed(
        &self,
        value: u16,
        name: &Arc<str>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Vec<AnnotatedSlice<B>>, Halt> {
        let begun = Instant::now();
        let outline = |index| self.labels(index).mapv(|label| label == value);
        let embedded =
            AnnotatedSlice::embed_all(&*self.slices, &self.annotated(), outline, &mut reporter.observer(name));
        let embedded = embedded.map_err(|source| self.embed_error(source))?;
        let embedded = embedded.filter(|_| !reporter.is_stopped()).ok_or(Halt::Stopped)?;
        tracing::info!(
            slices = embedded.len(),
            seconds = begun.elapsed().as_secs_f64(),
            "embedded the annotated slices"
        );
        Ok(embedded)
    }

    /// Learns a structure, or takes it from its card.
    fn learn(
        &self,
        place: usize,
        value: u16,
        name: &Arc<str>,
        annotated: &[AnnotatedSlice<B>],
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<LearnedStructure<B>, Halt> {
        let predictor = self.annotator.predictor();
        let card_error = |source| AnnotateError::Card { structure: name.to_string(), source };
        if let Start::Cards(cards) = self.start {
            // There is one card for each structure: this was checked.
            let card = cards[place].clone();
            let predictor = card.apply_for(predictor, self.annotator.weights_sha256()).map_err(card_error)?;
            tracing::info!(card = card.metadata().structure, "took what a card has learned");
            let of = card.metadata().structure.as_str().into();
            reporter.tell(Event::CardUsed { structure: Arc::clone(name), card: of })?;
            return Ok(LearnedStructure { predictor, card, seconds: None });
        }
        let start = self
            .warm_start(value)
            .map(|card| card.adaptation_for(predictor, self.annotator.weights_sha256()))
            .transpose()
            .map_err(card_error)?;
        let learning = &self.config.learning;
        let learned = learn_structure(predictor, annotated, learning, start.as_ref(), &mut reporter.observer(name));
        let learned = learned.map_err(|source| AnnotateError::Learn { structure: name.to_string(), source })?;
        if learned.stop_reason == StopReason::Stopped {
            return Err(Halt::Stopped);
        }
        let card = self.card(name, annotated, &learned).map_err(card_error)?;
        if let Some(files) = &self.annotator.cards {
            let path = files.save(&card, value, self.values.len() == 1)?;
            reporter.tell(Event::CardSaved { structure: Arc::clone(name), path })?;
        }
        let (seconds, warm) = (learned.seconds, start.is_some());
        reporter.tell(Event::Learned { structure: Arc::clone(name), seconds, warm })?;
        Ok(LearnedStructure { predictor: learned.adaptation.apply(predictor), card, seconds: Some(seconds) })
    }

    /// Segments the slices that are not annotated.
    fn segment(
        &self,
        name: &Arc<str>,
        annotated: &[AnnotatedSlice<B>],
        predictor: &SamPredictor<B>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<(FittedStrategy<B>, Segmentation), Halt> {
        let halt = |error| Halt::of(error, |source| AnnotateError::Segment { structure: name.to_string(), source });
        let (strategy, slices) = (&self.config.strategy, &*self.slices);
        let fitted = strategy.fit(annotated.to_vec(), slices, &mut reporter.observer(name)).map_err(halt)?;
        let found = fitted.segment(predictor, slices, &mut reporter.observer(name)).map_err(halt)?;
        if found.stopped { Err(Halt::Stopped) } else { Ok((fitted, found)) }
    }

    /// Ranks the slices that are not annotated, least trusted first.
    fn rank(
        &self,
        name: &Arc<str>,
        fitted: &FittedStrategy<B>,
        found: &Segmentation,
        predictor: &SamPredictor<B>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Vec<RankedSlice>, Halt> {
        let halt = |error| Halt::of(error, |source| AnnotateError::Rank { structure: name.to_string(), source });
        let observer = &mut reporter.observer(name);
        let ranking = self.config.trust.rank(fitted, predictor, found, &*self.slices, observer).map_err(halt)?;
        if ranking.stopped { Err(Halt::Stopped) } else { Ok(ranking.slices) }
    }

    /// The card that a structure's learning continues from.
    fn warm_start(&self, value: u16) -> Option<&PromptCard> {
        match self.start {
            Start::Warm(cards) => cards.get(&value),
            _ => None,
        }
    }

    /// A card of what was learned.
    fn card(
        &self,
        name: &str,
        annotated: &[AnnotatedSlice<B>],
        learned: &Learned<B>,
    ) -> Result<PromptCard, AssistError> {
        let shown = annotated.iter().filter(|slice| !slice.is_empty());
        let training = TrainingSlices::new(
            self.annotator.scan().name(),
            ["i", "j", "k"][self.plane.axis()],
            shown.map(AnnotatedSlice::index).collect(),
            annotated.len(),
        );
        let metadata = CardMetadata::new(
            name,
            &self.view.resolved.name,
            self.annotator.model.clone(),
            self.annotator.weights_sha256(),
            learned.config.clone(),
            training,
        )
        .with_created(Some(cards::today()));
        PromptCard::of(metadata, &learned.adaptation)
    }

    /// Label map of all structures. Annotated slices stay as they are.
    fn join(&self, structures: &[Complete<B>]) -> Result<Array3<u16>, AnnotateError> {
        let together = MultiClass::new(structures.iter().map(|structure| structure.predictor.clone()).collect());
        let (mut labels, annotated) = (self.annotations.labels.labels.clone(), self.annotated());
        for index in (0..self.plane.count()).filter(|index| !annotated.contains(index)) {
            let masks: Vec<_> = structures.iter().map(|structure| structure.result.slices[index].mask()).collect();
            let joined = together.join(&masks, || self.slices.embedding(index));
            let joined = joined.map_err(|source| AnnotateError::Join { slice: index, source })?;
            if let Some(joined) = joined {
                // `MultiClass` counts structures from 1; their label values may differ.
                let value = |place: u16| match place.checked_sub(1) {
                    Some(place) => structures[usize::from(place)].result.value,
                    None => 0,
                };
                self.plane.insert(&mut labels, index, joined.mapv(value).view());
            }
        }
        Ok(labels)
    }

    /// The annotated slices, in ascending order.
    fn annotated(&self) -> Vec<usize> {
        let is_outlined = |index: usize| self.labels(index).iter().any(|&label| label != 0);
        let is_annotated = |index: &usize| self.annotations.empty.contains(index) || is_outlined(*index);
        (0..self.plane.count()).filter(is_annotated).collect()
    }

    /// The labels of a slice.
    fn labels(&self, index: usize) -> Array2<u16> {
        self.plane.extract(self.annotations.labels.labels.view(), index)
    }

    fn embed_error(&self, source: SliceError) -> AnnotateError {
        AnnotateError::Embed { scan: self.annotator.scan().name(), source }
    }
}

/// Refuses annotations that do not fit the scan or contradict themselves.
fn check<B: Backend>(
    annotator: &Annotator<B>,
    plane: &SlicePlane,
    annotations: &Annotations,
) -> Result<(), AnnotateError> {
    let (labels, scan) = (&annotations.labels, || annotator.scan().name());
    if let Err(source) = annotator.scan().grid().check_same(&labels.grid) {
        return Err(AnnotateError::OtherGrid { scan: scan(), source });
    }
    if labels.values().is_empty() {
        return Err(AnnotateError::NothingOutlined { scan: scan() });
    }
    for &slice in &annotations.empty {
        let count = plane.count();
        if slice >= count {
            return Err(AnnotateError::NoSuchSlice { slice, scan: scan(), count });
        }
        if plane.extract(labels.labels.view(), slice).iter().any(|&label| label != 0) {
            return Err(AnnotateError::OutlinedAndEmpty { slice });
        }
    }
    Ok(())
}
