//! What all protocols have in common: they test every structure of every case, with several seeds.

use burn::tensor::backend::Backend;
use sam_core::SliceSource;
use sam_eval::protocol::FewSlices;
use serde::{Deserialize, Serialize};

use crate::{CaseSelection, CaseStructure, Setup, error::Result};

/// Which trials a protocol does: cases, slices and repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialConfig {
    /// Which cases are tested.
    #[serde(flatten)]
    pub cases: CaseSelection,
    /// Which slices are annotated and tested.
    pub slices: FewSlices,
    /// One repeat for each seed.
    pub seeds: Vec<u64>,
}

/// What the test of one structure of one case works with.
pub struct CaseSetup<'a, B: Backend> {
    /// Model, journal and observer.
    pub setup: &'a Setup<B>,
    /// The case and the structure.
    pub case: &'a CaseStructure<'a>,
    /// The case's slices and their embeddings.
    pub source: &'a dyn SliceSource<B>,
}

/// A protocol: a config that says what is tested, and the test of one structure of one case.
pub trait Protocol {
    /// What comes of a test.
    type Outcome;

    /// Which trials are done.
    fn trials(&self) -> &TrialConfig;

    /// Checks the config, so that nothing is found wrong only after hours.
    ///
    /// # Errors
    /// [`ExperimentError::Config`](crate::ExperimentError::Config) and the libraries' own say what is wrong.
    fn check(&self) -> Result<()>;

    /// Tests one structure of one case.
    ///
    /// # Errors
    /// If a slice cannot be embedded, learned from or tested; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<Self::Outcome>>;

    /// Tests every structure of every case that shows it on enough slices.
    ///
    /// # Errors
    /// As [`Protocol::check`] and [`Protocol::test_case`]; if the data cannot be read, or no case shows a structure on enough slices.
    fn run<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<Self::Outcome>> {
        self.check()?;
        let TrialConfig { cases, slices, .. } = self.trials();
        cases.each(setup, slices.most() + 1, |case, source| self.test_case(&CaseSetup { setup, case, source }))
    }
}
