//! Thread pools, and running work in them.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool of image encoders; `None` if its threads could not be started.
static EMBEDDING: LazyLock<Option<ThreadPool>> =
    LazyLock::new(|| ThreadPoolBuilder::new().thread_name(|index| format!("sam-embed-{index}")).build().ok());

/// Runs work inside rayon's global pool, or inside the pool that the caller is already in.
///
/// From any other thread, each of a model's thousands of small operations would be passed to a pool whose threads may be asleep. This costs
/// a tenth of the training time, and more if the model is small.
///
/// `RAYON_NUM_THREADS` sets the pool's size.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return work();
    }
    rayon::scope(|_| work())
}

/// Runs work inside the embedding pool, which is used by image encoders only and has the size of the global pool.
///
/// A worker that waits runs other jobs of its pool. If such a job waited for an embedding that is being computed further down on the
/// worker's own stack, it would deadlock. So an embedding that other threads may wait for is computed in this pool, in which no job waits
/// for an embedding. The work itself must not wait for other threads.
pub fn in_embedding_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match &*EMBEDDING {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
