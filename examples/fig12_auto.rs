//! The paper's Figure 12: prompts that nobody clicks, by SAP-Net and by propagation, from 5 slices.
//!
//! ```text
//! cargo run --release --example fig12_auto -- --data "DIR:liver"
//! ```
//!
//! Without data it uses phantoms, takes less than three minutes on 2 cores, and says so. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/fig12_auto`; an interrupted run continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Fig12Auto])
}
