//! The paper's Table 1: its nine data sets, next to the data found on this machine.
//!
//! ```text
//! cargo run --release --example table1_datasets -- --set kits19=DIR --set lits=DIR --data FOLDER
//! ```
//!
//! Prints the paper's numbers in their own columns, and for each structure how many cases and slices show it. Without data it counts
//! synthetic data, and says so. Writes results.json, table.csv, table.md and options.json. Takes seconds on synthetic data; every scan is read, so a
//! large data set takes minutes.

use std::process::ExitCode;

fn main() -> ExitCode {
    examples::table1_datasets()
}
