//! The paper's Table 2: Dice by organ and prompt (1, 3, 10 points, a box), original and learned from 2 slices, beside the paper's
//! rows.
//!
//! ```text
//! cargo run --release --example table2_btcv -- --data "btcv=DIR"
//! ```
//!
//! Without data it uses phantoms, takes less than three minutes on 2 cores, and says so. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/table2_btcv`; an interrupted run continues there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Table2Btcv])
}
