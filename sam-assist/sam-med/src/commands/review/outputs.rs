//! What `review` reads and writes, checked before the work.

use std::path::PathBuf;

use anyhow::Result;
use sam_annotate::record_beside;
use sam_files::{LockError, OutputPlan};
use sam_review::{ReviewError, ReviewFiles};

use super::Options;
use crate::{console::Console, options::ScanOptions};

/// What is read and written.
pub(super) fn plan(options: &Options, console: &Console) -> OutputPlan {
    let plan = options.compute.model.plan(options.structures.plan(options.scan.inputs(console)));
    let plan = plan.inputs("--session", &options.session).inputs("--ranking", &options.ranking);
    let plan = options.mask.iter().fold(plan, |plan, mask| plan.editable_input("--mask", mask));
    let output = options.scan.output();
    if options.session.is_some() {
        return output.plan(plan);
    }
    // Without a session, the record has another ending.
    let record = record_beside(&output.mask, "review.json");
    let plan = plan.output("--out", &output.mask).record("the record of --out", record);
    output.segmentation.iter().fold(plan, |plan, path| plan.output("--seg", path))
}

/// Locks the mask and its DICOM SEG until the review ends.
///
/// # Errors
/// If another program holds one of them: the message names it, and says where its unsaved work is.
pub(super) fn hold(options: &ScanOptions) -> Result<ReviewFiles> {
    let segmentation = options.seg.clone().map(PathBuf::from);
    ReviewFiles::open(PathBuf::from(options.out.clone()), segmentation).map_err(|error| match error {
        ReviewError::Lock(LockError::InUse { .. }) => anyhow::Error::new(error).context(
            "nothing was changed; what is not saved yet is in the program that holds the mask: go on there, or choose another \
             name with --out",
        ),
        error => error.into(),
    })
}
