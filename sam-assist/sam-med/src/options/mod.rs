//! Options that commands share.

mod annotate;
mod cache;
mod data;
mod model;
mod scan;
mod structures;

pub use annotate::{AutoOptions, LearningOptions, SessionOptions};
pub use cache::CacheOptions;
pub use data::DataOptions;
pub use model::ModelOptions;
pub use scan::{OutputOptions, ScanOptions};
pub use structures::StructureOptions;
