//! What comparisons are made on: structures of the cases of a data set.

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use sam_data::{SliceAxis, Structure, Window};
use sam_eval::protocol::{Survey, SurveyConfig};
use sam_prompt::ndarray::Array2;
use serde::Serialize;

use crate::{data_options::DataOptions, embeddings::Embeddings, stack::Stack, study::Study};

/// Volumes of more slices are taken at a step that leaves at most this many.
const MAX_SLICES: usize = 40;

/// Which structures of which data, and how they are looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Subjects {
    /// Where the data lie.
    #[serde(flatten)]
    pub data: DataOptions,
    /// Which structures, as given.
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// Which slices count as showing a structure.
    pub survey: SurveyConfig,
}

/// One structure of one case.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The data set's name.
    pub dataset: &'a str,
    /// The case's slices.
    pub stack: &'a Stack,
    /// The structure.
    pub structure: &'a Structure,
    /// Which slices show it.
    pub survey: &'a Survey,
}

impl Subjects {
    /// The structures and the window that the data options ask for.
    pub fn new(data: DataOptions, axis: SliceAxis) -> Self {
        let survey = SurveyConfig { max_slices: MAX_SLICES, min_object_pixels: data.min_object_pixels() };
        Self { structures: data.structures(), window: data.window(), axis, survey, data }
    }

    /// Does some work on every structure of every case that shows it on at least `needed` slices; the others are named on the error
    /// stream.
    ///
    /// # Errors
    /// If the data cannot be read, if there is nothing to work on, and those of the work.
    pub fn each<B: Backend, T>(
        &self,
        study: &Study<'_, B>,
        needed: usize,
        mut work: impl FnMut(Subject<'_>, &mut Embeddings<'_, B>) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let dataset = self.data.open()?;
        let structures = dataset.table().parse_structures(&self.structures)?;
        let mut results = Vec::new();
        for stack in Stack::of_cases(dataset.cases(), self.axis, &self.window)? {
            let mut embeddings = Embeddings::new(&study.predictor, &stack, study.disk);
            for structure in &structures {
                let survey = Survey::of(self.survey, stack.len(), |index| stack.mask(index, &structure.values));
                let subject = Subject { dataset: dataset.name(), stack: &stack, structure, survey: &survey };
                if survey.shown.len() < needed {
                    let shown = survey.shown.len();
                    eprintln!("Left out: {} is on {shown} slices, {needed} are needed", subject.name());
                    continue;
                }
                results.extend(work(subject, &mut embeddings).with_context(|| subject.name())?);
            }
        }
        ensure!(
            !results.is_empty(),
            "no case of {} shows any of the structures \"{}\" on enough slices",
            self.data,
            self.structures
        );
        Ok(results)
    }
}

impl Subject<'_> {
    /// Case and structure.
    pub fn name(&self) -> String {
        Self::name_of(self.stack, self.structure)
    }

    /// Case and structure, of a stack.
    pub fn name_of(stack: &Stack, structure: &Structure) -> String {
        format!("{}: {}", stack.name, structure.name)
    }

    /// Where a slice shows the structure: `[rows, columns]`.
    pub fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }
}
