//! The paper's Figure 9: points drawn uniformly, around the centre or along the boundary.
//!
//! ```text
//! cargo run --release --example fig9_sampling_schemes -- --data "kits19=DIR"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/fig9_sampling_schemes`; an interrupted run
//! continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Fig9SamplingSchemes])
}
