//! Batch's work: annotate on many scans, each done once, whoever does it.
//!
//! - [`Options`]: its command line; a table of [`Case`]s and which [`Shard`] of them is done here.
//! - [`Records`]: who does which case, and what became of it.

mod cases;
mod records;

use std::{path::PathBuf, time::Instant};

use anyhow::{Result, ensure};
use clap::Parser;

pub use self::{
    cases::{Case, Shard, read_cases},
    records::{Outcome, Record, Records},
};
use crate::{annotate, session::ObjectId};

/// Annotate many scans, on one machine or on many at once.
#[derive(Debug, Parser)]
pub struct Options {
    /// A CSV file with a case in each line; its columns are options of annotate: image, annotations, out, and others.
    #[arg(long, value_name = "FILE")]
    pub cases: PathBuf,
    /// Folder that keeps what is done; one for all shards.
    #[arg(long, value_name = "DIR")]
    pub records: PathBuf,
    /// Which part of the cases is done here: 2/4 is the second of four.
    #[arg(long, value_name = "PART/OF", default_value_t)]
    pub shard: Shard,
    /// Does no case, but joins the records of all shards to one table: .csv or .json.
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub merge: Option<PathBuf>,
    /// Options of annotate for all cases.
    #[arg(last = true, value_name = "OPTIONS")]
    pub common: Vec<String>,
}

/// Does what the command line asks for.
///
/// # Errors
/// If the table or the records cannot be read or written, or a case failed: the others are done all the same.
pub fn run(options: &Options) -> Result<()> {
    let cases = read_cases(&options.cases, &options.common)?;
    let records = Records::open(&options.records)?;
    if let Some(path) = &options.merge {
        return records.merge(&cases, path);
    }
    let mut failed = Vec::new();
    for case in options.shard.of(&cases) {
        // Held until what became of it is written.
        let Some(_claim) = records.claim(case)? else {
            println!("{}: done already, or being done by another program", case.name());
            continue;
        };
        println!("{}", case.name());
        let record = annotate(case);
        records.keep(case, &record)?;
        if let Outcome::Failed { error } = &record.outcome {
            eprintln!("{}: {error}", case.name());
            failed.push(case.name());
        }
    }
    ensure!(
        failed.is_empty(),
        "{} case(s) failed: {}; run again to try them once more",
        failed.len(),
        failed.join(", ")
    );
    Ok(())
}

/// Does a case.
fn annotate(case: &Case) -> Record {
    let begun = Instant::now();
    let run = || -> Result<ObjectId> {
        annotate::run(&case.options)?;
        ObjectId::of_file(&case.options.scan.out)
    };
    let outcome = match run() {
        Ok(mask_sha256) => Outcome::Done { mask_sha256 },
        Err(error) => Outcome::Failed { error: format!("{error:#}") },
    };
    Record { line: case.line, image: case.image(), out: case.name(), seconds: begun.elapsed().as_secs_f64(), outcome }
}
