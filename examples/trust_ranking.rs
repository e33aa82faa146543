//! Trust: which slices a person should look at first, and how soon the wrong ones are found.
//!
//! ```text
//! cargo run --release --example trust_ranking -- --data "DIR:liver"
//! ```
//!
//! Five slices are outlined and two marked as empty; an ensemble of generators and a walk segment the rest of the volume, and its slices
//! are ranked by trust. Prints which findings hold, and writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to
//! `results/trust_ranking`; an interrupted run goes on there. Without data it measures on a phantom, in about five minutes on 2 cores, and
//! says so.

use std::process::ExitCode;

use examples::claims::{self, Claim};

fn main() -> ExitCode {
    claims::main(&[Claim::TrustRanking], Claim::TrustRanking.title())
}
