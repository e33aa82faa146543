//! Fuzz test of all image readers, on stable Rust. The fuzz test of `examples` covers cards, checkpoints, sessions and the review page.
//!
//! ```sh
//! cargo test -p sam-data --test fuzz -- --seconds 900 --seed 7
//! cargo test -p sam-data --test fuzz -- --seed 7 --target nifti --case 1234   # one case again
//! ```

mod damage;
mod gzip;
mod harness;
mod targets;
#[cfg(feature = "dicom")]
#[path = "../dicom/written.rs"]
#[allow(dead_code, reason = "other tests write more of it")]
mod written;

fn main() -> std::process::ExitCode {
    harness::run(targets::TARGETS)
}
