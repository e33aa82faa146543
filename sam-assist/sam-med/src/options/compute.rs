//! Options of the model and of the folder that keeps its embeddings (`--cache`).

use anyhow::Result;
use clap::Args;
use sam_core::{CacheConfig, EmbeddingCache};
use sam_files::LossyPath;
use serde::Serialize;

use super::ModelOptions;

/// The model, and the folder of its embeddings.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct ComputeOptions {
    /// The model.
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    /// Folder that keeps embedded slices for later runs, up to 4 GiB
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub cache: Option<LossyPath>,
}

impl ComputeOptions {
    /// Opens the folder of embeddings, if one is given; creates it if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn open_cache(&self) -> Result<Option<EmbeddingCache>> {
        let open = |folder| EmbeddingCache::open(folder, CacheConfig::default());
        Ok(self.cache.as_ref().map(open).transpose()?)
    }
}
