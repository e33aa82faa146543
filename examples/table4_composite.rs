//! The paper's Table 4: 5 points, boxes, and boxes with up to 5 correcting clicks, learned from 2 slices.
//!
//! ```text
//! cargo run --release --example table4_composite -- --data "DIR:prostate"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/table4_composite`; an interrupted run
//! continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Table4Composite])
}
