//! The cases and structures of an experiment.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use sam_core::SliceSource;
use sam_data::{Dataset, SliceAxis, Stack, Structure, Window};
use sam_eval::protocol::{Survey, SurveyConfig};
use sam_prompt::counted;
use sam_prompt::ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    DataSource, ExperimentError, Setup,
    error::{Context, Result},
};

/// Maximum number of slices of a case; of a volume with more slices, every n-th one is used.
const MAX_SLICES: usize = 40;

/// A data set with its structures, and how its scans are cut into slices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseSelection {
    /// The source of the data.
    #[serde(flatten)]
    pub data: DataSource,
    /// Names or label values of structures, as in [`DataSource::structures`].
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which volumes are cut into slices.
    pub axis: SliceAxis,
    /// Which slices count as showing a structure.
    pub survey: SurveyConfig,
}

/// Refuses data sources whose results could not be told apart, because data set, case and structure have the same names. Reads no image.
///
/// # Errors
/// [`ExperimentError::SameSubject`]; as [`CaseSelection::open`].
pub(crate) fn check_told_apart(selections: &[CaseSelection]) -> Result<()> {
    let mut known = BTreeMap::new();
    for selection in selections {
        let (opened, structures) = selection.open()?;
        for case in opened.cases() {
            for structure in &structures {
                let (dataset, subject) = (opened.name().to_owned(), format!("{}: {}", case.name, structure.name));
                if let Some(first) = known.insert((dataset.clone(), subject.clone()), &selection.data) {
                    let (first, second) = (first.to_string(), selection.data.to_string());
                    return Err(ExperimentError::SameSubject { first, second, subject, dataset });
                }
            }
        }
    }
    Ok(())
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
    /// The slices that show it, and those that do not.
    pub survey: &'a Survey,
}

impl CaseSelection {
    /// The structures and the window that the data source specifies.
    pub fn new(data: DataSource, axis: SliceAxis) -> Self {
        let survey = SurveyConfig { max_slices: MAX_SLICES, min_object_pixels: data.min_object_pixels() };
        Self { structures: data.structures(), window: data.window(), axis, survey, data }
    }

    /// Opens the data set and finds the structures in its table.
    ///
    /// # Errors
    /// If the folder does not have the expected layout, or a structure is not in the table.
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

    /// Tests every structure of every case that shows it on at least `needed` slices. Notes name the structures that are left out.
    ///
    /// # Errors
    /// If the data cannot be read or no case can be tested, and the errors of the test.
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
                    let shown = counted(shown, "slice");
                    setup.note(format!("left out: {} is on {shown}; at least {needed} are needed", case.name()))?;
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
    /// The name of the case and the structure.
    pub fn name(&self) -> String {
        Self::name_of(self.stack, self.structure)
    }

    /// The name of a stack's case and a structure.
    pub(crate) fn name_of(stack: &Stack, structure: &Structure) -> String {
        format!("{}: {}", stack.name(), structure.name)
    }

    /// The mask of the structure on a slice: `[rows, columns]`.
    pub fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }

    /// All slices of the case.
    pub fn all_slices(&self) -> Vec<usize> {
        (0..self.stack.len()).collect()
    }
}
