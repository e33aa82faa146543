//! The paper's Table 3: seconds of learning from 2 and 5 slices, for points and for boxes, next to the paper's seconds on a V100.
//!
//! ```text
//! cargo run --release --example table3_training_time -- --data "DIR:liver"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/table3_training_time`; an interrupted run
//! continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Table3TrainingTime])
}
