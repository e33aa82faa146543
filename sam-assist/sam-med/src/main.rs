//! The program `sam-med`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Tensors of many megabytes are allocated and freed all the time; the system's allocator returns each one to the kernel and requests it
/// again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sam_med::program::run(std::env::args_os())
}
