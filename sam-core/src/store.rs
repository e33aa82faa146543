//! The one place that keeps embeddings: in memory, over a folder on disk.

mod recent;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use burn::tensor::backend::Backend;
use ndarray::Array3;
use sam_prompt::progress::{Observer, Progress, Stage};
use sam_threads::in_embedding_pool;

use crate::{
    CoreError, EmbeddingCache, EmbeddingKey, ImageEmbedding, ImageSource, SamPredictor, SliceError, SliceSource,
};
use recent::Recent;

/// How many embeddings a store keeps in memory by default: of `LiteMedSAM`, a quarter of a GB.
const CAPACITY: usize = 64;

/// What an [`EmbeddingStore`] did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCounts {
    /// Embeddings that were computed.
    pub computed: usize,
    /// Embeddings that were read from disk.
    pub read: usize,
}

/// Images and their embeddings, each embedded once, when it is first asked for.
///
/// The embeddings used last are in memory; all of them are in a folder, if there is one. They are rounded to f16, with a folder and
/// without, so that results do not depend on it.
///
/// A store answers many threads at once. Threads that ask for an embedding that another thread computes wait for it.
///
/// ```
/// use burn_flex::Flex;
/// use ndarray::Array3;
/// use sam_core::{EmbeddingStore, SamConfig, SamPredictor, SliceSource, ViTConfig};
///
/// let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
/// let predictor = SamPredictor::<Flex>::new(config.init(&Default::default()), config.preprocess);
/// let images: Vec<_> = (0..3).map(|slice| Array3::from_elem((40, 50, 1), 80 * slice)).collect();
/// let store = EmbeddingStore::new(predictor, images);
/// store.embedding(1)?;
/// store.embedding(1)?;
/// assert_eq!(store.counts().computed, 1);
/// # Ok::<(), sam_core::SliceError>(())
/// ```
pub struct EmbeddingStore<B: Backend> {
    predictor: SamPredictor<B>,
    images: Arc<dyn ImageSource>,
    disk: Option<EmbeddingCache>,
    memory: Mutex<Recent<B>>,
    computed: AtomicUsize,
    read: AtomicUsize,
}

/// An embedding that one thread makes and others may wait for.
struct Pending<B: Backend> {
    state: Mutex<PendingState<B>>,
    ended: Condvar,
}

enum PendingState<B: Backend> {
    Running,
    Done(ImageEmbedding<B>),
    /// Whoever waits tries for themselves.
    Failed,
}

impl<B: Backend> EmbeddingStore<B> {
    /// A store of images that keeps 64 embeddings in memory and none on disk.
    pub fn new(predictor: SamPredictor<B>, images: impl ImageSource + 'static) -> Self {
        Self {
            predictor,
            images: Arc::new(images),
            disk: None,
            memory: Mutex::new(Recent::new(CAPACITY)),
            computed: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        }
    }

    /// This store with another number of embeddings in memory, at least 1. One of `LiteMedSAM` or SAM takes 4 MB.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { memory: Mutex::new(Recent::new(capacity.max(1))), ..self }
    }

    /// This store over a folder that keeps the embeddings of all runs.
    ///
    /// # Errors
    /// [`CoreError::WeightsUnknown`] if the predictor does not know its weights' SHA-256.
    pub fn with_disk(self, disk: EmbeddingCache) -> Result<Self, CoreError> {
        self.predictor.weights_sha256().ok_or(CoreError::WeightsUnknown)?;
        Ok(Self { disk: Some(disk), ..self })
    }

    /// The model that embeds.
    pub fn predictor(&self) -> &SamPredictor<B> {
        &self.predictor
    }

    /// The images.
    pub fn images(&self) -> &Arc<dyn ImageSource> {
        &self.images
    }

    /// Whether a slice's embedding is in memory, so that [`SliceSource::embedding`] returns at once. Asking counts as use: the embeddings
    /// that nobody asked for make room for new ones.
    pub fn is_in_memory(&self, index: usize) -> bool {
        self.memory().get(index).is_some()
    }

    /// How many embeddings were computed and read so far.
    pub fn counts(&self) -> StoreCounts {
        let [computed, read] = [&self.computed, &self.read].map(|count| count.load(Ordering::Relaxed));
        StoreCounts { computed, read }
    }

    /// Embeds a slice that nobody else embeds now. Others learn of it before this returns.
    fn make(&self, index: usize, image: &Array3<u8>, turn: &Turn<'_, B>) -> Result<ImageEmbedding<B>, CoreError> {
        let Some(disk) = &self.disk else {
            return self.compute(index, image, turn);
        };
        let key = EmbeddingKey::new(image.view(), &self.predictor)?;
        if let Some(known) = disk.get(&key, &self.predictor.device()) {
            self.read.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(slice = index, "read an embedding");
            // Whatever the folder holds: f32, perhaps.
            let known = known.rounded_to_f16();
            turn.done(&known);
            return Ok(known);
        }
        let embedding = self.compute(index, image, turn)?;
        disk.put_or_warn(&key, &embedding);
        Ok(embedding)
    }

    /// Embeds an image and tells those who wait, before the caller does anything else: it may take up other work first.
    fn compute(&self, index: usize, image: &Array3<u8>, turn: &Turn<'_, B>) -> Result<ImageEmbedding<B>, CoreError> {
        self.computed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(slice = index, "embedding a slice");
        encode(&self.predictor, || {
            let embedding = self.predictor.embed(image.view())?.rounded_to_f16();
            turn.done(&embedding);
            Ok(embedding)
        })
    }

    fn memory(&self) -> MutexGuard<'_, Recent<B>> {
        lock(&self.memory)
    }
}

impl<B: Backend> SliceSource<B> for EmbeddingStore<B> {
    fn count(&self) -> usize {
        self.images.count()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        self.images.image(index)
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError> {
        if let Some(known) = self.memory().get(index) {
            return Ok(known);
        }
        // Before it is this thread's turn: a source may take up other work while it reads, and that may ask for the same slice.
        let image = self.images.image(index)?;
        loop {
            let pending = {
                let mut memory = self.memory();
                if let Some(known) = memory.get(index) {
                    return Ok(known);
                }
                let Some(pending) = memory.pending(index) else {
                    let turn = Turn { store: self, index, pending: memory.begin(index) };
                    drop(memory);
                    return self.make(index, &image, &turn).map_err(|error| SliceError::new(index, error));
                };
                pending
            };
            if let Some(made) = pending.wait() {
                return Ok(made);
            }
        }
    }

    /// Embeds all slices into the folder; without a folder, as many as there is room for in memory.
    fn embed_all(&self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>, SliceError> {
        let begun = Instant::now();
        let flow = self.embed_each(observer)?;
        let (counts, seconds) = (self.counts(), begun.elapsed().as_secs_f64());
        tracing::info!(
            slices = self.count(),
            computed = counts.computed,
            read = counts.read,
            seconds,
            "embedded all slices"
        );
        Ok(flow)
    }
}

impl<B: Backend> EmbeddingStore<B> {
    fn embed_each(&self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>, SliceError> {
        if let Some(disk) = &self.disk {
            let mut reached = |is_new: bool| {
                self.computed.fetch_add(usize::from(is_new), Ordering::Relaxed);
            };
            return disk.fill(&self.predictor, &*self.images, &mut reached, observer);
        }
        let count = self.count().min(self.memory().capacity());
        for index in 0..count {
            self.embedding(index)?;
            if observer(&Progress::new(Stage::Embed, index + 1, count).at_slice(index)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl<B: Backend> fmt::Debug for EmbeddingStore<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingStore")
            .field("count", &self.images.count())
            .field("disk", &self.disk)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// The turn of one thread to embed one slice; over when it is dropped, whatever came of it.
struct Turn<'a, B: Backend> {
    store: &'a EmbeddingStore<B>,
    index: usize,
    pending: Arc<Pending<B>>,
}

impl<B: Backend> Turn<'_, B> {
    fn done(&self, embedding: &ImageEmbedding<B>) {
        self.store.memory().put(self.index, embedding.clone());
        self.pending.end(PendingState::Done(embedding.clone()));
    }
}

impl<B: Backend> Drop for Turn<'_, B> {
    fn drop(&mut self) {
        self.store.memory().end(self.index, &self.pending);
        self.pending.end(PendingState::Failed);
    }
}

impl<B: Backend> Pending<B> {
    fn new() -> Self {
        Self { state: Mutex::new(PendingState::Running), ended: Condvar::new() }
    }

    /// Ends it once; a second end changes nothing.
    fn end(&self, how: PendingState<B>) {
        let mut state = lock(&self.state);
        if matches!(*state, PendingState::Running) {
            *state = how;
            self.ended.notify_all();
        }
    }

    /// The embedding once it is made; `None` if that failed.
    fn wait(&self) -> Option<ImageEmbedding<B>> {
        let mut state = lock(&self.state);
        loop {
            match &*state {
                PendingState::Running => state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                PendingState::Done(embedding) => return Some(embedding.clone()),
                PendingState::Failed => return None,
            }
        }
    }
}

/// What was locked; work that failed meanwhile has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an image encoder while others may wait for what it makes: on a CPU in the pool of image encoders, where nobody waits.
pub(crate) fn encode<B: Backend, R: Send>(predictor: &SamPredictor<B>, work: impl FnOnce() -> R + Send) -> R {
    // GPUs keep memory for each thread that they are used from, and their operations take up no other work.
    let backend = B::name(&predictor.device()).to_lowercase();
    if ["cuda", "hip", "rocm", "wgpu", "vulkan", "metal"].iter().any(|gpu| backend.contains(gpu)) {
        return work();
    }
    in_embedding_pool(work)
}
