//! The command lines of the tables and figures, and the allocator of all examples.
//!
//! The experiments are in `sam-experiments`; the model's options, backends and progress bars are those of `sam-med`.

#![forbid(unsafe_code)]

mod experiments;
mod few_slices;
mod table1;

pub use experiments::run;
pub use few_slices::few_slices;
pub use sam_med::quickstart;
pub use table1::table1_datasets;

/// The allocator of every program here. Tensors of many megabytes are allocated and freed all the time; the system's allocator returns each
/// one to the kernel and requests it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
