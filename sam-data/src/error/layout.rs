//! Errors of data folders and label tables.

use std::path::PathBuf;

use thiserror::Error;

/// The error for a folder without data of a known layout.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The folder does not exist.
    #[error("it is no folder")]
    NoFolder,
    /// None of the expected files exists.
    #[error("{0}")]
    NothingFound(String),
    /// A scan has no label map.
    #[error("{} has no label.nii.gz (or label.nii) beside it", image.display())]
    NoLabels {
        /// The scan.
        image: PathBuf,
    },
    /// An image has no mask.
    #[error("{} has no mask of its name, {}", image.display(), mask.display())]
    NoMask {
        /// The image.
        image: PathBuf,
        /// The mask that was looked for.
        mask: PathBuf,
    },
    /// Two files have the same role in a case.
    #[error("{} and {} would both be {role}; keep one of them", first.display(), second.display())]
    Ambiguous {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The role.
        role: String,
    },
    /// Two images have the same name.
    #[error("its folder images holds two images {name}; keep one of them")]
    TwoImages {
        /// The name.
        name: String,
    },
    /// The cases have different label tables.
    #[error("the labels.json of {first} and of {second} differ; make them equal, or open the case folders one by one")]
    TablesDiffer {
        /// One case.
        first: String,
        /// The other.
        second: String,
    },
    /// There is no label table.
    #[error("labels.json is missing: it says what label values mean, like {{\"0\": \"background\", \"1\": \"liver\"}}")]
    NoTable,
    /// `dataset.json` is not that of a Decathlon task.
    #[error("dataset.json is not that of a Decathlon task, with labels and training")]
    Task(#[source] serde_json::Error),
    /// A label value in `dataset.json` is not valid.
    #[error("dataset.json has the label \"{found}\", expected whole numbers from 0 to 65535")]
    TaskLabel {
        /// The value found.
        found: String,
    },
    /// `dataset.json` lists a file outside its folder.
    #[error("dataset.json lists \"{found}\", which is not below the folder")]
    Outside {
        /// The file.
        found: String,
    },
}

/// The error for a label table that cannot be understood.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelTableError {
    /// The text is not JSON of the expected form.
    #[error("it is no JSON object of texts")]
    Json(#[source] serde_json::Error),
    /// The encoding is unknown.
    #[error("its encoding \"{found}\" is neither class-index nor instance")]
    Encoding {
        /// The encoding.
        found: String,
    },
    /// A label value is not valid.
    #[error("\"{found}\" is no whole number from 0 to 65535")]
    Value {
        /// The value.
        found: String,
    },
}
