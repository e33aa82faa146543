//! Pools, and work inside them.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool of the image encoders; `None` if its threads could not be started.
static EMBEDDING: LazyLock<Option<ThreadPool>> =
    LazyLock::new(|| ThreadPoolBuilder::new().thread_name(|index| format!("sam-embed-{index}")).build().ok());

/// Does work inside rayon's global pool, or inside the pool that the caller is in already.
///
/// From any other thread, each of the thousands of small operations of a model would be handed over to a pool that may sleep by then.
/// That costs a tenth of the time in learning, and more where the model is small.
///
/// `RAYON_NUM_THREADS` sets the pool's size.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return work();
    }
    rayon::scope(|_| work())
}

/// Does work inside a pool that image encoders alone compute in, of the same size as the global one.
///
/// A worker that waits takes up other jobs of its pool. So whoever keeps others waiting for an embedding computes it here: no job of
/// this pool waits for an embedding, so none can wait for one that lies further down on its own stack. The work itself must not wait
/// for other threads.
pub fn in_embedding_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match &*EMBEDDING {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
