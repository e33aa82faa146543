//! Batches of scans: each scan is annotated once, by one process or by many at the same time, even if some of them are killed.
//!
//! - [`read_cases`]: a CSV table of [`Case`]s; [`Shard`]: the part of them that this process handles.
//! - [`Batch`]: runs the cases that are not done yet.
//! - [`Records`]: which process has which case, and how each case ended; [`Records::merge`] makes one table of all records.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use sam_annotate::batch::{Batch, Fields, Records, Shard, read_cases};
//!
//! let cases = read_cases("cases.csv", &[], |fields: &Fields| Ok::<_, std::io::Error>(fields.to_vec()))?;
//! let records = Records::open("records")?;
//! let annotate = |case: &sam_annotate::batch::Case<_>| {
//!     std::fs::copy("empty.nii.gz", &case.mask)?;
//!     Ok::<_, std::io::Error>(ControlFlow::Continue(()))
//! };
//! let summary = Batch::new(&cases, &records).run(annotate, &mut |_| ControlFlow::Continue(()))?;
//! println!("{} done, {} failed", summary.done, summary.failed.len());
//! records.merge(&cases, "results.csv")?;
//! # Ok::<(), sam_annotate::batch::BatchError>(())
//! ```

mod cases;
mod error;
mod records;

use std::{ops::ControlFlow, time::Instant};

use sam_files::Sha256Id;
use sam_prompt::error_chain;

pub use self::{
    cases::{Case, Fields, ParseShardError, Shard, read_cases},
    error::BatchError,
    records::{Claim, Merged, Outcome, Record, Records},
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
    /// The case is already done, or another process has it.
    Skipped(&'a Case<W>),
    /// The case starts.
    Started(&'a Case<W>),
    /// The case has ended, and its record is written.
    Ended(&'a Case<W>, &'a Record),
}

/// Result of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchSummary {
    /// Number of cases that this run completed.
    pub done: usize,
    /// Number of cases that were already done, or that another process has.
    pub skipped: usize,
    /// Names of the cases that failed in this run. The next run tries them again.
    pub failed: Vec<String>,
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

    /// Runs each case that is not done yet: `work` writes its mask. If a case fails, the failure is recorded and the next case starts.
    ///
    /// [`ControlFlow::Break`] stops the batch. If `events` returns it, the batch stops between two cases; a case that has ended is still
    /// recorded. If `work` returns it, its case is incomplete: it gets no record, and any process can take it next.
    ///
    /// # Errors
    /// [`BatchError`] if a case cannot be claimed or its record cannot be written.
    pub fn run<E: Into<BoxError>>(
        &self,
        mut work: impl FnMut(&Case<W>) -> Result<ControlFlow<()>, E>,
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
        Ok(summary)
    }

    fn run_case<E: Into<BoxError>>(
        &self,
        case: &Case<W>,
        work: &mut impl FnMut(&Case<W>) -> Result<ControlFlow<()>, E>,
        events: &mut dyn FnMut(&BatchEvent<'_, W>) -> ControlFlow<()>,
        summary: &mut BatchSummary,
    ) -> Result<ControlFlow<()>, BatchError> {
        // The claim is held until the record is written.
        let Some(_claim) = self.records.claim(case)? else {
            summary.skipped += 1;
            return Ok(events(&BatchEvent::Skipped(case)));
        };
        if events(&BatchEvent::Started(case)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let Some(record) = record(case, work) else {
            tracing::info!(out = ?case.mask, "case stopped, not recorded");
            return Ok(ControlFlow::Break(()));
        };
        self.records.write(case, &record)?;
        if record.is_done() {
            summary.done += 1;
        } else {
            summary.failed.push(case.name());
        }
        Ok(events(&BatchEvent::Ended(case, &record)))
    }
}

/// Runs a case. Returns `None` if it was stopped.
fn record<W, E: Into<BoxError>>(
    case: &Case<W>,
    work: &mut impl FnMut(&Case<W>) -> Result<ControlFlow<()>, E>,
) -> Option<Record> {
    let started = Instant::now();
    let hashed = match work(case) {
        Ok(ControlFlow::Break(())) => return None,
        Ok(ControlFlow::Continue(())) => Sha256Id::of_file(&case.mask).map_err(BoxError::from),
        Err(error) => Err(error.into()),
    };
    let outcome = match hashed {
        Ok(mask_sha256) => Outcome::Done { mask_sha256 },
        Err(error) => Outcome::Failed { error: error_chain(&*error) },
    };
    let (image, out, seconds) = (case.image.display().to_string(), case.name(), started.elapsed().as_secs_f64());
    Some(Record { line: case.line, image, out, seconds, outcome })
}

#[cfg(test)]
mod tests;
