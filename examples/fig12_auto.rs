//! The paper's Figure 12: automatic prompts, from SAP-Net and from propagation, with 5 annotated slices.
//!
//! ```text
//! cargo run --release --example fig12_auto -- --data "DIR:liver"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/fig12_auto`; an interrupted run continues
//! there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Fig12Auto])
}
