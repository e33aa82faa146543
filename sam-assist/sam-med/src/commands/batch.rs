//! `sam-med batch`: annotate many scans, on one machine or on many at the same time.
//!
//! Each line of the CSV table is a case. Its columns are options of `annotate` by name, such as `image`, `annotations` and `out`; an empty
//! cell leaves its option out. Options after `--` apply to all cases. All lines are checked before the first case begins.
//!
//! The column `case` is the case's name in messages and tables.
//!
//! Each case is done once: the process that takes it holds a lock on its file in `records`, and writes the result to that folder. Shards may
//! overlap. A process that was killed is started again with the same command line: finished cases are skipped; unfinished and failed cases
//! are done again, and so are cases whose options, inputs or mask have changed since. `--merge` joins all records into one table. The README
//! shows how to run it on clusters.

use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, anyhow, bail};
use clap::{Args, CommandFactory, Parser};
use sam_annotate::batch::{
    Batch, BatchEvent, BatchSummary, Case, CaseState, CaseTrust, CommonOptions, Fields, Merged, Outcome, RankedCase,
    Records, Shard, read_cases,
};
use sam_files::{LossyPath, OutputPlan};
use sam_prompt::{SliceNumber, counted};
use serde::Serialize;

use super::annotate;
use crate::{
    console::Console,
    exit::{Failure, Status},
    options::OutputOptions,
    record,
};

/// Annotate many scans, on one machine or on many at the same time.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each column of the table is an option of annotate, and case is the name of the case. For example:
  case,image,annotations,out,empty
  Patient A,a/scan.nii.gz,a/partial.nii.gz,a/mask.nii.gz,\"1,61\"

Examples:
  sam-med batch --cases cases.csv --records records -- --seed 3 --cache embeddings
  sam-med batch --cases cases.csv --records records --shard 2/4
  sam-med batch --cases cases.csv --records records --merge results.csv

Start a killed batch again with the same words. A case that is done is done again only if its options
or the content of its files have changed, or if its mask is gone. --overwrite, --absolute-paths and --cache
are no such change: --overwrite and --absolute-paths hold for the cases that this run does, and for the
table of --merge.")]
pub struct Options {
    /// CSV table with a case in each line
    #[arg(long, value_name = "FILE")]
    cases: LossyPath,
    /// Folder of the records of all cases; the same one for all shards
    #[arg(long, value_name = "DIR")]
    records: LossyPath,
    /// Part of the cases to do here: 2/4 is the second of four
    #[arg(long, value_name = "PART/OF", default_value_t, hide_default_value = true)]
    shard: Shard,
    /// Do no case; write one table of all shards, least trusted case first: .csv or .json
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    merge: Option<LossyPath>,
    #[command(flatten)]
    outputs: OutputOptions,
    /// Options of annotate for all cases
    #[arg(last = true, value_name = "OPTIONS")]
    common: Vec<String>,
}

/// The options of `annotate` that change no mask: no case is done again because of them.
const NEUTRAL: [&str; 3] = ["absolute-paths", "cache", "overwrite"];

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
    let cases = read_cases(&options.cases, &common(&options.common), |fields| {
        Ok::<_, anyhow::Error>(parse(fields, &options.common)?.with_output_options(options.outputs))
    })?;
    let cases = with_files(cases, &options.records);
    let records = Records::open(&options.records)?.with_absolute_paths(options.outputs.absolute_paths);
    if let Some(path) = &options.merge {
        return merge(options, &cases, &records, path, console);
    }
    check_outputs(options, &cases, console)?;
    let work = |case: &Case<annotate::Options>| match annotate::annotate(&case.work, &console.about(&case.name)) {
        Ok(report) => Ok(ControlFlow::Continue(report.trust())),
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
        return Err(Failure::Stopped("the records have the cases that were done; run the batch again to go on").into());
    }
    if !report.failed.is_empty() {
        bail!(
            "{} failed: {}; run the batch again to try them again",
            counted(report.failed.len(), "case"),
            report.failed.join(", ")
        );
    }
    Ok(())
}

/// The cases with the files that decide their masks, and with all files that any case writes.
fn with_files(cases: Vec<Case<annotate::Options>>, records: &Path) -> Vec<Case<annotate::Options>> {
    let written = cases.iter().flat_map(|case| case.outputs.iter().cloned().chain(case.work.outputs()));
    let written: Arc<[_]> = written.chain([records.to_path_buf()]).collect();
    let with = |case: Case<annotate::Options>| {
        let inputs = case.work.inputs();
        case.with_inputs(inputs).with_outputs(Arc::clone(&written))
    };
    cases.into_iter().map(with).collect()
}

/// The options of all cases.
fn common(words: &[String]) -> CommonOptions {
    let command = Line::command();
    let takes_value = |name: &str| {
        let named = command.get_arguments().find(|argument| argument.get_long() == Some(name));
        named.is_some_and(|argument| argument.get_action().takes_values())
    };
    let neutral = |common: CommonOptions, &name: &&str| common.with_neutral(name, takes_value(name));
    NEUTRAL.iter().fold(CommonOptions::new(words), neutral)
}

/// Parses the options of a case.
fn parse(fields: &Fields, common: &[String]) -> Result<annotate::Options> {
    let command = Line::command();
    let is_option = |column: &str| command.get_arguments().any(|argument| argument.get_long() == Some(column));
    if let Some((column, _)) = fields.iter().find(|(column, _)| !is_option(column)) {
        bail!(
            "the column {column:?} is not an option of `sam-med annotate`; give it the name of one, or \"case\" for the case's name"
        );
    }
    let own = fields.iter().map(|(column, cell)| format!("--{column}={cell}"));
    let words = ["annotate".to_owned()].into_iter().chain(common.iter().cloned()).chain(own);
    Ok(Line::try_parse_from(words).map_err(|error| anyhow!("{}", first_part(&error.to_string())))?.options)
}

/// What is wrong with a command line, without the usage of a command that nobody typed.
fn first_part(error: &str) -> String {
    let lines = error.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let text = lines.collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Prints an event of a batch.
fn tell(event: &BatchEvent<'_, annotate::Options>, console: &Console) {
    match event {
        BatchEvent::AlreadyDone(case, _) => console.note(format_args!("{}: done already", case.name)),
        BatchEvent::Running(case, Some(runner)) => console.note(format_args!("{}: running now in {runner}", case.name)),
        BatchEvent::Running(case, None) => console.note(format_args!("{}: running now in another process", case.name)),
        BatchEvent::Started(case, state) => console.note(format_args!("{}: begun{}", case.name, why_again(state))),
        BatchEvent::Ended(case, record) => match (&record.outcome, &record.trust) {
            (Outcome::Done { .. }, Some(trust)) => {
                console.note(format_args!("{}: done in {:.1} s, {}", case.name, record.seconds, Trust(trust)));
            }
            (Outcome::Done { .. }, None) => {
                console.note(format_args!("{}: done in {:.1} s", case.name, record.seconds));
            }
            (Outcome::Failed { error }, _) => console.warn(format_args!("{}: failed: {error}", case.name)),
        },
        _ => {}
    }
}

/// Why a case begins again; empty if it begins for the first time.
fn why_again(state: &CaseState) -> String {
    match state {
        CaseState::Failed(_) => " again, because it failed before".to_owned(),
        CaseState::Outdated(_, changes) => {
            let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
            format!(" again, because {}", changes.join(" and "))
        }
        _ => String::new(),
    }
}

/// Trust in a mask, as text. Slices are counted from 1.
struct Trust<'a>(&'a CaseTrust);

impl fmt::Display for Trust<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaseTrust { worst_index, worst, mean, .. } = self.0;
        let slice = SliceNumber::of_index(*worst_index);
        write!(f, "expected Dice {mean:.2} on average, {worst:.2} on the worst slice, {slice}")
    }
}

/// Checks the outputs of all cases against all inputs, before the first case begins, and tells which cannot be written as it is.
fn check_outputs(options: &Options, cases: &[Case<annotate::Options>], console: &Console) -> Result<()> {
    let plan = OutputPlan::new().input("--cases", &options.cases).input("--records", &options.records);
    let plan = cases.iter().fold(plan, |plan, case| plan.join(case.work.plan(console)));
    plan.check_conflicts()?;
    for case in cases {
        if let Err(error) = case.work.plan(console).check() {
            console.warn(format_args!("warning: {} cannot be written: {:#}", case.name, anyhow::Error::from(error)));
        }
    }
    Ok(())
}

/// Joins all records into one table.
fn merge(
    options: &Options,
    cases: &[Case<annotate::Options>],
    records: &Records,
    path: &LossyPath,
    console: &Console,
) -> Result<()> {
    // Beside a table that is JSON itself, `NAME.json` would be the table.
    let mut record = path.as_os_str().to_owned();
    record.push(".record.json");
    let record = PathBuf::from(record);
    let plan = options.outputs.plan(console).input("--cases", &options.cases).input("--records", &options.records);
    let outputs = plan.output("--merge", path).record("the record of --merge", &record).open()?;
    let (merged, table) = records.table(cases, path)?;
    outputs.write(path, |file| file.write_all(&table))?;
    outputs.publish_with_record(&record, record::saved_options("batch", &serde_json::json!({ "merge": path }))?)?;
    let Merged { done, outdated, failed, running, missing, .. } = merged;
    console.result(&MergeReport { written: path.clone(), done, outdated, failed, running, missing })?;
    if outdated + failed + running + missing > 0 {
        bail!(
            "not every case is done: {} failed, {outdated} changed since, {running} running, {missing} not begun or stopped; run the batch \
             again without --merge",
            counted(failed, "case")
        );
    }
    Ok(())
}

/// Number of cases that are named in the text of a result.
const NAMED: usize = 10;

/// The result of a batch.
#[derive(Debug, Serialize)]
struct BatchReport {
    done: usize,
    already_done: usize,
    running: usize,
    failed: Vec<String>,
    stopped: bool,
    /// The cases that are done, the least trusted first.
    look_first: Vec<RankedCase>,
}

impl From<BatchSummary> for BatchReport {
    fn from(summary: BatchSummary) -> Self {
        let BatchSummary { done, already_done, running, failed, stopped, ranking, .. } = summary;
        Self { done, already_done, running, failed, stopped, look_first: ranking }
    }
}

impl fmt::Display for BatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, already_done, running, failed, look_first, .. } = self;
        let running = if *running > 0 { format!(", {running} running in other processes") } else { String::new() };
        writeln!(f, "{} done, {already_done} done already{running}, {} failed", counted(*done, "case"), failed.len())?;
        if !look_first.is_empty() {
            writeln!(f, "Look first at:")?;
        }
        for RankedCase { case, trust, .. } in look_first.iter().take(NAMED) {
            writeln!(f, "  {case}: {}", Trust(trust))?;
        }
        if look_first.len() > NAMED {
            writeln!(f, "  and {} more; --merge results.csv lists all", look_first.len() - NAMED)?;
        }
        Ok(())
    }
}

/// The result of a merge.
#[derive(Debug, Serialize)]
struct MergeReport {
    written: LossyPath,
    done: usize,
    outdated: usize,
    failed: usize,
    running: usize,
    missing: usize,
}

impl fmt::Display for MergeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.done + self.outdated + self.failed + self.running + self.missing;
        write!(
            f,
            "Wrote {}: {} of {} done, the least trusted first",
            self.written.display(),
            self.done,
            counted(all, "case")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options of `annotate` that change a mask, or which files are written.
    const DECIDING: [&str; 34] = [
        "accept",
        "annotations",
        "anew",
        "axis",
        "backend",
        "card",
        "complete",
        "components",
        "empty",
        "gate",
        "generators",
        "hand-over",
        "image",
        "labels",
        "members",
        "min-outline",
        "model",
        "nan",
        "out",
        "precision",
        "reject",
        "replay",
        "save-card",
        "seed",
        "seg",
        "series",
        "session",
        "spacing",
        "strategy",
        "undo",
        "volume",
        "warm",
        "weights",
        "window",
    ];

    #[test]
    fn each_option_of_annotate_is_neutral_or_decides() {
        let command = Line::command();
        let mut found: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
        let mut expected = [&NEUTRAL[..], &DECIDING].concat();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "add a new option to one of the two lists");
    }
}
