#![doc = include_str!("../README.md")]
//!
//! # Why a training needs a guard
//!
//! burn-autodiff locks its graph while the operations of that graph wait for rayon's pool. A worker that waits for its pool does not
//! sleep: it takes up other jobs of the pool. If such a job is another training, the worker asks for a graph lock that lies further
//! down on its own stack. It waits for itself, for ever.
//!
//! # Why [`train`] cannot deadlock
//!
//! - The training runs in a pool that is used for trainings only. Its workers find no jobs but the operations of the one training
//!   that runs, and these never ask for a graph lock.
//! - One training runs at a time: it holds a lock that is taken by a plain thread. A plain thread takes up no jobs while it waits, so
//!   it never waits for itself.
//! - The caller, which may be a worker of any pool, waits on a channel and takes up no jobs either. The training does not need it:
//!   the training pool has workers of its own.
//! - A caller inside a training has the turn already and waits for nobody.
//!
//! One way to wait for ever is left, and it is the observer's: an observer that waits for another thread's training stops the
//! training that it observes, and the other waits for its turn.

#![forbid(unsafe_code)]

mod pool;
mod training;

pub use pool::{in_embedding_pool, in_pool};
pub use training::{is_training, train};
