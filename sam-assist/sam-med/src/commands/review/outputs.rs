//! What `review` reads and writes, checked before the work.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sam_annotate::Session;
use sam_data::Scan;
use sam_files::{LockError, OutputError, OutputPlan};
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
    let record = output.mask.with_extension("").with_extension("review.json");
    let plan = plan.output("--out", &output.mask).record("the record of --out", record);
    output.segmentation.iter().fold(plan, |plan, path| plan.output("--seg", path))
}

/// Whether a session has all of a mask: then nothing is lost if the mask is replaced.
pub(in crate::commands) fn has_mask(session: &Session, scan: &Scan, mask: &Path) -> bool {
    let (written, kept) = (scan.read_labels(mask).ok(), session.current().ok().flatten());
    written.zip(kept).is_some_and(|((written, _), kept)| written.labels == kept.labels)
}

/// Checks the plan before anything is read. A mask that no record lists is left to [`check_with_session`].
///
/// # Errors
/// As [`OutputPlan::check`].
pub(super) fn check(plan: &OutputPlan, options: &Options) -> Result<(), OutputError> {
    match plan.check() {
        Err(refused) if options.session.is_some() && is_unknown(&refused, &options.scan.out) => Ok(()),
        checked => checked,
    }
}

/// Checks the plan. A mask that no record lists may be replaced if the session has all of it: then the program was killed after it wrote
/// the mask, and before it wrote the record.
///
/// # Errors
/// As [`OutputPlan::check`].
pub(super) fn check_with_session(
    plan: &OutputPlan,
    session: &Session,
    scan: &Scan,
    out: &Path,
) -> Result<(), OutputError> {
    match plan.check() {
        Err(refused) if is_unknown(&refused, out) && has_mask(session, scan, out) => plan.clone().accept(out).check(),
        checked => checked,
    }
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

/// Whether a plan is refused because a file exists and no record says that it is ours.
fn is_unknown(refused: &OutputError, out: &Path) -> bool {
    refused.is_unrecorded(out)
}
