#![doc = include_str!("../README.md")]
//!
//! # Why a training needs a guard
//!
//! burn-autodiff locks its graph while the operations of that graph wait for rayon's pool. A worker that waits for its pool does not sleep:
//! it runs other jobs of the pool. If such a job is another training, the worker asks for a graph lock that is held further down on its own
//! stack. It waits for itself: a deadlock.
//!
//! Two trainings at once also spoil each other's gradients. Before burn-autodiff 0.21 adds an operation to a graph, it looks the graph up
//! under one lock and locks the graph under another (`GraphMutexClient::register`). Between the two, a backward pass of another thread may
//! remove the graph as unused (`GraphCleaner::cleanup_orphaned_entries`). The operation and its gradient are then lost without an error.
//!
//! # Why [`train`] cannot deadlock
//!
//! - The training runs in a pool that is used for trainings only. The only jobs in it are the operations of the one running training, and
//!   these never ask for a graph lock.
//! - Only one training runs at a time: a plain thread holds a mutex for it. A plain thread runs no other jobs while it waits, so it never
//!   waits for itself.
//! - The caller, which may be a worker of any pool, waits on a channel and runs no other jobs either. The training does not need the
//!   caller: the training pool has its own workers.
//! - A caller inside a training already holds the mutex, so it does not wait.
//!
//! One deadlock remains possible: an observer that waits for a training of another thread. The observed training waits for its observer,
//! and the other training waits for the mutex.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

mod pool;
mod training;

pub use pool::{in_embedding_pool, in_pool};
pub use training::{is_training, train, train_unobserved};
