//! Scores of masks that were predicted without a person's prompts, on slices with and without the structure.

use burn::tensor::backend::Backend;
use sam_core::{AnnotatedSlice, SliceSource};
use sam_eval::MaskScore;
use sam_prompt::ndarray::Array2;
use serde::Serialize;

use crate::{CaseSetup, CaseStructure, FoundMask, Run, Setup, TrialConfig, error::Result, setup::digest};

/// One repeat: the slices of a case that are annotated and those that are tested.
#[derive(Debug)]
pub(crate) struct MaskTrial<'a, B: Backend> {
    /// Case and structure.
    pub(crate) case: &'a CaseStructure<'a>,
    /// Seed of the repeat.
    pub(crate) seed: u64,
    /// Annotated slices, including those without the structure.
    pub(crate) annotated: Vec<AnnotatedSlice<B>>,
    /// Tested slices with their ground truth, including those without the structure.
    pub(crate) test: Vec<AnnotatedSlice<B>>,
}

/// Runs a task once for each seed. Only the seed decides which slices are annotated and tested, so all methods are compared on the same
/// ones; `config` is everything else that the results depend on.
///
/// # Errors
/// If too few slices show the structure or a slice cannot be embedded, and the errors of the task.
pub(crate) fn run_trials<B: Backend>(
    &CaseSetup { setup, case, source }: &CaseSetup<'_, B>,
    TrialConfig { slices, seeds, .. }: &TrialConfig,
    config: &impl Serialize,
    mut work: impl FnMut(&MaskTrial<'_, B>) -> Result<Vec<Run<MaskScore>>>,
) -> Result<Vec<Run<MaskScore>>> {
    setup.case(case.name(), seeds.len(), || {
        let mut runs = Vec::new();
        for &seed in seeds {
            for trial in slices.trials(case.survey, seed)? {
                let involved = [&trial.annotated[..], &trial.tested[..]].concat();
                let seen = digest(case.stack, case.structure, &involved);
                let depends_on = (case.dataset, case.stack.name(), case.structure, &trial, seen, config);
                runs.extend(setup.once(&depends_on, || {
                    setup.doing("embedding")?;
                    let annotated = annotate(setup, case, source, &trial.annotated)?;
                    let test = annotate(setup, case, source, &trial.tested)?;
                    work(&MaskTrial { case, seed, annotated, test })
                })?);
            }
            setup.step_done()?;
        }
        Ok(runs)
    })
}

/// Slices with the ground truth as their outlines.
///
/// # Errors
/// If a slice cannot be embedded; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
pub(crate) fn annotate<B: Backend>(
    setup: &Setup<B>,
    case: &CaseStructure<'_>,
    source: &dyn SliceSource<B>,
    slices: &[usize],
) -> Result<Vec<AnnotatedSlice<B>>> {
    setup.annotate(source, slices, |index| case.mask(index))
}

impl<B: Backend> MaskTrial<'_, B> {
    /// Scores a method's masks on the tested slices, and keeps the masks with the score.
    ///
    /// # Errors
    /// If a mask differs from its slice in size.
    pub(crate) fn score(&self, method: &str, fit_seconds: f64, masks: &[Array2<bool>]) -> Result<Run<MaskScore>> {
        let truths: Vec<_> = self.test.iter().map(|slice| slice.outline().clone()).collect();
        Ok(Run {
            score: MaskScore::of(self.case.name(), method.to_owned(), self.seed, fit_seconds, masks, &truths)?,
            masks: self.test.iter().zip(masks).map(|(slice, mask)| FoundMask::new(slice.index(), mask)).collect(),
        })
    }
}
