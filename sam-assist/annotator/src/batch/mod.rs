//! Batches of scans: each scan is annotated once, by one process or by many at the same time, even if some of them are killed.
//!
//! - [`read_cases`]: a CSV table of [`Case`]s; [`Shard`]: the part of them that this process handles.
//! - [`Batch`]: runs the cases that are not done yet, and those whose options, inputs or mask have changed since.
//! - [`Records`]: the state of each case ([`CaseState`]); [`Records::table`] makes one table of all cases, sorted by trust.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use sam_annotate::batch::{Batch, CommonOptions, Fields, Records, Shard, read_cases};
//!
//! let cases = read_cases("cases.csv", &CommonOptions::default(), |fields: &Fields| Ok::<_, std::io::Error>(fields.to_vec()))?;
//! let records = Records::open("records")?;
//! let annotate = |case: &sam_annotate::batch::Case<_>| {
//!     std::fs::copy("empty.nii.gz", &case.mask)?;
//!     Ok::<_, std::io::Error>(ControlFlow::Continue(()))
//! };
//! let summary = Batch::new(&cases, &records).run(annotate, &mut |_| ControlFlow::Continue(()))?;
//! println!("{} done, {} failed", summary.done, summary.failed.len());
//! let (_, table) = records.table(&cases, "results.csv")?;
//! print!("{}", String::from_utf8_lossy(&table));
//! # Ok::<(), sam_annotate::batch::BatchError>(())
//! ```

mod cases;
mod error;
mod input;
mod merge;
mod records;
mod runner;
mod trust;

use std::{ops::ControlFlow, time::Instant};

use sam_files::Sha256Id;
use sam_prompt::error_chain;

pub use self::{
    cases::{Case, CommonOptions, Fields, ParseShardError, Shard, read_cases},
    error::BatchError,
    input::Input,
    merge::Merged,
    records::{CaseState, Change, Claim, Outcome, Record, Records},
    runner::Runner,
    trust::{CaseResult, CaseTrust, RankedCase},
};
use crate::session::BoxError;

/// A batch: cases and the folder of their records.
#[derive(Debug)]
pub struct Batch<'a, W> {
    cases: &'a [Case<W>],
    records: &'a Records,
    shard: Shard,
}

/// An event of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchEvent<'a, W> {
    /// The case is already done.
    AlreadyDone(&'a Case<W>, &'a Record),
    /// Another process works on the case; `None` if it is not known which.
    Running(&'a Case<W>, Option<&'a Runner>),
    /// The case starts. The state says why: it is open, has failed before, or is outdated.
    Started(&'a Case<W>, &'a CaseState),
    /// The case has ended, and its record is written.
    Ended(&'a Case<W>, &'a Record),
}

/// Result of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct BatchSummary {
    /// Number of cases that this run completed.
    pub done: usize,
    /// Number of cases that were already done.
    pub already_done: usize,
    /// Number of cases that another process works on.
    pub running: usize,
    /// Names of the cases that failed in this run. The next run tries them again.
    pub failed: Vec<String>,
    /// The cases that are done, of this run and of earlier ones, and the trust in their masks. The first is the one to look at first.
    pub ranking: Vec<RankedCase>,
    /// Whether the event receiver or the work stopped the batch before all cases were done or had failed.
    pub stopped: bool,
}

impl<'a, W> Batch<'a, W> {
    /// A batch of all cases.
    pub fn new(cases: &'a [Case<W>], records: &'a Records) -> Self {
        Self { cases, records, shard: Shard::default() }
    }

    /// Restricts the batch to one shard.
    #[must_use]
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Runs each case that is not done yet, or whose options, inputs or mask have changed since: `work` writes its mask, and gives the trust
    /// in it (or `()`). If a case fails, the failure is recorded and the next case starts.
    ///
    /// [`ControlFlow::Break`] stops the batch. If `events` returns it, the batch stops between two cases; a case that has ended is still
    /// recorded. If `work` returns it, its case is incomplete: it gets no record, and any process can take it next.
    ///
    /// # Errors
    /// [`BatchError`] if a case cannot be claimed or its record cannot be written.
    pub fn run<R: Into<CaseResult>, E: Into<BoxError>>(
        &self,
        mut work: impl FnMut(&Case<W>) -> Result<ControlFlow<(), R>, E>,
        events: &mut dyn FnMut(&BatchEvent<'_, W>) -> ControlFlow<()>,
    ) -> Result<BatchSummary, BatchError> {
        let mut summary = BatchSummary::default();
        for case in self.shard.select(self.cases) {
            let told = self.run_case(case, &mut work, events, &mut summary)?;
            if told.is_break() {
                summary.stopped = true;
                break;
            }
        }
        summary.ranking.sort_by(|one, other| one.trust.compare(&other.trust));
        Ok(summary)
    }

    fn run_case<R: Into<CaseResult>, E: Into<BoxError>>(
        &self,
        case: &Case<W>,
        work: &mut impl FnMut(&Case<W>) -> Result<ControlFlow<(), R>, E>,
        events: &mut dyn FnMut(&BatchEvent<'_, W>) -> ControlFlow<()>,
        summary: &mut BatchSummary,
    ) -> Result<ControlFlow<()>, BatchError> {
        // The claim is held until the record is written.
        let (state, claim) = self.records.claim(case)?;
        match &state {
            CaseState::Done(record) => {
                summary.already_done += 1;
                summary.rank(case, record);
                return Ok(events(&BatchEvent::AlreadyDone(case, record)));
            }
            CaseState::Running(runner) => {
                summary.running += 1;
                return Ok(events(&BatchEvent::Running(case, runner.as_ref())));
            }
            CaseState::Open | CaseState::Failed(_) | CaseState::Outdated(..) => {}
        }
        if events(&BatchEvent::Started(case, &state)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let Some(record) = record(case, work) else {
            tracing::info!(out = ?case.mask, "case stopped, not recorded");
            return Ok(ControlFlow::Break(()));
        };
        self.records.write(case, &record)?;
        if record.is_done() {
            summary.done += 1;
            summary.rank(case, &record);
        } else {
            summary.failed.push(case.name.clone());
        }
        let told = events(&BatchEvent::Ended(case, &record));
        drop(claim);
        Ok(told)
    }
}

impl BatchSummary {
    fn rank<W>(&mut self, case: &Case<W>, record: &Record) {
        self.ranking.extend(record.trust.map(|trust| RankedCase { case: case.name.clone(), trust }));
    }
}

/// Runs a case. Returns `None` if it was stopped.
fn record<W, R: Into<CaseResult>, E: Into<BoxError>>(
    case: &Case<W>,
    work: &mut impl FnMut(&Case<W>) -> Result<ControlFlow<(), R>, E>,
) -> Option<Record> {
    let started = Instant::now();
    // Before the work: an input that changes meanwhile differs from its record, and the next run does the case again.
    let inputs =
        case.inputs.iter().filter_map(|input| Some((input.name.clone(), input.sha256(&case.outputs)?))).collect();
    let hashed = match work(case) {
        Ok(ControlFlow::Break(())) => return None,
        Ok(ControlFlow::Continue(result)) => {
            let CaseResult { trust } = result.into();
            Sha256Id::of_file(&case.mask).map(|id| (id, trust)).map_err(BoxError::from)
        }
        Err(error) => Err(error.into()),
    };
    let (outcome, trust) = match hashed {
        Ok((mask_sha256, trust)) => (Outcome::Done { mask_sha256 }, trust),
        Err(error) => (Outcome::Failed { error: error_chain(&*error) }, None),
    };
    Some(Record {
        line: case.line,
        case: Some(case.name.clone()),
        image: case.image.display().to_string(),
        out: case.mask.display().to_string(),
        seconds: started.elapsed().as_secs_f64(),
        options: Some(case.options),
        inputs,
        trust,
        outcome,
    })
}

#[cfg(test)]
mod tests;
