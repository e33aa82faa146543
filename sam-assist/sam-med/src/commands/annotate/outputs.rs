//! What `annotate` reads and writes, checked before the work.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use sam_annotate::{Session, Weights, cards::CardFiles};
use sam_data::{LabelVolume, Scan};
use sam_files::OutputPlan;

use super::Options;
use crate::{commands::kept, console::Console};

impl Options {
    /// What is read and written, as far as the command line tells. Check it before the scan is read.
    pub(in crate::commands) fn plan(&self, console: &Console) -> OutputPlan {
        let plan = self.compute.model.plan(self.structures.plan(self.scan.plan(console)));
        let plan = plan.inputs("--session", &self.session.session);
        match (&self.annotations, &self.session.session) {
            (None, _) => plan,
            (Some(path), None) => plan.input("--annotations", path),
            // A session keeps what it was given, so the next round may replace the mask of the last one.
            (Some(path), Some(_)) => plan.editable_input("--annotations", path),
        }
    }

    /// The plan with every file of the scan, and with the cards of all structures.
    ///
    /// # Errors
    /// If the name of the cards is wrong, or the session cannot be read.
    pub(super) fn full_plan(&self, scan: &Scan, labels: Option<&LabelVolume>, console: &Console) -> Result<OutputPlan> {
        let plan = self.plan(console).inputs("--image", scan.files());
        let Some(card) = &self.learning.save_card else { return Ok(plan) };
        let mut values = labels.map(LabelVolume::values).unwrap_or_default();
        let structures = self.session.session.as_ref().map(Session::structures_of).transpose()?.flatten();
        values.extend(structures.into_iter().flat_map(BTreeMap::into_keys));
        let plan = CardFiles::plan(plan, card, &values)?;
        // In a session, only one of its structures may be outlined: then its card has no number.
        let is_unsure = self.session.session.is_some() && values.len() > 1;
        Ok(if is_unsure { plan.output("--save-card", card) } else { plan })
    }

    /// Checks a plan. A mask that no record lists is left to [`Options::accept_kept`] if there is a session that may have it.
    ///
    /// # Errors
    /// As [`OutputPlan::check`].
    pub(super) fn check(&self, plan: &OutputPlan) -> Result<()> {
        Ok(kept::check(plan, &self.scan.out, self.begun_session().is_some())?)
    }

    /// Accepts a mask that no record lists if the session has all of it.
    ///
    /// # Errors
    /// As [`OutputPlan::check`]; if the session cannot be read.
    pub(super) fn accept_kept(&self, plan: OutputPlan, scan: &Scan, weights: &Weights) -> Result<OutputPlan> {
        let Some(folder) = self.begun_session() else { return Ok(plan) };
        let precision = self.compute.model.precision;
        kept::accept(plan, scan, &self.scan.out, || {
            Ok(Session::resume(folder, scan.identity()?, weights.sha256(), precision)?)
        })
    }

    /// The session to continue, if there is one.
    fn begun_session(&self) -> Option<&Path> {
        self.session.session.as_deref().filter(|folder| Session::exists(folder))
    }
}
