//! Trust: which slices a person should review first, and how soon wrong masks are found.
//!
//! ```text
//! cargo run --release --example trust_ranking -- --data "DIR:liver"
//! ```
//!
//! Three and five slices are outlined, spread evenly; the rest of the volume is segmented as `annotate` does, and its
//! slices are ranked by trust. Prints which findings hold, and writes `report.html`, `report.md`, `report.csv`, `report.json` and
//! `config.json` to `results/trust_ranking`; an interrupted run continues there. Without data it uses a phantom and says so; this takes
//! about five minutes on 2 cores.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::TrustRanking])
}
