//! The paper's Figure 14: failure of propagation, which segments too much.
//!
//! ```text
//! cargo run --release --example fig14_propagation_failure -- --data "kits19=DIR"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/fig14_propagation_failure`; an interrupted
//! run continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Fig14PropagationFailure])
}
