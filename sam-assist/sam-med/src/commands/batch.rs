//! `sam-med batch`: annotate many scans, on one machine or on many at the same time.
//!
//! Each line of the CSV table is a case. Its columns are options of `annotate` by name, such as `image`, `annotations` and `out`; an empty
//! cell leaves its option out. Options after `--` apply to all cases. All lines are checked before the first case begins.
//!
//! Each case is done once: the process that takes it holds a lock on its file in `records`, and writes the result to that file. Shards may
//! overlap. A process that was killed is started again with the same command line: finished cases are skipped; unfinished and failed cases
//! are done again. `--merge` joins all records into one table. The README shows how to run it on clusters.

use std::{fmt, ops::ControlFlow, path::PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Parser};
use sam_annotate::batch::{Batch, BatchEvent, BatchSummary, Case, Fields, Merged, Outcome, Records, Shard, read_cases};
use serde::Serialize;

use super::annotate;
use crate::{
    console::Console,
    exit::{Failure, Status},
};

/// Annotate many scans, on one machine or on many at the same time.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each column of the table is an option of annotate, for example:
  image,annotations,out,empty
  a/scan.nii.gz,a/partial.nii.gz,a/mask.nii.gz,\"1,61\"

Examples:
  sam-med batch --cases cases.csv --records records -- --seed 3 --cache embeddings
  sam-med batch --cases cases.csv --records records --shard 2/4
  sam-med batch --cases cases.csv --records records --merge results.csv

A case that is done is never done again: start a killed batch again with the same words.")]
pub struct Options {
    /// CSV table with a case in each line
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Folder of the records of all cases; the same one for all shards
    #[arg(long, value_name = "DIR")]
    records: PathBuf,
    /// Part of the cases to do here: 2/4 is the second of four
    #[arg(long, value_name = "PART/OF", default_value_t, hide_default_value = true)]
    shard: Shard,
    /// Do no case; join the records of all shards into one table: .csv or .json
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    merge: Option<PathBuf>,
    /// Options of annotate for all cases
    #[arg(last = true, value_name = "OPTIONS")]
    common: Vec<String>,
}

/// A line of the table as a command line.
#[derive(Debug, Parser)]
#[command(name = "annotate")]
struct Line {
    #[command(flatten)]
    options: annotate::Options,
}

/// Runs the cases that are not done yet, or joins their records.
///
/// # Errors
/// If the table or the records cannot be read or written, or a case failed; the other cases are still run. [`Failure::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let cases = read_cases(&options.cases, &options.common, |fields| parse(fields, &options.common))?;
    let records = Records::open(&options.records)?;
    if let Some(path) = &options.merge {
        return merge(&cases, &records, path, console);
    }
    let work = |case: &Case<annotate::Options>| match annotate::annotate(&case.work, console) {
        Ok(_) => Ok(ControlFlow::Continue(())),
        // A stopped case has not failed.
        Err(error) if Status::of(&error) == Status::Stopped => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    };
    let batch = Batch::new(&cases, &records).with_shard(options.shard);
    let summary = batch.run(work, &mut |event| {
        tell(event, console);
        console.flow()
    })?;
    let stopped = summary.stopped;
    let report = BatchReport::from(summary);
    console.result(&report)?;
    if stopped {
        return Err(Failure::Stopped("cases that were complete are in the records").into());
    }
    if !report.failed.is_empty() {
        bail!("{} cases failed: {}; run again to try them once more", report.failed.len(), report.failed.join(", "));
    }
    Ok(())
}

/// Parses the options of a case.
fn parse(fields: &Fields, common: &[String]) -> Result<annotate::Options> {
    let own = fields.iter().map(|(column, cell)| format!("--{column}={cell}"));
    let words = ["annotate".to_owned()].into_iter().chain(common.iter().cloned()).chain(own);
    Ok(Line::try_parse_from(words)?.options)
}

/// Prints an event of a batch.
fn tell(event: &BatchEvent<'_, annotate::Options>, console: &Console) {
    match event {
        BatchEvent::Skipped(case) => {
            console.note(format_args!("{}: done already, or another process does it now", case.name()));
        }
        BatchEvent::Started(case) => console.note(format_args!("{}: begun", case.name())),
        BatchEvent::Ended(case, record) => match &record.outcome {
            Outcome::Done { .. } => console.note(format_args!("{}: done in {:.1} s", case.name(), record.seconds)),
            Outcome::Failed { error } => console.warn(format_args!("{}: {error}", case.name())),
        },
        _ => {}
    }
}

/// Joins all records into one table.
fn merge(cases: &[Case<annotate::Options>], records: &Records, path: &PathBuf, console: &Console) -> Result<()> {
    let Merged { done, failed, missing, .. } = records.merge(cases, path)?;
    console.result(&MergeReport { written: path.clone(), done, failed, missing })?;
    if failed + missing > 0 {
        bail!("{failed} cases failed, and {missing} were not done yet");
    }
    Ok(())
}

/// The result of a batch.
#[derive(Debug, Serialize)]
struct BatchReport {
    done: usize,
    skipped: usize,
    failed: Vec<String>,
    stopped: bool,
}

impl From<BatchSummary> for BatchReport {
    fn from(summary: BatchSummary) -> Self {
        let BatchSummary { done, skipped, failed, stopped, .. } = summary;
        Self { done, skipped, failed, stopped }
    }
}

impl fmt::Display for BatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases done, {} skipped, {} failed", self.done, self.skipped, self.failed.len())
    }
}

/// The result of a merge.
#[derive(Debug, Serialize)]
struct MergeReport {
    written: PathBuf,
    done: usize,
    failed: usize,
    missing: usize,
}

impl fmt::Display for MergeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.done + self.failed + self.missing;
        write!(f, "Wrote {}: {} of {all} cases are done", self.written.display(), self.done)
    }
}
