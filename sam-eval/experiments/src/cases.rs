//! Which cases and structures an experiment is done on.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use sam_core::SliceSource;
use sam_data::{Dataset, SliceAxis, Stack, Structure, Window};
use sam_eval::protocol::{Survey, SurveyConfig};
use sam_prompt::ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    DataSource, ExperimentError, Setup,
    error::{Context, Result},
};

/// Volumes of more slices are taken at a step that leaves at most this many.
const MAX_SLICES: usize = 40;

/// Which structures of which data, and how they are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseSelection {
    /// Where the data are.
    #[serde(flatten)]
    pub data: DataSource,
    /// Names or label values of structures, as [`DataSource::structures`].
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which volumes are cut into slices.
    pub axis: SliceAxis,
    /// Which slices count as showing a structure.
    pub survey: SurveyConfig,
}

/// One structure of one case.
#[derive(Debug, Clone, Copy)]
pub struct CaseStructure<'a> {
    /// The data set's name.
    pub dataset: &'a str,
    /// The case's slices.
    pub stack: &'a Stack,
    /// The structure.
    pub structure: &'a Structure,
    /// Which slices show it.
    pub survey: &'a Survey,
}

impl CaseSelection {
    /// The structures and the window that the data source asks for.
    pub fn new(data: DataSource, axis: SliceAxis) -> Self {
        let survey = SurveyConfig { max_slices: MAX_SLICES, min_object_pixels: data.min_object_pixels() };
        Self { structures: data.structures(), window: data.window(), axis, survey, data }
    }

    /// Opens the data set and finds the structures in its table.
    ///
    /// # Errors
    /// If the folder is not laid out as it should be, or a structure is not in the table.
    pub(crate) fn open(&self) -> Result<(Box<dyn Dataset>, Vec<Structure>)> {
        let dataset = self.data.open()?;
        let structures = dataset.table().parse_structures(&self.structures)?;
        Ok((dataset, structures))
    }

    /// The cases as slices.
    ///
    /// # Errors
    /// If a case cannot be read.
    pub(crate) fn stacks(&self, dataset: &dyn Dataset) -> Result<Vec<Stack>> {
        Ok(Stack::of_cases(dataset.cases(), self.axis, &self.window)?)
    }

    /// Tests every structure of every case that shows it on at least `needed` slices; notes say which are left out.
    ///
    /// # Errors
    /// If the data cannot be read, if there is nothing to test on, and those of the test.
    pub(crate) fn each<B: Backend, T>(
        &self,
        setup: &Setup<B>,
        needed: usize,
        mut test: impl FnMut(&CaseStructure<'_>, &dyn SliceSource<B>) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let (dataset, structures) = self.open()?;
        self.data.notes(dataset.as_ref()).into_iter().try_for_each(|note| setup.note(note))?;
        let mut results = Vec::new();
        for stack in self.stacks(dataset.as_ref())? {
            let stack = Arc::new(stack);
            let source = setup.source(&stack)?;
            for structure in &structures {
                let survey = Survey::of(self.survey, stack.len(), |index| stack.mask(index, &structure.values));
                let case = CaseStructure { dataset: dataset.name(), stack: &stack, structure, survey: &survey };
                let shown = survey.shown.len();
                if shown < needed {
                    setup.note(format!("left out: {} is on {shown} slices, {needed} are needed", case.name()))?;
                    continue;
                }
                results.extend(test(&case, &source).step(|| case.name())?);
            }
        }
        if results.is_empty() {
            let (data, structures) = (self.data.to_string(), self.structures.clone());
            return Err(ExperimentError::NothingToTest { data, structures });
        }
        Ok(results)
    }
}

impl CaseStructure<'_> {
    /// Case and structure.
    pub fn name(&self) -> String {
        Self::name_of(self.stack, self.structure)
    }

    /// Case and structure, of a stack.
    pub(crate) fn name_of(stack: &Stack, structure: &Structure) -> String {
        format!("{}: {}", stack.name(), structure.name)
    }

    /// Where a slice shows the structure: `[rows, columns]`.
    pub fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }

    /// All slices of the case.
    pub fn all_slices(&self) -> Vec<usize> {
        (0..self.stack.len()).collect()
    }
}
