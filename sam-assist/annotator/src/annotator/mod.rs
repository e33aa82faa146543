//! The annotator: learns and segments structures of one scan with one model.

mod builder;
mod reporter;
mod run;

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::backend::Backend;
use sam_core::{EmbeddingCache, EmbeddingStore, ImageFn, SamConfig, SamPredictor, SliceSource, StoreCounts};
use sam_data::{AxisReason, LabelVolume, ResolvedWindow, Scan, SliceAxis, SlicePlane, Stack, Window};

pub(crate) use self::run::{Before, KeepRule, left_out_dice};
pub use self::{builder::AnnotatorBuilder, run::Start};
use crate::{AnnotateConfig, AnnotateError, Annotated, Annotations, Events, cards::CardFiles};

/// Annotator of one scan with one model: learns structures from outlined slices and segments the other slices.
///
/// It owns or shares all it needs, and every method takes `&self`. It can be stored in a struct, shared between threads, and sent to
/// another thread. Embeddings of the scan's slices are computed when they are first needed, and kept for later calls.
#[derive(Debug)]
pub struct Annotator<B: Backend> {
    predictor: SamPredictor<B>,
    weights_sha256: String,
    model: SamConfig,
    scan: Arc<Scan>,
    cache: Option<EmbeddingCache>,
    axis: SliceAxis,
    window: Window,
    config: AnnotateConfig,
    cards: Option<CardFiles>,
    /// The view that was embedded last, and its embeddings.
    embedded: Mutex<Option<(View, Arc<EmbeddingStore<B>>)>>,
}

/// Axis and intensity window through which the scan is seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) axis: SliceAxis,
    window: Window,
    pub(crate) resolved: ResolvedWindow,
}

impl<B: Backend> Annotator<B> {
    /// Starts to build an annotator of a scan.
    pub fn builder(predictor: SamPredictor<B>, scan: Arc<Scan>) -> AnnotatorBuilder<B> {
        AnnotatorBuilder::new(predictor, scan)
    }

    /// The scan.
    pub fn scan(&self) -> &Arc<Scan> {
        &self.scan
    }

    /// The original model, before it learns.
    pub fn predictor(&self) -> &SamPredictor<B> {
        &self.predictor
    }

    /// SHA-256 of the model's weights, in hexadecimal.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// The configuration.
    pub fn config(&self) -> &AnnotateConfig {
        &self.config
    }

    /// The axis along which the scan is sliced. `Auto` stands for the axis along which slices are outlined.
    pub fn axis(&self) -> SliceAxis {
        self.axis
    }

    /// The intensity window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Name of the backend, as sessions record it.
    pub fn backend(&self) -> String {
        let name = B::name(&self.predictor.device());
        // burn's GPU backends name their runtime: `cubecl<cuda>`.
        name.strip_prefix("cubecl<").and_then(|rest| rest.strip_suffix('>')).map(str::to_owned).unwrap_or(name)
    }

    /// Learns the outlined structures, segments the slices that are not annotated, and ranks them by trust.
    ///
    /// A structure's outlines stay as they are, and so do the slices on which it is absent according to the person; see [`Annotations`].
    /// [`Event::Understood`](crate::Event::Understood) tells what was understood before anything is learned. Structures are processed one
    /// after the other: learned or taken from a card, segmented, ranked.
    /// At the end, overlapping structures are joined, and it is tested what Dice is to be expected: see
    /// [`AnnotateConfig::expected_dice`]. On a CPU this takes seconds per structure and about a second per slice.
    ///
    /// If `events` returns [`ControlFlow::Break`](std::ops::ControlFlow::Break), the result is partial: [`Annotated::stopped`] is set, and
    /// only the structures that were already complete are included. A stop while the expected Dice is tested leaves the result complete.
    ///
    /// # Errors
    /// [`AnnotateError`], with the structure or slice in its text.
    pub fn annotate(
        &self,
        annotations: &Annotations,
        start: Start,
        events: &mut Events<'_>,
    ) -> Result<Annotated, AnnotateError> {
        self.check_labels(&annotations.labels)?;
        let outlined = annotations.labels.outlined_axis(self.axis)?;
        let view = self.view(outlined.axis, &self.window)?;
        self.annotate_as(&view, outlined.reason, annotations, (&self.config, &start, None), events)
    }

    /// The slices of the scan along an axis, with their embeddings, seen through this annotator's window.
    ///
    /// Later calls for the same axis share them. So do [`Annotator::annotate`] and the rounds of sessions.
    ///
    /// # Errors
    /// [`AnnotateError::Window`].
    pub fn slices(&self, axis: SliceAxis) -> Result<Arc<EmbeddingStore<B>>, AnnotateError> {
        self.embedded(&self.view(axis, &self.window)?)
    }

    /// Number of embeddings that were computed, and number read from the cache, for the view that was used last.
    pub fn embedding_counts(&self) -> StoreCounts {
        let embedded = self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        embedded.as_ref().map(|(_, slices)| slices.counts()).unwrap_or_default()
    }

    /// How the scan is sliced along an axis.
    pub fn plane(&self, axis: SliceAxis) -> SlicePlane {
        SlicePlane::new(self.scan.grid(), axis)
    }

    /// The view along an axis, with the window's intensities in this scan.
    pub(crate) fn view(&self, axis: SliceAxis, window: &Window) -> Result<View, AnnotateError> {
        let resolved = window.resolve(self.scan.volume().voxels.view());
        let resolved = resolved.map_err(|source| AnnotateError::Window { scan: self.scan.name(), source })?;
        Ok(View { axis, window: *window, resolved })
    }

    /// The embedded slices of a view.
    pub(crate) fn embedded(&self, view: &View) -> Result<Arc<EmbeddingStore<B>>, AnnotateError> {
        let mut embedded = self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slices)) = embedded.as_ref().filter(|(known, _)| known == view) {
            return Ok(Arc::clone(slices));
        }
        let slices = Arc::new(self.embedding_store(view)?);
        let (scan, count) = (self.scan.name(), SliceSource::count(&*slices));
        tracing::info!(?scan, axis = ?view.axis, slices = count, window = ?view.resolved, "cut the scan into slices");
        *embedded = Some((view.clone(), Arc::clone(&slices)));
        Ok(slices)
    }

    /// An embedding store for the slices of a view. It keeps all of them in memory, because they are needed several times, in several
    /// orders.
    fn embedding_store(&self, view: &View) -> Result<EmbeddingStore<B>, AnnotateError> {
        let stack = Stack::new(self.scan.name(), Arc::clone(self.scan.volume()), view.axis, &view.window);
        let stack = stack.map_err(|source| AnnotateError::Window { scan: self.scan.name(), source })?;
        let (count, aspect) = (stack.len(), stack.pixel_aspect());
        let images = ImageFn::new(count, move |index| Ok(stack.image(index))).with_pixel_aspect(aspect);
        let store = EmbeddingStore::new(self.predictor.clone(), images).with_capacity(count);
        match &self.cache {
            Some(cache) => store.with_disk(cache.clone()).map_err(|_| AnnotateError::UnknownWeights),
            None => Ok(store),
        }
    }

    /// Refuses a label map that is not on the scan's grid, or holds nothing.
    pub(crate) fn check_labels(&self, labels: &LabelVolume) -> Result<(), AnnotateError> {
        let scan = || self.scan.name();
        if let Err(source) = self.scan.grid().check_same(&labels.grid) {
            return Err(AnnotateError::OtherGrid { scan: scan(), source });
        }
        if labels.values().is_empty() { Err(AnnotateError::NothingOutlined { scan: scan() }) } else { Ok(()) }
    }

    /// Annotates a view of the scan; `reason` says why along this axis. Masks of the round before may be kept.
    pub(crate) fn annotate_as(
        &self,
        view: &View,
        reason: AxisReason,
        annotations: &Annotations,
        (config, start, before): (&AnnotateConfig, &Start, Option<&Before>),
        events: &mut Events<'_>,
    ) -> Result<Annotated, AnnotateError> {
        let run = run::Run::new(self, view, reason, annotations, config, start)?.after(before);
        sam_threads::in_pool(|| run.annotate(events))
    }
}
