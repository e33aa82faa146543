//! Which slice to outline next: as trust suggests, against slices drawn at random.
//!
//! ```text
//! cargo run --release --example next_slice -- --data "DIR:liver"
//! ```
//!
//! From two outlined slices on, everything is learned anew after each further one. Prints whether suggestions are better, and writes
//! `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/next_slice`; an interrupted run goes on there.
//! Without data it measures on a phantom, and says so.

use std::process::ExitCode;

use examples::claims::{self, Claim};

fn main() -> ExitCode {
    claims::main(&[Claim::NextSlice], Claim::NextSlice.title())
}
