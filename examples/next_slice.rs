//! Which slice to outline next: as trust suggests, against slices drawn at random.
//!
//! ```text
//! cargo run --release --example next_slice -- --data "DIR:liver"
//! ```
//!
//! Starting from two outlined slices, everything is learned again after each further one. Prints whether suggestions are better, and writes
//! `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/next_slice`; an interrupted run continues there.
//! Without data it uses a phantom, and says so.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::NextSlice])
}
