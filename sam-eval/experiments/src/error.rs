//! Errors of experiments.

use std::{error::Error, path::PathBuf};

use sam_annotate::AnnotateError;
use sam_assist::AssistError;
use sam_auto::AutoError;
use sam_core::{CoreError, SliceError};
use sam_data::DataError;
use sam_eval::EvalError;
use sam_files::{OpenLinesError, OutputError, ReadError, WriteError};
use sam_prompt::{ConfigError, PromptError};
use sapnet::SapnetError;
use thiserror::Error;

/// Result of a step of an experiment.
pub(crate) type Result<T, E = ExperimentError> = std::result::Result<T, E>;

/// Why an experiment has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The observer stopped the experiment.
    #[error("stopped before the end; results that were complete are in the journal, if there is one")]
    Stopped,
    /// A step failed. The source says why.
    #[error("{step}")]
    Step {
        /// The step, for example the case and the structure.
        step: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A value of a config that is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No case shows any of the structures on enough slices.
    #[error(
        "no case of {data} shows any of the structures \"{structures}\" on enough slices; name other structures, or annotate fewer slices"
    )]
    NothingToTest {
        /// The data.
        data: String,
        /// The structures asked for.
        structures: String,
    },
    /// Neither a folder nor a phantom was named.
    #[error("there are no data to test on; name a folder or a phantom")]
    NoData,
    /// Two data sources have a case and structure of the same name, so their results cannot be told apart.
    #[error(
        "{first} and {second} both have {subject} of a data set named {dataset}: rename one of the folders, or test them in two runs"
    )]
    SameSubject {
        /// The location of the first data source.
        first: String,
        /// That of the second.
        second: String,
        /// Case and structure.
        subject: String,
        /// The name of both data sets.
        dataset: String,
    },
    /// Masks in the journal belong to data that were not found.
    #[error("{subject} is not in the data that were opened again; restore them, or start with an empty journal")]
    OtherData {
        /// Case and structure.
        subject: String,
    },
    /// A file that is not a journal of results, or that another process uses.
    #[error("{} cannot be used as a journal of results", .path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenLinesError<serde_json::Error>>,
    },
    /// Another program has no result for a trial of this run.
    #[error(
        "{method} has no result for {trial}, or one for other outlines; run examples/few_slices_peers.py on this run's folder of results \
         again, then give its file to --peers"
    )]
    PeerTrial {
        /// The other program.
        method: String,
        /// Case, structure, outlines and seed.
        trial: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A result must not replace a file, or could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A value could not be written as JSON or read from it.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A drawing lacks an attribute that is needed to place it.
    #[error("a drawing has no {missing}")]
    Drawing {
        /// The attribute.
        missing: &'static str,
    },
    /// A table could not be written as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A slice could not be read or embedded.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The model could not be used.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A scan could not be annotated.
    #[error(transparent)]
    Annotate(#[from] AnnotateError),
    /// A model could not be trained on annotated slices.
    #[error(transparent)]
    Assist(#[from] AssistError),
    /// A generator could not be fitted, or a slice could not be segmented.
    #[error(transparent)]
    Auto(#[from] AutoError),
    /// A coarse segmenter could not be fitted or used.
    #[error(transparent)]
    Coarse(#[from] SapnetError),
    /// A score could not be computed, or a report could not be made.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Prompts could not be drawn.
    #[error(transparent)]
    Prompt(#[from] PromptError),
}

/// Adds the name of the failed step to an error.
pub(crate) trait Context<T> {
    /// Wraps an error with the name of the step; a deliberate stop is passed on unchanged.
    fn step(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<ExperimentError>> Context<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| match error.into() {
            ExperimentError::Stopped => ExperimentError::Stopped,
            error => ExperimentError::Step { step: step(), source: Box::new(error) },
        })
    }
}
