//! Options that commands share.

mod annotate;
mod compute;
mod data;
mod model;
mod output;
mod scan;
mod structures;
mod voxels;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

pub use annotate::{LearningOptions, OutlineOptions, SessionOptions, StrategyOptions};
pub use compute::ComputeOptions;
pub use data::DataOptions;
pub use model::ModelOptions;
pub(crate) use output::with_record;
pub use output::{OutputOptions, RECORD, results};
pub use scan::{InputOptions, ScanOptions, Spacing};
pub use structures::StructureOptions;
pub use voxels::VoxelOptions;
pub(crate) use voxels::read_scan;

/// Parses the JSON config of an option.
pub(crate) fn read_config<T: DeserializeOwned>(option: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| {
        format!("cannot read the config {text:?} of {option}; expected a JSON object, as in the example of --help")
    })
}
