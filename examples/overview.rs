//! All tables and figures of the paper on one page: measured results next to those of the paper. Below them, what a few outlined slices give,
//! and how far the masks can be trusted.
//!
//! ```text
//! cargo run --release --example overview -- --data "DIR:liver,spleen" --data "DIR:right lung@lung"
//! ```
//!
//! Without data it uses phantoms and says so; this takes about twenty minutes on 2 cores. With data, a structure takes a few minutes
//! for each repeat. Shows its progress, prints which of the paper's findings hold, and writes report.html, report.md, report.csv,
//! report.json and config.json to results/overview. Results are stored there in journal.jsonl: an interrupted run continues where it
//! stopped.

use std::process::ExitCode;

use sam_experiments::Experiment;

fn main() -> ExitCode {
    examples::run(&Experiment::OVERVIEW)
}
