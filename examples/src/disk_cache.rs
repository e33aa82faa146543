//! Embeddings that outlive the program: `--cache`.

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Args;
use sam_core::{CacheConfig, EmbeddingCache, ImageEmbedding, SamPredictor};
use sam_prompt::ndarray::Array3;
use serde::Serialize;

use crate::weights::Weights;

/// Where embeddings are kept, as asked for on the command line.
#[derive(Debug, Clone, Args, Serialize)]
pub struct CacheOptions {
    /// Folder that keeps embedded slices, so that the next run on them skips the image encoder (4 MB a slice, 4 GiB at most).
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheOptions {
    /// Opens the folder, if there is to be one.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(&self, weights: &Weights) -> Result<Option<DiskCache>> {
        let open = |folder: &PathBuf| -> Result<_> {
            let folder = EmbeddingCache::open(folder, CacheConfig::default())?;
            Ok(DiskCache { folder, weights: weights.sha256.clone() })
        };
        self.cache.as_ref().map(open).transpose()
    }
}

/// A folder of embeddings made with one checkpoint.
#[derive(Debug, Clone)]
pub struct DiskCache {
    folder: EmbeddingCache,
    weights: String,
}

impl DiskCache {
    /// A slice's embedding, read or computed and kept.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    pub fn embed<B: Backend>(&self, predictor: &SamPredictor<B>, image: &Array3<f32>) -> Result<ImageEmbedding<B>> {
        // The window is in the levels already.
        Ok(self.folder.embed(predictor, image.view(), "", &self.weights)?)
    }
}
