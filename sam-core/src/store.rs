//! The store of image embeddings: in memory, and in an optional folder on disk.

mod recent;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use burn::tensor::backend::Backend;
use ndarray::Array3;
use sam_prompt::{
    PixelAspect,
    progress::{Observer, Progress, Stage},
};
use sam_threads::in_embedding_pool;

use crate::{
    CoreError, EmbeddingCache, EmbeddingKey, ImageEmbedding, ImageSource, SamPredictor, SliceError, SliceSource,
};
use recent::Recent;

/// Default number of embeddings in memory: for `LiteMedSAM`, a quarter of a GB.
const CAPACITY: usize = 64;

/// Statistics of an [`EmbeddingStore`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct StoreCounts {
    /// Number of computed embeddings.
    pub computed: usize,
    /// Number of embeddings read from disk.
    pub read: usize,
    /// Seconds that this took, of all threads together.
    pub seconds: f64,
}

/// A store of images and their embeddings; each image is embedded once, at its first use.
///
/// Memory holds the most recently used embeddings. The folder, if there is one, holds all of them up to its size limit. Embeddings are
/// rounded to f16 with and without a folder, so that results do not depend on it.
///
/// Several threads may use a store at the same time. A thread that asks for an embedding which another thread is computing waits for it.
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
    nanoseconds: AtomicU64,
}

/// An embedding that one thread computes and other threads may wait for.
struct Pending<B: Backend> {
    state: Mutex<PendingState<B>>,
    ended: Condvar,
}

enum PendingState<B: Backend> {
    Running,
    Done(ImageEmbedding<B>),
    /// Each waiting thread tries to compute it itself.
    Failed,
}

impl<B: Backend> EmbeddingStore<B> {
    /// Creates a store that keeps 64 embeddings in memory and none on disk.
    pub fn new(predictor: SamPredictor<B>, images: impl ImageSource + 'static) -> Self {
        Self {
            predictor,
            images: Arc::new(images),
            disk: None,
            memory: Mutex::new(Recent::new(CAPACITY)),
            computed: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// This store with another number of embeddings in memory, at least 1. One embedding of `LiteMedSAM` or SAM takes 4 MB.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { memory: Mutex::new(Recent::new(capacity.max(1))), ..self }
    }

    /// This store with a folder that keeps embeddings across runs.
    ///
    /// # Errors
    /// [`CoreError::WeightsUnknown`] if the predictor does not know its weights' SHA-256.
    pub fn with_disk(self, disk: EmbeddingCache) -> Result<Self, CoreError> {
        self.predictor.weights_sha256().ok_or(CoreError::WeightsUnknown)?;
        Ok(Self { disk: Some(disk), ..self })
    }

    /// The model that embeds the images.
    pub fn predictor(&self) -> &SamPredictor<B> {
        &self.predictor
    }

    /// The images.
    pub fn images(&self) -> &Arc<dyn ImageSource> {
        &self.images
    }

    /// Whether a slice's embedding is in memory, so that [`SliceSource::embedding`] returns at once. The call counts as a use of the
    /// embedding: the least recently used embeddings are dropped first.
    pub fn is_in_memory(&self, index: usize) -> bool {
        self.memory().get(index).is_some()
    }

    /// Number of embeddings computed and read so far.
    pub fn counts(&self) -> StoreCounts {
        let [computed, read] = [&self.computed, &self.read].map(|count| count.load(Ordering::Relaxed));
        let seconds = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        StoreCounts { computed, read, seconds }
    }

    /// Runs a task that reads or computes embeddings, and counts its time.
    fn timed<T>(&self, task: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let made = task();
        let nanoseconds = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        made
    }

    /// Reads or computes the embedding of a slice that no other thread is computing. Waiting threads get it before this returns.
    fn make(&self, index: usize, image: &Array3<u8>, turn: &Turn<'_, B>) -> Result<ImageEmbedding<B>, CoreError> {
        let Some(disk) = &self.disk else {
            return self.compute(index, image, turn);
        };
        let key = EmbeddingKey::new(image.view(), &self.predictor)?;
        if let Some(known) = disk.get(&key, &self.predictor.device()) {
            self.read.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(slice = index, "read an embedding");
            // An f32 cache may hold an unrounded embedding.
            let known = known.rounded_to_f16();
            turn.done(&known);
            return Ok(known);
        }
        let embedding = self.compute(index, image, turn)?;
        disk.put_or_warn(&key, &embedding);
        Ok(embedding)
    }

    /// Computes an embedding and publishes it to waiting threads inside the job, because this thread may run other jobs before `encode`
    /// returns.
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

    fn pixel_aspect(&self) -> PixelAspect {
        self.images.pixel_aspect()
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError> {
        if let Some(known) = self.memory().get(index) {
            return Ok(known);
        }
        // Read the image before this thread takes its turn: while it reads, it may run other jobs, and such a job may ask for the same
        // slice.
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
                    let made = self.timed(|| self.make(index, &image, &turn));
                    return made.map_err(|error| SliceError::new(index, error));
                };
                pending
            };
            if let Some(made) = pending.wait() {
                return Ok(made);
            }
        }
    }

    /// Embeds all slices into the folder; without a folder, as many as fit into memory.
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
            return self.timed(|| disk.fill(&self.predictor, &*self.images, &mut reached, observer));
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

/// The turn of one thread to embed one slice. Dropping it ends the turn, with or without success.
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

    /// Sets the final state; later calls have no effect.
    fn end(&self, how: PendingState<B>) {
        let mut state = lock(&self.state);
        if matches!(*state, PendingState::Running) {
            *state = how;
            self.ended.notify_all();
        }
    }

    /// Waits for the embedding; `None` if computing it failed.
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

/// Locks a mutex and ignores poisoning, because a panic cannot leave the state inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an image encoder while other threads may wait for its result. On a CPU it runs in the embedding pool, whose jobs never wait.
pub(crate) fn encode<B: Backend, R: Send>(predictor: &SamPredictor<B>, work: impl FnOnce() -> R + Send) -> R {
    // Not on a GPU: GPU backends keep memory for each thread that uses them, and a waiting GPU operation runs no other jobs.
    let backend = B::name(&predictor.device()).to_lowercase();
    if ["cuda", "hip", "rocm", "wgpu", "vulkan", "metal"].iter().any(|gpu| backend.contains(gpu)) {
        return work();
    }
    in_embedding_pool(work)
}
