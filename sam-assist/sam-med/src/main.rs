//! The program `sam-med`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Tensors come and go by the megabyte; the system's allocator returns each to the kernel and asks for it again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sam_med::program::run(std::env::args_os())
}
