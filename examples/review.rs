//! Opens a mask for review in a browser: look through the slices, correct them by clicks and boxes, accept or reject them.
//!
//! ```text
//! cargo run --release --example review -- --image scan.nii.gz --mask mask.nii.gz --out reviewed.nii.gz
//! ```
//!
//! The mask is a label map on the scan's grid, such as `annotate` writes. The program prints an address; the page under it is served to
//! this machine alone, and only to who has the address. With `--card` clicks are understood as was learned for each structure; without,
//! by the model as it came. `--ranking` lists the slices that need a look most.
//!
//! With `--session DIR` in place of `--mask` a session of `annotate` is reviewed, its slices ranked by trust. Each decision is then on the
//! disk before it is shown, and the next `annotate --session DIR` learns from all of them.
//!
//! Ctrl-C ends the review and saves it, so does closing the terminal; if the mask cannot be written, the page stays open. Beside the mask
//! stands MASK.review.json with what was decided on which slice (of a session MASK.json, as `annotate` writes it). Of slices that were
//! rejected nothing is written; in a session they stay as they were found, until the next round finds them anew.

use std::process::ExitCode;

use clap::Parser;
use examples::{
    report,
    review::{self, Options},
};

fn main() -> ExitCode {
    report::exit(review::run(&Options::parse()))
}
