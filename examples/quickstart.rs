//! The whole idea in one run: two outlined slices, a few seconds of learning, the rest of the scan segmented.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```
//!
//! Needs no arguments: it makes a synthetic CT, fetches LiteMedSAM's weights once, "outlines" two slices of the spleen from the
//! ground truth, and writes mask.nii.gz, overlay.png and results.json to `quickstart-results`. With --image and --labels it does the
//! same on a scan of yours. Takes about two minutes on 2 cores.

use std::process::ExitCode;

fn main() -> ExitCode {
    examples::quickstart()
}
