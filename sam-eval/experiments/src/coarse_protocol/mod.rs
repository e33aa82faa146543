//! Coarse masks without a prompt: PANet and SAP-Net on a SAM's features, step by step as in the paper's Table 5.

mod variant;

use std::time::Instant;

use burn::tensor::backend::Backend;
use sam_auto::{CoarseConfig, CoarseMethod};
use sam_eval::{MaskScore, protocol::FewSlices};
use sam_prompt::{
    largest_components,
    ndarray::{Array2, Axis, stack},
};
use sapnet::{SapNetConfig, SupportConfig};
use serde::{Deserialize, Serialize};

pub use variant::Variant;

use crate::{
    CaseSelection, CaseSetup, CaseStructure, Protocol, Run, Setup, TrialConfig,
    error::Result,
    mask_trials::{MaskTrial, run_trials},
};

/// The config of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoarseProtocol {
    /// Cases, slices and repeats.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// Which methods are compared.
    pub variants: Vec<Variant>,
    /// Number of components of a volume that top-K keeps.
    pub components: usize,
    /// SAP-Net's config, except for the fields that a variant sets.
    pub sapnet: SapNetConfig,
}

/// This config with its fields in the order that journals of earlier versions have.
#[derive(Serialize)]
struct DependsOn<'a> {
    #[serde(flatten)]
    cases: &'a CaseSelection,
    variants: &'a [Variant],
    slices: &'a FewSlices,
    seeds: &'a [u64],
    components: usize,
    sapnet: &'a SapNetConfig,
}

impl Protocol for CoarseProtocol {
    type Outcome = Run<MaskScore>;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        Ok(self.sapnet.check()?)
    }

    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        run_trials(test, &self.trials, &self.depends_on(), |trial| self.trial(test.setup, trial))
    }
}

/// The masks of a fitted segmenter on the test slices.
struct CoarseMasks {
    masks: Vec<Array2<bool>>,
    fit_seconds: f64,
}

impl CoarseProtocol {
    fn depends_on(&self) -> DependsOn<'_> {
        let Self { trials: TrialConfig { cases, slices, seeds }, variants, components, sapnet } = self;
        DependsOn { cases, variants, slices, seeds, components: *components, sapnet }
    }

    /// Tests each variant.
    fn trial<B: Backend>(&self, setup: &Setup<B>, trial: &MaskTrial<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        let mut scores = Vec::new();
        let mut last: Option<(Option<SapNetConfig>, CoarseMasks)> = None;
        for &variant in &self.variants {
            setup.doing(format!("seed {}, {variant}", trial.seed))?;
            let config = variant.config(&self.sapnet.clone().with_seed(trial.seed));
            let coarse = match last {
                // Top-K has the same config as the previous variant, and post-processes its masks.
                Some((same, coarse)) if same == config => coarse,
                _ => CoarseMasks::fit(setup, trial, config.as_ref())?,
            };
            let largest = if variant.keeps_largest() { Some(self.largest(trial.case, &coarse.masks)) } else { None };
            let masks = largest.as_ref().unwrap_or(&coarse.masks);
            scores.push(trial.score(&variant.to_string(), coarse.fit_seconds, masks)?);
            last = Some((config, coarse));
        }
        Ok(scores)
    }

    /// Top-K post-processing: in three dimensions for a volume, separately for each image otherwise.
    fn largest(&self, case: &CaseStructure<'_>, masks: &[Array2<bool>]) -> Vec<Array2<bool>> {
        let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
        // The slices of a volume have one size; images that cannot be stacked are not a volume.
        match stack(Axis(0), &views) {
            Ok(volume) if case.stack.is_ordered() => {
                let kept = largest_components(volume.view(), self.components);
                kept.outer_iter().map(|mask| mask.to_owned()).collect()
            }
            _ => masks.iter().map(|mask| largest_components(mask.view(), self.components)).collect(),
        }
    }
}

impl CoarseMasks {
    /// Fits SAP-Net, or PANet if there is no config of SAP-Net, and segments the test slices.
    fn fit<B: Backend>(setup: &Setup<B>, trial: &MaskTrial<'_, B>, config: Option<&SapNetConfig>) -> Result<Self> {
        let started = Instant::now();
        let method = match config {
            Some(config) => CoarseMethod::Sapnet(config.clone()),
            None => CoarseMethod::Panet(SupportConfig::default()),
        };
        let config = CoarseConfig::default().with_method(method);
        let coarse = setup.watched(|observer| config.fit(&trial.annotated, observer))?;
        let fit_seconds = started.elapsed().as_secs_f64();
        let mut masks = Vec::new();
        for slice in &trial.test {
            masks.push(coarse.map(slice.embedding())?.mapv(|share| share > 0.5));
        }
        Ok(Self { masks, fit_seconds })
    }
}

#[cfg(test)]
mod tests {
    use sam_data::SliceAxis;

    use super::*;
    use crate::DataSource;

    #[test]
    fn journals_of_earlier_versions_have_these_fields_in_this_order() -> Result<()> {
        let protocol = CoarseProtocol {
            trials: TrialConfig {
                cases: CaseSelection::new(DataSource::default(), SliceAxis::Auto),
                slices: FewSlices {
                    annotated: vec![5],
                    annotated_empty: 2,
                    tested: 12,
                    tested_empty: 6,
                    selection: sam_prompt::SliceSelection::Normal,
                },
                seeds: vec![0],
            },
            variants: Variant::ALL.to_vec(),
            components: 1,
            sapnet: SapNetConfig::default(),
        };
        let written = serde_json::to_string(&protocol.depends_on())?;
        let fields = ["structures", "survey", "variants", "slices", "seeds", "components", "sapnet"];
        let places = fields.map(|field| written.find(&format!("\"{field}\":")));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{written}");
        // The config itself is serialised with the same values.
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        assert_eq!(read(&serde_json::to_string(&protocol)?)?, read(&written)?);
        Ok(())
    }
}
