//! The inputs of every experiment: a model, its embeddings, a journal of results and an observer.

use std::{cell::RefCell, fmt, ops::ControlFlow, sync::Arc};

use burn::tensor::backend::Backend;
use sam_annotate::{AnnotateError, Annotated, Events};
use sam_core::{
    AnnotatedSlice, EmbeddingCache, EmbeddingStore, ImageFn, SamPredictor, SliceSource, automatic::RunLengths,
};
use sam_data::{Stack, Structure};
use sam_files::Sha256Hasher;
use sam_prompt::{
    ndarray::Array2,
    progress::{Observer, Progress, Stage},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Event, ExperimentError, Journal, error::Result, event::trace_notes};

/// An owned observer; it may be called from another thread.
type Watcher = Box<dyn FnMut(&Event) -> ControlFlow<()> + Send>;

/// A model with its embeddings, its journal of results and an observer.
pub struct Setup<B: Backend> {
    predictor: SamPredictor<B>,
    cache: Option<EmbeddingCache>,
    journal: RefCell<Journal>,
    observer: RefCell<Watcher>,
}

/// A score, and the masks from which it was computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run<T> {
    /// The score.
    pub score: T,
    /// The predicted masks of the test slices.
    pub masks: Vec<FoundMask>,
}

/// The predicted mask of one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundMask {
    /// The slice's position in the stack, counted from 0.
    pub slice: usize,
    /// The mask: `[rows, columns]`.
    pub mask: RunLengths,
}

impl FoundMask {
    /// Encodes a mask.
    pub fn new(slice: usize, mask: &Array2<bool>) -> Self {
        Self { slice, mask: RunLengths::encode(mask.view()) }
    }
}

/// The scores of runs, without their masks.
pub fn scores<T>(runs: Vec<Run<T>>) -> Vec<T> {
    runs.into_iter().map(|run| run.score).collect()
}

impl<B: Backend> fmt::Debug for Setup<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl<B: Backend> Setup<B> {
    /// A setup that keeps embeddings and results in memory.
    pub fn new(predictor: SamPredictor<B>) -> Self {
        Self {
            predictor,
            cache: None,
            journal: RefCell::new(Journal::in_memory()),
            observer: RefCell::new(Box::new(trace_notes())),
        }
    }

    /// This setup with a folder in which embeddings are stored.
    #[must_use]
    pub fn with_cache(self, cache: EmbeddingCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// This setup with a journal: results in it are not computed again.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: RefCell::new(journal), ..self }
    }

    /// This setup with an observer, which receives the events and can stop the experiment.
    #[must_use]
    pub fn with_observer(self, observer: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static) -> Self {
        Self { observer: RefCell::new(Box::new(observer)), ..self }
    }

    /// The original model.
    pub fn predictor(&self) -> &SamPredictor<B> {
        &self.predictor
    }

    /// The folder in which embeddings are stored.
    pub(crate) fn cache(&self) -> Option<&EmbeddingCache> {
        self.cache.as_ref()
    }

    /// The slices of a case with their embeddings, all of which are kept in memory.
    ///
    /// # Errors
    /// If there is a folder of embeddings, but the SHA-256 of the model's weights is unknown.
    pub(crate) fn source(&self, stack: &Arc<Stack>) -> Result<EmbeddingStore<B>> {
        let (count, images) = (stack.len(), stack.clone());
        let images = ImageFn::new(count, move |index| Ok(images.image(index))).with_pixel_aspect(stack.pixel_aspect());
        let store = EmbeddingStore::new(self.predictor.clone(), images).with_capacity(count);
        Ok(match &self.cache {
            Some(cache) => store.with_disk(cache.clone())?,
            None => store,
        })
    }

    /// The result of a task: from the journal, or computed and added to it.
    ///
    /// `depends_on` is everything that decides the result, except the model.
    ///
    /// # Errors
    /// Those of the task, or if its result cannot be stored.
    pub fn once<T: Serialize + DeserializeOwned>(
        &self,
        depends_on: &impl Serialize,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let key = self.key(depends_on)?;
        if let Some(done) = self.journal.borrow().get(&key)? {
            return Ok(done);
        }
        let result = work()?;
        self.journal.borrow_mut().add(key, &result)?;
        Ok(result)
    }

    /// Whether the journal has the result of a task.
    ///
    /// # Errors
    /// If `depends_on` cannot be written as JSON.
    pub fn has(&self, depends_on: &impl Serialize) -> Result<bool> {
        Ok(self.journal.borrow().has(&self.key(depends_on)?))
    }

    /// The journal key of a task with this model.
    fn key(&self, depends_on: &impl Serialize) -> Result<String> {
        let (weights, precision) = (self.predictor.weights_sha256(), self.predictor.encoder_precision());
        Journal::key(&(env!("CARGO_PKG_VERSION"), weights, precision, depends_on))
    }

    /// Reports an event to the observer.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if the observer stops the experiment.
    pub(crate) fn tell(&self, event: Event) -> Result<()> {
        match (self.observer.borrow_mut())(&event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ExperimentError::Stopped),
        }
    }

    /// Reports the current activity to the observer.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if the observer stops the experiment.
    pub(crate) fn doing(&self, activity: impl Into<String>) -> Result<()> {
        self.tell(Event::Activity(activity.into()))
    }

    /// Reports a finished step to the observer.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if the observer stops the experiment.
    pub(crate) fn step_done(&self) -> Result<()> {
        self.tell(Event::Step { loss: None })
    }

    /// Reports a note for the user to the observer.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if the observer stops the experiment.
    pub(crate) fn note(&self, note: impl Into<String>) -> Result<()> {
        self.tell(Event::Note(note.into()))
    }

    /// Runs the tests of a case, and reports their start and end to the observer.
    ///
    /// # Errors
    /// Those of the tests; [`ExperimentError::Stopped`].
    pub(crate) fn case<T>(&self, name: String, steps: usize, tests: impl FnOnce() -> Result<T>) -> Result<T> {
        self.tell(Event::Case { name, steps })?;
        let result = tests();
        self.tell(Event::CaseDone)?;
        result
    }

    /// The observer, as a closure for other functions.
    pub(crate) fn observer(&self) -> impl FnMut(&Event) -> ControlFlow<()> + '_ {
        |event| (self.observer.borrow_mut())(event)
    }

    /// Calls a library function; each unit of its progress is a step of the experiment.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn counted<T, E: Into<ExperimentError>>(
        &self,
        call: impl FnOnce(&mut Observer<'_>) -> Result<T, E>,
    ) -> Result<T> {
        self.observed(|progress| Event::Step { loss: progress.loss }, call)
    }

    /// Calls a library function within a step.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn watched<T, E: Into<ExperimentError>>(
        &self,
        call: impl FnOnce(&mut Observer<'_>) -> Result<T, E>,
    ) -> Result<T> {
        self.observed(|progress| Event::Progress(*progress), call)
    }

    /// Calls an annotator; each of its learning iterations is a step of the experiment.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn annotated(
        &self,
        call: impl FnOnce(&mut Events<'_>) -> Result<Annotated, AnnotateError>,
    ) -> Result<Annotated> {
        // The annotator calls back on a thread of the pool. A setup is not `Sync`, so only the observer is borrowed.
        let watcher: &mut Watcher = &mut self.observer.borrow_mut();
        let mut stopped = false;
        let result = call(&mut |event| {
            let flow = match event {
                sam_annotate::Event::Progress { progress, .. } if progress.stage == Stage::Learn => {
                    watcher(&Event::Step { loss: progress.loss })
                }
                sam_annotate::Event::Progress { progress, .. } => watcher(&Event::Progress(*progress)),
                sam_annotate::Event::Learned { .. } => watcher(&Event::Activity("segmenting".to_owned())),
                sam_annotate::Event::Segmented { .. } => watcher(&Event::Activity("ranking".to_owned())),
                _ => ControlFlow::Continue(()),
            };
            stopped |= flow.is_break();
            flow
        });
        if stopped { Err(ExperimentError::Stopped) } else { Ok(result?) }
    }

    /// Embedded slices with their outlines.
    ///
    /// # Errors
    /// If a slice cannot be embedded; [`ExperimentError::Stopped`].
    pub(crate) fn annotate(
        &self,
        source: &dyn SliceSource<B>,
        slices: &[usize],
        outline: impl Fn(usize) -> Array2<bool>,
    ) -> Result<Vec<AnnotatedSlice<B>>> {
        let annotated = self.watched(|observer| AnnotatedSlice::embed_all(source, slices, outline, observer))?;
        annotated.ok_or(ExperimentError::Stopped)
    }

    /// Calls a library function with an observer. The partial result of a stopped call is dropped, because every test needs a complete one.
    fn observed<T, E: Into<ExperimentError>>(
        &self,
        event: impl Fn(&Progress) -> Event,
        call: impl FnOnce(&mut Observer<'_>) -> Result<T, E>,
    ) -> Result<T> {
        let mut stopped = false;
        let result = call(&mut |progress| {
            let flow = (self.observer.borrow_mut())(&event(progress));
            stopped |= flow.is_break();
            flow
        });
        if stopped { Err(ExperimentError::Stopped) } else { result.map_err(Into::into) }
    }
}

/// A digest of some slices as the network sees them, and of the masks of a structure on them.
pub(crate) fn digest(stack: &Stack, structure: &Structure, slices: &[usize]) -> String {
    let mut digest = Sha256Hasher::new();
    for &index in slices {
        let image = stack.image(index);
        digest.update(format!("{index} {:?}", image.dim()));
        // As f32, for compatibility with journals of earlier versions.
        image.iter().for_each(|&level| digest.update(f32::from(level).to_le_bytes()));
        stack.mask(index, &structure.values).iter().for_each(|&inside| digest.update([u8::from(inside)]));
    }
    digest.finish().to_string()
}
