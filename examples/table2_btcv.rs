//! The paper's Table 2: Dice by organ and prompt (1, 3, 10 points, a box), original and learned from 2 slices, next to the paper's rows.
//!
//! ```text
//! cargo run --release --example table2_btcv -- --data "btcv=DIR"
//! ```
//!
//! Without data it uses phantoms and says so; this takes less than three minutes on 2 cores. Prints which of the paper's findings hold, and
//! writes `report.html`, `report.md`, `report.csv`, `report.json` and `config.json` to `results/table2_btcv`; an interrupted run continues
//! there.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&[Experiment::Table2Btcv])
}
