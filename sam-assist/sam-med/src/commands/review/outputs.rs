//! What `review` reads and writes, checked before the work.

use anyhow::Result;
use sam_annotate::{CheckedOutput, Output};
use sam_files::{FileId, LockError, OutputError, OutputPlan};
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
        let output = self.output();
        let plan = output.plan(plan);
        // A review that goes on in its mask goes on in its DICOM SEG, too.
        let goes_on = self.mask.as_ref().is_some_and(|mask| FileId::of(mask).ok() == FileId::of(&output.mask).ok());
        output.segmentation.iter().filter(|_| goes_on).fold(plan, OutputPlan::edit)
    }

    /// Locks all files that are written until the review ends.
    ///
    /// # Errors
    /// As [`OutputPlan::open`]. If another program holds one of them, the message names it, and says where its unsaved work is.
    pub(super) fn hold(&self, plan: OutputPlan) -> Result<CheckedOutput> {
        let outputs = plan.open().map_err(|error| match error {
            OutputError::Locked(LockError::InUse { .. }) => anyhow::Error::new(error).context(
                "nothing was changed; what is not saved yet is in the program that holds the file: go on there, or choose other names \
                 with --out and --seg",
            ),
            error => error.into(),
        })?;
        Ok(self.output().checked(outputs)?)
    }
}
