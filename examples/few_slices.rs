//! A few outlined slices: the masks of the other slices, by the program's strategies and by filling between slices.
//!
//! ```text
//! cargo run --release --example few_slices -- --data "DIR:liver" --slices 2,3,5,8 --repeats 3
//! python examples/few_slices_peers.py results/few_slices
//! cargo run --release --example few_slices -- --data "DIR:liver" --slices 2,3,5,8 --repeats 3 --peers results/few_slices/peers.json
//! ```
//!
//! The outlines are the ground truth's; every other slice is segmented and scored. Prints means over structures, and writes `report.html`,
//! `report.md`, `report.csv`, `report.json`, `trials.csv`, `inner_dice.svg` and `config.json` to `results/few_slices`; an interrupted run continues
//! there. `trials` in that folder holds images, truth and outlined slices for the script, which measures other programs on the same outlines.
//! Without data it uses phantoms and says so; this takes a few minutes on 2 cores.

use std::process::ExitCode;

fn main() -> ExitCode {
    examples::few_slices()
}
