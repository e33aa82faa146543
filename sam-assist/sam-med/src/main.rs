//! The program `sam-med`.

use std::{ffi::c_long, process::ExitCode};

use mimalloc::MiMalloc;

/// Tensors come and go by the megabyte; the system's allocator returns each to the kernel and asks for it again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// mimalloc's option `purge_delay`, which its bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// How long freed memory is kept, in milliseconds. A training step asks again for everything that the step before freed, and pages fresh
/// from the kernel would be a tenth of its time.
const KEPT_MILLISECONDS: c_long = 10_000;

/// Lets the allocator keep freed memory for a while. `MIMALLOC_PURGE_DELAY`, if the user sets it, wins.
#[expect(unsafe_code, reason = "an option of the allocator that this program is linked with; there is no safe binding")]
fn keep_freed_memory() {
    // SAFETY: the call stores a number in an option of the allocator. It takes no pointers, and options may be set at any time.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, KEPT_MILLISECONDS) }
}

fn main() -> ExitCode {
    keep_freed_memory();
    sam_med::program::run(std::env::args_os())
}
