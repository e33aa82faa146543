//! One run of an annotator: each structure in turn, then all together.

mod expected;
mod join;
mod keep;
mod rejected;
mod start;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use burn::tensor::backend::Backend;
use sam_assist::{AnnotatedSlice, AssistError, CardMetadata, Learned, PromptCard, TrainingSlices, learn_structure};
use sam_auto::{AutoError, FittedStrategy, KnownMasks, RankedSlice, Segmentation, SliceScorer};
use sam_core::{EmbeddingStore, SamPredictor, SliceError};
use sam_data::{AxisReason, LabelVolume, SlicePlane};
use sam_prompt::{
    ndarray::{Array2, Array3},
    progress::StopReason,
};

use self::keep::Kept;
pub(crate) use self::keep::{Before, KeepRule, left_out_dice};
pub use self::start::Start;
use super::{
    Annotator, View,
    reporter::{Halt, Reporter},
};
use crate::{
    AnnotateConfig, AnnotateError, Annotated, AnnotatedStructure, AnnotationSummary, Annotations, DiceKnown, Event,
    Events, cards, summary::Understood, timing::Stopwatch,
};

/// One run. Its inputs are already checked.
pub(super) struct Run<'a, B: Backend> {
    annotator: &'a Annotator<B>,
    view: &'a View,
    annotations: &'a Annotations,
    summary: Arc<AnnotationSummary>,
    /// The labels that count: without outlines that are too small.
    labels: Cow<'a, Array3<u16>>,
    config: &'a AnnotateConfig,
    start: &'a Start,
    /// The round before, of whose masks some are kept.
    before: Option<&'a Before>,
    slices: Arc<EmbeddingStore<B>>,
    plane: SlicePlane,
    /// The structures' label values, and the slices on which each is annotated.
    annotated: BTreeMap<u16, BTreeSet<usize>>,
}

/// A complete structure, its model, the slices that it was learned from, and its strategy's scores, if that has any.
struct Complete<B: Backend> {
    result: AnnotatedStructure,
    predictor: SamPredictor<B>,
    annotated: Vec<AnnotatedSlice<B>>,
    scorer: Option<SliceScorer>,
    /// What Dice is to be expected, if it was tested before the structure was segmented.
    tested: Option<DiceKnown>,
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
        reason: AxisReason,
        annotations: &'a Annotations,
        config: &'a AnnotateConfig,
        start: &'a Start,
    ) -> Result<Self, AnnotateError> {
        config.check()?;
        let plane = annotator.plane(view.axis);
        annotator.check_labels(&annotations.labels)?;
        let Understood { summary, labels } = annotations.understood(&plane, reason)?;
        if let Start::Cards(cards) | Start::Improve(cards) = start {
            let names: Vec<_> = summary.structures.iter().map(|structure| structure.name.clone()).collect();
            cards::check_count(cards, &names)?;
        }
        if let Start::Improve(cards) = start {
            cards::check_window(cards, &view.resolved)?;
        }
        let annotated = summary.structures.iter().map(|structure| (structure.value, structure.annotated())).collect();
        let (slices, summary) = (annotator.embedded(view)?, Arc::new(summary));
        Ok(Self {
            annotator,
            view,
            annotations,
            summary,
            labels,
            config,
            start,
            before: None,
            slices,
            plane,
            annotated,
        })
    }

    /// Keeps masks of the round before.
    pub(super) fn after(self, before: Option<&'a Before>) -> Self {
        Self { before, ..self }
    }

    /// Learns, segments, ranks and joins the structures, and tests what Dice is to be expected of them.
    pub(super) fn annotate(&self, events: &mut Events<'_>) -> Result<Annotated, AnnotateError> {
        let (mut complete, mut reporter, begun) = (Vec::new(), Reporter::new(events), Instant::now());
        let counts_before = self.slices.counts();
        // A stop shows in `reporter`.
        let _ = reporter.tell(Event::Understood { summary: Arc::clone(&self.summary) });
        for (place, &value) in self.annotated.keys().enumerate() {
            if reporter.is_stopped() {
                break;
            }
            match self.structure(place, value, &mut reporter) {
                Ok(structure) => complete.push(structure),
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Stopped) => {}
            }
        }
        let stopped = complete.len() < self.annotated.len();
        let (counts, seconds) = (self.slices.counts(), begun.elapsed().as_secs_f64());
        let (structures, embedded) = (complete.len(), counts.computed - counts_before.computed);
        let embeddings_read = counts.read - counts_before.read;
        tracing::info!(structures, embedded, embeddings_read, stopped, seconds, "annotated the scan");
        let labels = LabelVolume::new(self.join(&complete, &mut reporter)?, self.annotations.labels.grid.affine);
        // Last, so that nobody waits for it.
        self.expect(&mut complete, &mut reporter);
        Ok(Annotated {
            labels,
            structures: complete.into_iter().map(|structure| structure.result).collect(),
            summary: Arc::clone(&self.summary),
            axis: self.view.axis,
            window: self.view.resolved.clone(),
            config: self.config.clone(),
            embedded,
            stopped,
        })
    }

    /// Learns a structure or takes it from its card, segments it, and ranks its slices.
    fn structure(&self, place: usize, value: u16, reporter: &mut Reporter<'_, '_>) -> Result<Complete<B>, Halt> {
        let name: Arc<str> = self.annotations.name(value).into();
        let _span = tracing::info_span!("structure", name = &*name, value).entered();
        let mut stopwatch = Stopwatch::start(&self.slices);
        let annotated = self.embed(value, &name, reporter)?;
        stopwatch.end(|seconds| &mut seconds.embed);
        let learned = self.learn(place, value, &name, &annotated, reporter)?;
        stopwatch.end(|seconds| &mut seconds.learn);
        let Kept { masks, report: kept, left_out: left_out_before, tested } =
            self.keep(value, &name, &annotated, &learned, reporter)?;
        stopwatch.end(|seconds| &mut seconds.keep);
        let fitted = self.fit((value, &name), &annotated, reporter)?;
        stopwatch.end(|seconds| &mut seconds.fit);
        let found = self.segment(&name, &fitted, &learned.predictor, &masks, reporter)?;
        stopwatch.end(|seconds| &mut seconds.segment);
        reporter.tell(Event::Segmented {
            structure: Arc::clone(&name),
            annotated: annotated.len(),
            found: found.slices.iter().filter(|slice| slice.mask().is_some()).count(),
            slices: found.slices.len(),
            strategy: fitted.kind(),
        })?;
        let scorer = fitted.scorer(&found);
        let mut ranking = self.rank(&name, &fitted, &found, &learned.predictor, reporter)?;
        self.doubt_rejected(value, &found, &mut ranking);
        stopwatch.end(|seconds| &mut seconds.rank);
        // The structure is complete, so a run that is stopped here keeps it.
        let _ = reporter.tell(Event::Ranked { structure: Arc::clone(&name), ranking: ranking.as_slice().into() });
        let result = AnnotatedStructure {
            value,
            name: name.to_string(),
            annotated: annotated.len(),
            agreement: found.agreement,
            slices: found.slices,
            ranking,
            expected_dice: None,
            kept,
            left_out_before,
            card: learned.card,
            learning_seconds: learned.seconds,
            seconds: stopwatch.seconds(),
        };
        Ok(Complete { result, predictor: learned.predictor, annotated, scorer, tested })
    }

    /// The slices on which a structure is annotated, embedded, with its outlines.
    fn embed(
        &self,
        value: u16,
        name: &Arc<str>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Vec<AnnotatedSlice<B>>, Halt> {
        let begun = Instant::now();
        let outline = |index| self.labels(index).mapv(|label| label == value);
        let annotated: Vec<_> = self.annotated[&value].iter().copied().collect();
        let embedded = AnnotatedSlice::embed_all(&*self.slices, &annotated, outline, &mut reporter.observer(name));
        let embedded = embedded.map_err(|source| self.embed_error(source))?;
        let embedded = embedded.filter(|_| !reporter.is_stopped()).ok_or(Halt::Stopped)?;
        let weighted = |slice: AnnotatedSlice<B>| {
            let is_accepted = self.annotations.accepted.contains(slice.index());
            if is_accepted { slice.with_weight(self.config.accepted_weight as f32) } else { slice }
        };
        let embedded: Vec<_> = embedded.into_iter().map(weighted).collect();
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
            .start_card(value)
            .map(|card| card.adaptation_for(predictor, self.annotator.weights_sha256()))
            .transpose()
            .map_err(card_error)?;
        let learning = self.learning(value);
        let learned = learn_structure(predictor, annotated, &learning, start.as_ref(), &mut reporter.observer(name));
        let learned = learned.map_err(|source| AnnotateError::Learn { structure: name.to_string(), source })?;
        if learned.stop_reason == StopReason::Stopped {
            return Err(Halt::Stopped);
        }
        let card = self.card(value, name, annotated, &learned).map_err(card_error)?;
        if let Some(files) = &self.annotator.cards {
            let path = files.save(&card, value, self.annotated.len() == 1)?;
            reporter.tell(Event::CardSaved { structure: Arc::clone(name), path })?;
        }
        let (seconds, start) = (learned.seconds, self.learned_from(value));
        reporter.tell(Event::Learned { structure: Arc::clone(name), seconds, start })?;
        Ok(LearnedStructure { predictor: learned.adaptation.apply(predictor), card, seconds: Some(seconds) })
    }

    /// Fits the strategy to the annotated slices.
    fn fit(
        &self,
        (value, name): (u16, &Arc<str>),
        annotated: &[AnnotatedSlice<B>],
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<FittedStrategy<B>, Halt> {
        let fitted = self.strategy(value).fit(annotated.to_vec(), &*self.slices, &mut reporter.observer(name));
        fitted.map_err(|error| segment_halt(name, error))
    }

    /// Segments the slices that are neither annotated nor known.
    fn segment(
        &self,
        name: &Arc<str>,
        fitted: &FittedStrategy<B>,
        predictor: &SamPredictor<B>,
        known: &KnownMasks,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Segmentation, Halt> {
        let found = fitted.segment_others(predictor, &*self.slices, known, &mut reporter.observer(name));
        let found = found.map_err(|error| segment_halt(name, error))?;
        if found.stopped { Err(Halt::Stopped) } else { Ok(found) }
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

    /// A card of what was learned, or the improved card that learning started from.
    fn card(
        &self,
        value: u16,
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
        // An improved card keeps its window: what one scan resolves it to need not fit the scans before.
        let improved = self.improved_card(value);
        let resolved = &self.view.resolved.name;
        let window = cards::window_name(improved.map_or(resolved, |card| &card.metadata().window));
        let metadata = CardMetadata::new(
            name,
            window,
            self.annotator.model.clone(),
            self.annotator.weights_sha256(),
            learned.config.clone(),
            training,
        )
        .with_created(Some(cards::today()));
        match improved {
            Some(card) => card.improved(metadata, &learned.adaptation),
            None => PromptCard::of(metadata, &learned.adaptation),
        }
    }

    /// The labels of a slice that count.
    fn labels(&self, index: usize) -> Array2<u16> {
        self.plane.extract(self.labels.view(), index)
    }

    fn embed_error(&self, source: SliceError) -> AnnotateError {
        AnnotateError::Embed { scan: self.annotator.scan().name(), source }
    }
}

fn segment_halt(structure: &str, error: AutoError) -> Halt {
    Halt::of(error, |source| AnnotateError::Segment { structure: structure.to_owned(), source })
}
