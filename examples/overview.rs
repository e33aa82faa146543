//! All tables and figures of the paper on one page: what is measured here beside what the paper says.
//!
//! ```text
//! cargo run --release --example overview -- --data "DIR:liver,spleen" --data "DIR:right lung@lung"
//! ```
//!
//! Without data it measures on phantoms, in about a quarter of an hour on 2 cores, and says so; with data, a structure takes a few minutes
//! for each repeat. Shows how far it is, prints which of the paper's findings hold, and writes report.html, report.md, report.csv,
//! report.json and config.json to results/overview. What is done is kept there in journal.jsonl: an interrupted run goes on where it was.

use std::process::ExitCode;

use examples::claims::{self, Claim};

fn main() -> ExitCode {
    claims::main(&Claim::PAPER, "SAM^Med: the paper's claims, measured here")
}
