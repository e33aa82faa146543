//! The common part of all protocols: every structure of every case is tested, with several seeds.

use burn::tensor::backend::Backend;
use sam_core::SliceSource;
use sam_eval::protocol::FewSlices;
use serde::{Deserialize, Serialize};

use crate::{CaseSelection, CaseStructure, Setup, error::Result};

/// The trials of a protocol: cases, slices and repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialConfig {
    /// The cases that are tested.
    #[serde(flatten)]
    pub cases: CaseSelection,
    /// Which slices are annotated and tested.
    pub slices: FewSlices,
    /// One repeat for each seed.
    pub seeds: Vec<u64>,
}

/// The inputs of the test of one structure of one case.
pub struct CaseSetup<'a, B: Backend> {
    /// Model, journal and observer.
    pub setup: &'a Setup<B>,
    /// The case and the structure.
    pub case: &'a CaseStructure<'a>,
    /// The case's slices and their embeddings.
    pub source: &'a dyn SliceSource<B>,
}

/// A protocol: a config of what is tested, and the test of one structure of one case.
pub trait Protocol {
    /// The result of one test.
    type Outcome;

    /// The cases, slices and repeats.
    fn trials(&self) -> &TrialConfig;

    /// Checks the config before the work begins, which may take hours.
    ///
    /// # Errors
    /// [`ExperimentError::Config`](crate::ExperimentError::Config), and the config errors of the libraries.
    fn check(&self) -> Result<()>;

    /// Tests one structure of one case.
    ///
    /// # Errors
    /// If a slice cannot be embedded, learned from or tested; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<Self::Outcome>>;

    /// Tests every structure of every case that shows it on enough slices.
    ///
    /// # Errors
    /// Those of [`Protocol::check`] and [`Protocol::test_case`]; if the data cannot be read, or no case shows a structure on enough slices.
    fn run<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<Self::Outcome>> {
        self.check()?;
        let TrialConfig { cases, slices, .. } = self.trials();
        cases.each(setup, slices.most() + 1, |case, source| self.test_case(&CaseSetup { setup, case, source }))
    }
}
