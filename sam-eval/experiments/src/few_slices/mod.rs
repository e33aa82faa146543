//! A few outlined slices: how good the masks of the other slices are, by strategy and number of outlines.
//!
//! The strategies run as `annotate` runs them, on the same outlines. Other programs can be measured on these outlines, too: see
//! [`FewSlicesProtocol::exchange`] and [`add_peers`].

mod exchange;
mod score;
mod trial;

use std::path::PathBuf;

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_auto::Strategy;
use serde::{Deserialize, Serialize};

pub use exchange::add_peers;
pub(crate) use exchange::read_peers;
pub use score::FewSlicesScore;
pub use trial::{FewSlicesTrial, few_slices_csv};

use crate::{
    CaseSetup, OutlineSelection, Protocol, TrialConfig,
    error::Result,
    outlines::{check_outlines, outlined_slices},
    setup::digest,
    trust_protocol::has_neighbours,
};
use trial::Measurement;

/// The config of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewSlicesProtocol {
    /// Cases, numbers of outlines and repeats. All slices that are not outlined are segmented and scored.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// Which slices are outlined.
    pub outlines: OutlineSelection,
    /// The strategies that are compared, each with the learning that fits its prompts.
    pub strategies: Vec<Strategy>,
    /// Folder for what other programs need to do the same: the slices, the truth and the outlined slices of each structure. The images there
    /// have the 8-bit levels that the model sees.
    #[serde(skip)]
    pub exchange: Option<PathBuf>,
}

impl Protocol for FewSlicesProtocol {
    type Outcome = FewSlicesTrial;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        // With one outline, nothing is between outlines.
        check_outlines(&self.trials.slices.annotated, 2)?;
        for strategy in &self.strategies {
            AnnotateConfig::new(strategy.clone()).check()?;
        }
        Ok(())
    }

    /// Measures each strategy on the outlines of each repeat. Unordered images have nothing between outlines and are left out.
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<FewSlicesTrial>> {
        let CaseSetup { setup, case, .. } = *test;
        if !has_neighbours(test)? {
            return Ok(Vec::new());
        }
        let all = outlined_slices(&self.trials, case.survey, self.outlines)?;
        let seen = digest(case.stack, case.structure, &case.all_slices());
        if let Some(folder) = &self.exchange {
            exchange::write(folder, case, &seen, &all)?;
        }
        setup.case(case.name(), all.len() * self.strategies.len(), || {
            let mut trials = Vec::new();
            for outlined in &all {
                let mut measurement = Measurement::new(test, outlined);
                for strategy in &self.strategies {
                    let config = AnnotateConfig::new(strategy.clone()).with_seed(outlined.seed);
                    let depends_on =
                        ("few_slices", case.dataset, case.name(), &seen, outlined, &config.strategy, &config.learning);
                    trials.push(setup.once(&depends_on, || measurement.measure(&config))?);
                    setup.step_done()?;
                }
            }
            Ok(trials)
        })
    }
}

#[cfg(test)]
mod tests;
