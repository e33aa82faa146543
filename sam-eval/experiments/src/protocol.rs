//! What all protocols have in common: they test every structure of every case, with several seeds.

use burn::tensor::backend::Backend;
use sam_core::SliceSource;
use sam_eval::protocol::FewSlices;

use crate::{CaseSelection, CaseStructure, Setup, error::Result};

/// A protocol: a config that says what is tested, and the test of one structure of one case.
pub trait Protocol {
    /// What comes of a test.
    type Outcome;

    /// Which cases are tested.
    fn cases(&self) -> &CaseSelection;

    /// Which slices are annotated and tested.
    fn slices(&self) -> &FewSlices;

    /// Checks the config, so that nothing is found wrong only after hours.
    ///
    /// # Errors
    /// [`ExperimentError::Config`](crate::ExperimentError::Config) and the libraries' own say what is wrong.
    fn check(&self) -> Result<()>;

    /// Tests one structure of one case.
    ///
    /// # Errors
    /// If a slice cannot be embedded, learned from or tested; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
    fn test_case<B: Backend>(
        &self,
        setup: &Setup<B>,
        case: &CaseStructure<'_>,
        source: &dyn SliceSource<B>,
    ) -> Result<Vec<Self::Outcome>>;

    /// Tests every structure of every case that shows it on enough slices.
    ///
    /// # Errors
    /// As [`Protocol::check`] and [`Protocol::test_case`]; if the data cannot be read, or no case shows a structure on enough slices.
    fn run<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<Self::Outcome>> {
        self.check()?;
        self.cases().each(setup, self.slices().most() + 1, |case, source| self.test_case(setup, case, source))
    }
}
