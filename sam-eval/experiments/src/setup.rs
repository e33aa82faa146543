//! What every experiment works with: a model, its embeddings, a journal of results and an observer.

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

/// Who watches: it may be called from another thread.
type Watcher = Box<dyn FnMut(&Event) -> ControlFlow<()> + Send>;

/// A model, where its embeddings and results are kept, and who watches.
pub struct Setup<B: Backend> {
    predictor: SamPredictor<B>,
    cache: Option<EmbeddingCache>,
    journal: RefCell<Journal>,
    observer: RefCell<Watcher>,
}

/// A score, and the masks that it was computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run<T> {
    /// The score.
    pub score: T,
    /// What was found on the test slices.
    pub masks: Vec<FoundMask>,
}

/// The mask that was found on one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundMask {
    /// Its position in the stack, counted from 0.
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
    /// A model whose embeddings and results are kept in memory.
    pub fn new(predictor: SamPredictor<B>) -> Self {
        Self {
            predictor,
            cache: None,
            journal: RefCell::new(Journal::in_memory()),
            observer: RefCell::new(Box::new(trace_notes())),
        }
    }

    /// This setup with a folder that keeps embeddings.
    #[must_use]
    pub fn with_cache(self, cache: EmbeddingCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// This setup with a journal: results in it are not computed again.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: RefCell::new(journal), ..self }
    }

    /// This setup with an observer, which is told what happens and can stop it.
    #[must_use]
    pub fn with_observer(self, observer: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static) -> Self {
        Self { observer: RefCell::new(Box::new(observer)), ..self }
    }

    /// The original model.
    pub fn predictor(&self) -> &SamPredictor<B> {
        &self.predictor
    }

    /// The folder that keeps embeddings.
    pub(crate) fn cache(&self) -> Option<&EmbeddingCache> {
        self.cache.as_ref()
    }

    /// The slices of a case and their embeddings, all of which are kept in memory.
    ///
    /// # Errors
    /// If there is a folder of embeddings, but the model does not know its weights' SHA-256.
    pub(crate) fn source(&self, stack: &Arc<Stack>) -> Result<EmbeddingStore<B>> {
        let (count, images) = (stack.len(), stack.clone());
        let images = ImageFn::new(count, move |index| Ok(images.image(index)));
        let store = EmbeddingStore::new(self.predictor.clone(), images).with_capacity(count);
        Ok(match &self.cache {
            Some(cache) => store.with_disk(cache.clone())?,
            None => store,
        })
    }

    /// The result of a piece of work: from the journal, or computed and added to it.
    ///
    /// `depends_on` is everything that decides the result, beside the model.
    ///
    /// # Errors
    /// Those of the work, or if its result cannot be kept.
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

    /// Whether the journal has the result of a piece of work.
    ///
    /// # Errors
    /// If `depends_on` cannot be written as JSON.
    pub fn has(&self, depends_on: &impl Serialize) -> Result<bool> {
        Ok(self.journal.borrow().has(&self.key(depends_on)?))
    }

    /// Identifies a piece of work with this model.
    fn key(&self, depends_on: &impl Serialize) -> Result<String> {
        let (weights, precision) = (self.predictor.weights_sha256(), self.predictor.encoder_precision());
        Journal::key(&(env!("CARGO_PKG_VERSION"), weights, precision, depends_on))
    }

    /// Tells the observer.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if it stops the experiment.
    pub(crate) fn tell(&self, event: Event) -> Result<()> {
        match (self.observer.borrow_mut())(&event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ExperimentError::Stopped),
        }
    }

    /// Tells the observer what is being done.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if it stops the experiment.
    pub(crate) fn doing(&self, activity: impl Into<String>) -> Result<()> {
        self.tell(Event::Activity(activity.into()))
    }

    /// Tells the observer that a step is done.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if it stops the experiment.
    pub(crate) fn step_done(&self) -> Result<()> {
        self.tell(Event::Step { loss: None })
    }

    /// Tells the observer something that the user should know.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] if it stops the experiment.
    pub(crate) fn note(&self, note: impl Into<String>) -> Result<()> {
        self.tell(Event::Note(note.into()))
    }

    /// Tells the observer that tests on a case begin, does them, and tells that they are complete.
    ///
    /// # Errors
    /// Those of the tests; [`ExperimentError::Stopped`].
    pub(crate) fn case<T>(&self, name: String, steps: usize, tests: impl FnOnce() -> Result<T>) -> Result<T> {
        self.tell(Event::Case { name, steps })?;
        let result = tests();
        self.tell(Event::CaseDone)?;
        result
    }

    /// The observer, to be handed on.
    pub(crate) fn observer(&self) -> impl FnMut(&Event) -> ControlFlow<()> + '_ {
        |event| (self.observer.borrow_mut())(event)
    }

    /// Makes a call of the libraries, each unit of which is a step of the experiment.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn counted<T, E: Into<ExperimentError>>(
        &self,
        call: impl FnOnce(&mut Observer<'_>) -> Result<T, E>,
    ) -> Result<T> {
        self.observed(|progress| Event::Step { loss: progress.loss }, call)
    }

    /// Makes a call of the libraries that is part of a step.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn watched<T, E: Into<ExperimentError>>(
        &self,
        call: impl FnOnce(&mut Observer<'_>) -> Result<T, E>,
    ) -> Result<T> {
        self.observed(|progress| Event::Progress(*progress), call)
    }

    /// Makes a call of an annotator, each learning iteration of which is a step of the experiment.
    ///
    /// # Errors
    /// Those of the call; [`ExperimentError::Stopped`] if the observer stopped it.
    pub(crate) fn annotated(
        &self,
        call: impl FnOnce(&mut Events<'_>) -> Result<Annotated, AnnotateError>,
    ) -> Result<Annotated> {
        // The annotator calls on a thread of the pool, and a setup cannot be shared between threads: the watcher can be lent.
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

    /// Slices, embedded, with their outlines.
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

    /// Partial results of a stopped call are dropped: every test needs the whole.
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

/// A digest of some slices as the network sees them, and of a structure's masks on them.
pub(crate) fn digest(stack: &Stack, structure: &Structure, slices: &[usize]) -> String {
    let mut digest = Sha256Hasher::new();
    for &index in slices {
        let image = stack.image(index);
        digest.update(format!("{index} {:?}", image.dim()));
        // As f32, as in journals of earlier versions.
        image.iter().for_each(|&level| digest.update(f32::from(level).to_le_bytes()));
        stack.mask(index, &structure.values).iter().for_each(|&inside| digest.update([u8::from(inside)]));
    }
    digest.finish().to_string()
}
