//! The command lines of the tables and figures, and the allocator of all examples.
//!
//! What is measured is in `sam-experiments`; the model's options, backends and progress bars are `sam-med`'s.

#![forbid(unsafe_code)]

mod experiments;
mod table1;

pub use experiments::run;
pub use sam_med::quickstart;
pub use table1::table1_datasets;

/// The allocator of every program here. Tensors come and go by the megabyte; the system's allocator returns each to the kernel and asks
/// for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
