//! Many scans, each done once, by one process or by many at the same time, whichever is killed.
//!
//! - [`read_cases`]: a CSV table of [`Case`]s; [`Shard`]: the part of them that is done here.
//! - [`Batch`]: does the cases that are not done yet.
//! - [`Records`]: which process does which case, and how each ended; [`Records::merge`] makes one table of all.
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

/// Cases, and where their records are.
#[derive(Debug)]
pub struct Batch<'a, W> {
    cases: &'a [Case<W>],
    records: &'a Records,
    shard: Shard,
}

/// What a batch reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchEvent<'a, W> {
    /// A case is done already, or another process does it.
    Skipped(&'a Case<W>),
    /// A case begins.
    Started(&'a Case<W>),
    /// A case ended; its record is written.
    Ended(&'a Case<W>, &'a Record),
}

/// How a batch ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchSummary {
    /// Cases that were done here.
    pub done: usize,
    /// Cases that were done before, or that another process does.
    pub skipped: usize,
    /// Names of the cases that failed here. Running the batch again tries them again.
    pub failed: Vec<String>,
    /// Whether the events' receiver or the work stopped it before all cases were done or had failed.
    pub stopped: bool,
}

impl<'a, W> Batch<'a, W> {
    /// All cases.
    pub fn new(cases: &'a [Case<W>], records: &'a Records) -> Self {
        Self { cases, records, shard: Shard::default() }
    }

    /// The cases of one part.
    #[must_use]
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Does each case that is not done yet: `work` writes its mask. A case that fails is recorded, and the next one begins.
    ///
    /// [`ControlFlow::Break`] stops the batch. If `events` returns it, the batch stops between two cases; a case that ended is recorded
    /// all the same. If `work` returns it, its case was stopped half way: it gets no record and is free for whoever takes it next.
    ///
    /// # Errors
    /// [`BatchError`] if a case cannot be claimed, or its record not be written.
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
        // Held until the record is written.
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

/// Does a case; `None` if it was stopped.
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
