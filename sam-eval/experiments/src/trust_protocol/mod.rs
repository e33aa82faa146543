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
use sam_eval::protocol::Trial;
use serde::{Deserialize, Serialize};

pub use active_learning::{ActiveLearning, ActiveLearningCurve, QueryStrategy};
pub use ranking_curve::{RankingCurve, ReviewOrder};
pub use volume::{MeasuredSlice, MeasuredVolume, fit_trust, model_without};

use crate::{CaseSetup, CaseStructure, Protocol, TrialConfig, error::Result, setup::digest};
use trial::TrustTrial;

/// The config of the measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustProtocol {
    /// Cases, slices and repeats; all slices that are not annotated are segmented and measured.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// Number of repeats in which each annotated slice is left out in turn, to fit trust to the annotated slices alone.
    pub left_out: usize,
    /// The config of segmentation by generators: learning, generators and trust. Each repeat uses its own seed.
    pub ensemble: AnnotateConfig,
    /// The config of segmentation by mask propagation.
    pub propagation: AnnotateConfig,
}

/// Everything that decides the result on one volume.
#[derive(Serialize)]
struct DependsOn<'a> {
    subject: (&'a str, String),
    slices: &'a str,
    annotated: &'a [usize],
    seed: u64,
    leave_out: bool,
    ensemble: &'a AnnotateConfig,
    propagation: &'a AnnotateConfig,
}

impl Protocol for TrustProtocol {
    type Outcome = MeasuredVolume;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        self.ensemble.check()?;
        Ok(self.propagation.check()?)
    }

    /// Measures a volume. Unordered images have no neighbours and are left out.
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<MeasuredVolume>> {
        let CaseSetup { setup, case, source } = *test;
        if !has_neighbours(test)? {
            return Ok(Vec::new());
        }
        let TrialConfig { slices: few, seeds, .. } = &self.trials;
        setup.case(case.name(), seeds.len(), || {
            let slices = digest(case.stack, case.structure, &case.all_slices());
            let mut measured = Vec::new();
            for (repeat, &seed) in seeds.iter().enumerate() {
                let work = TrustTrial { protocol: self, setup, case, source, seed };
                for trial in few.trials(case.survey, seed)? {
                    let leave_out = repeat < self.left_out;
                    let depends_on = self.depends_on(case, &slices, &trial, leave_out);
                    measured.extend(setup.once(&depends_on, || work.measure(&trial.annotated, leave_out))?);
                }
                setup.step_done()?;
            }
            Ok(measured)
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

impl TrustProtocol {
    fn depends_on<'a>(
        &'a self,
        case: &CaseStructure<'a>,
        slices: &'a str,
        trial: &'a Trial,
        leave_out: bool,
    ) -> DependsOn<'a> {
        DependsOn {
            subject: (case.dataset, case.name()),
            slices,
            annotated: &trial.annotated,
            seed: trial.seed,
            leave_out,
            ensemble: &self.ensemble,
            propagation: &self.propagation,
        }
    }
}
