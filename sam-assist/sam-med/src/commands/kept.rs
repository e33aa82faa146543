//! Masks that no record lists, but a session has: their record was moved or lost. Nothing is lost if such a mask is replaced.

use std::{borrow::Borrow, path::Path};

use anyhow::Result;
use sam_annotate::Session;
use sam_data::Scan;
use sam_files::{OutputError, OutputPlan, Sha256Id};

/// Checks a plan before the session is opened. A mask that no record lists is left to [`accept`] if there is a session that may have it.
///
/// # Errors
/// As [`OutputPlan::check`].
pub(super) fn check(plan: &OutputPlan, out: &Path, has_session: bool) -> Result<(), OutputError> {
    match plan.check() {
        Err(refused) if has_session && refused.is_unrecorded(out) => Ok(()),
        checked => checked,
    }
}

/// Checks a plan. A mask that no record lists is accepted if the session has all of it; `session` opens the session.
///
/// # Errors
/// As [`OutputPlan::check`]; if the session cannot be opened.
pub(super) fn accept<S: Borrow<Session>>(
    plan: OutputPlan,
    scan: &Scan,
    out: &Path,
    session: impl FnOnce() -> Result<S>,
) -> Result<OutputPlan> {
    let plan = match plan.check() {
        Err(refused) if refused.is_unrecorded(out) => {
            // Before the mask is read: what is accepted is what was compared.
            let content = Sha256Id::of_file(out)?;
            if !has_mask(session()?.borrow(), scan, out) {
                return Err(refused.into());
            }
            plan.accept(out, content)
        }
        checked => return Ok(checked.map(|()| plan)?),
    };
    plan.check()?;
    Ok(plan)
}

/// Whether a session has all of a mask: it is the session's current one.
pub(super) fn has_mask(session: &Session, scan: &Scan, mask: &Path) -> bool {
    let (written, kept) = (scan.read_labels(mask).ok(), session.current().ok().flatten());
    written.zip(kept).is_some_and(|((written, _), kept)| written.labels == kept.labels)
}
