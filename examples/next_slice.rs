//! Which slice to outline next: slices suggested by trust, compared with slices drawn at random.
//!
//! ```text
//! cargo run --release --example next_slice -- --data "DIR:liver"
//! ```
//!
//! It starts from two outlined slices and learns everything again after each further one. Prints whether suggestions are better than random
//! slices, and writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/next_slice`; an interrupted run
//! continues there. Without data it uses a phantom, and says so.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::NextSlice])
}
