//! What can be wrong with a folder of data.

use std::path::PathBuf;

use thiserror::Error;

/// A folder that holds no data of a known layout.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// There is no such folder.
    #[error("it is no folder")]
    NoFolder,
    /// None of the files that were looked for is there.
    #[error("{0}")]
    NothingFound(String),
    /// A scan without labels.
    #[error("{} has no label.nii.gz (or label.nii) beside it", image.display())]
    NoLabels {
        /// The scan.
        image: PathBuf,
    },
    /// An image without a mask.
    #[error("{} has no mask of its name, {}", image.display(), mask.display())]
    NoMask {
        /// The image.
        image: PathBuf,
        /// Where the mask was looked for.
        mask: PathBuf,
    },
    /// Two files that would be one part of a case.
    #[error("{} and {} would both be {role}; keep one of them", first.display(), second.display())]
    Ambiguous {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What both would be.
        role: String,
    },
    /// Two images of one name.
    #[error("its folder images holds two images {name}; keep one of them")]
    TwoImages {
        /// The name.
        name: String,
    },
    /// Cases with different label tables.
    #[error("the labels.json of {first} and of {second} differ; make them equal, or open the case folders one by one")]
    TablesDiffer {
        /// One case.
        first: String,
        /// The other.
        second: String,
    },
    /// No label table.
    #[error("labels.json is missing: it says what label values mean, like {{\"0\": \"background\", \"1\": \"liver\"}}")]
    NoTable,
    /// `dataset.json` that is not that of a Decathlon task.
    #[error("dataset.json is not that of a Decathlon task, with labels and training")]
    Task(#[source] serde_json::Error),
    /// A label value in `dataset.json` that cannot be one.
    #[error("dataset.json has the label \"{found}\", expected whole numbers from 0 to 65535")]
    TaskLabel {
        /// The label.
        found: String,
    },
    /// A file outside of the folder in `dataset.json`.
    #[error("dataset.json lists \"{found}\", which is not below the folder")]
    Outside {
        /// The file.
        found: String,
    },
}

/// A label table that cannot be understood.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelTableError {
    /// JSON of another form.
    #[error("it is no JSON object of texts")]
    Json(#[source] serde_json::Error),
    /// An encoding that is not known.
    #[error("its encoding \"{found}\" is neither class-index nor instance")]
    Encoding {
        /// The encoding.
        found: String,
    },
    /// A label value that cannot be one.
    #[error("\"{found}\" is no whole number from 0 to 65535")]
    Value {
        /// The value.
        found: String,
    },
}
