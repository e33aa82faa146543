//! The paper's Table 5: coarse masks of PANet and of SAP-Net, row by row, from 5 slices and without a prompt.
//!
//! ```text
//! cargo run --release --example table5_sapnet_ablation -- --data "DIR:right kidney"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/table5_sapnet_ablation`; an interrupted run
//! continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Table5SapnetAblation])
}
