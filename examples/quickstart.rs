//! Quickstart: two outlined slices, a few seconds of learning, and the rest of the scan is segmented.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```
//!
//! Needs no arguments: it generates a synthetic CT, downloads LiteMedSAM's weights once, takes the outlines of two slices of the spleen
//! from the ground truth, and writes mask.nii.gz, overlay.png and results.json to `quickstart-results`. With --image and --labels it does
//! the same on your own scan. Takes about two minutes on 2 cores.

use std::process::ExitCode;

fn main() -> ExitCode {
    examples::quickstart()
}
