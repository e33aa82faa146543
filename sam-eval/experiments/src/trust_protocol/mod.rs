//! How well trust finds wrong slices: every slice of a volume is segmented, its trust signals are measured, and its mask is compared with
//! the truth.

mod active_learning;
mod ranking_curve;
#[cfg(test)]
mod tests;
mod trial;
mod volume;

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_auto::TrustModel;
use serde::{Deserialize, Serialize};

pub use active_learning::{ActiveLearning, ActiveLearningCurve, QueryStrategy};
pub use ranking_curve::{RankingCurve, ReviewOrder};
pub use volume::{MeasuredSlice, MeasuredVolume, fit_trust, model_without};

use crate::{
    CaseSetup, OutlineSelection, Protocol, TrialConfig,
    error::Result,
    outlines::{check_outlines, outlined_slices},
    setup::digest,
};
use trial::TrustTrial;

/// The config of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustProtocol {
    /// Cases, numbers of outlines and repeats; all slices that are not outlined are segmented and measured.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// Which slices are outlined.
    pub outlines: OutlineSelection,
    /// How the structure is learned, segmented and measured. Each repeat uses its own seed.
    pub config: AnnotateConfig,
}

impl Protocol for TrustProtocol {
    type Outcome = MeasuredVolume;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        check_outlines(&self.trials.slices.annotated, 1)?;
        Ok(self.config.check()?)
    }

    /// Measures a volume. Unordered images have no neighbours and are left out.
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<MeasuredVolume>> {
        let CaseSetup { setup, case, .. } = *test;
        if !has_neighbours(test)? {
            return Ok(Vec::new());
        }
        let all = outlined_slices(&self.trials, case.survey, self.outlines)?;
        let seen = digest(case.stack, case.structure, &case.all_slices());
        setup.case(case.name(), all.len(), || {
            // The trust model does not count: what is measured is the same with other weights.
            let trust = self.config.trust.clone().with_model(TrustModel::by_hand());
            let measured_with = self.config.clone().with_trust(trust);
            let mut volumes = Vec::new();
            for outlined in &all {
                let depends_on = ("trust", case.dataset, case.name(), &seen, outlined, &measured_with);
                let trial = TrustTrial { test, config: &self.config, seed: outlined.seed };
                volumes.push(setup.once(&depends_on, || trial.measure(&outlined.outlined, outlined.outlines))?);
                setup.step_done()?;
            }
            Ok(volumes)
        })
    }
}

/// Whether the images of a case are ordered; if they are not, a note names the case.
pub(crate) fn has_neighbours<B: Backend>(&CaseSetup { setup, case, .. }: &CaseSetup<'_, B>) -> Result<bool> {
    let is_ordered = case.stack.is_ordered();
    if !is_ordered {
        setup.note(format!("left out: {}, whose images are in no order", case.name()))?;
    }
    Ok(is_ordered)
}
