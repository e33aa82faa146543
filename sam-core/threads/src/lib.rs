//! Where models compute on a CPU: thread pools that cannot deadlock.
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
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! let mut seen = 0;
//! let steps = sam_threads::train(
//!     |report| (1..=10).find(|step| report(step).is_break()).unwrap_or(10),
//!     &mut |step: &usize| {
//!         seen += 1;
//!         if *step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//!     },
//! );
//! assert_eq!((steps, seen), (3, 3));
//! ```

#![forbid(unsafe_code)]

mod pool;
mod training;

pub use pool::{in_embedding_pool, in_pool};
pub use training::{is_training, train};
