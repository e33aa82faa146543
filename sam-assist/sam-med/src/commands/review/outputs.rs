//! What `review` reads and writes, checked before the work.

use anyhow::Result;
use sam_annotate::{CheckedOutput, Output};
use sam_files::{LockError, OutputError, OutputPlan};
use sam_review::RECORD_ENDING;

use super::Options;
use crate::console::Console;

impl Options {
    /// The files that are written.
    pub(super) fn output(&self) -> Output {
        let output = self.scan.output();
        if self.session.is_some() { output } else { output.with_record_ending(RECORD_ENDING) }
    }

    /// What is read and written.
    pub(super) fn plan(&self, console: &Console) -> OutputPlan {
        let plan = self.compute.model.plan(self.structures.plan(self.scan.inputs(console)));
        let plan = plan.inputs("--session", &self.session).inputs("--ranking", &self.ranking);
        let plan = self.mask.iter().fold(plan, |plan, mask| plan.editable_input("--mask", mask));
        self.output().plan(plan)
    }

    /// Locks all files that are written until the review ends.
    ///
    /// # Errors
    /// As [`OutputPlan::open`]. If another program holds one of them, the message names it, and says where its unsaved work is.
    pub(super) fn hold(&self, plan: OutputPlan) -> Result<CheckedOutput> {
        let outputs = plan.open().map_err(|error| match error {
            OutputError::Locked(LockError::InUse { .. }) => anyhow::Error::new(error).context(
                "nothing was changed; what is not saved yet is in the program that holds the mask: go on there, or choose another \
                 name with --out",
            ),
            error => error.into(),
        })?;
        Ok(self.output().checked(outputs)?)
    }
}
