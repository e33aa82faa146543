//! The paper's Figure 10: boxes with jitter, original and learned from 2 and 5 slices.
//!
//! ```text
//! cargo run --release --example fig10_boxes -- --data "DIR:liver"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/fig10_boxes`; an interrupted run continues
//! there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Fig10Boxes])
}
