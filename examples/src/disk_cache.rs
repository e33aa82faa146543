//! Embeddings that outlive the program: `--cache`.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Args;
use sam_core::{CacheConfig, EmbeddingCache, EmbeddingKey, ImageEmbedding, SamPredictor};
use sam_prompt::ndarray::Array3;
use serde::Serialize;

use crate::{stack::Stack, weights::Weights};

/// Where embeddings are kept, as asked for on the command line.
#[derive(Debug, Clone, Args, Serialize)]
pub struct CacheOptions {
    /// Folder that keeps embedded slices, so that the next run on them skips the image encoder (2 MB a slice, 4 GiB at most).
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheOptions {
    /// Opens the folder, if there is to be one.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(&self, weights: &Weights) -> Result<Option<DiskCache>> {
        self.cache.as_ref().map(|folder| DiskCache::open(folder, weights)).transpose()
    }
}

/// A slice's embedding: by way of the folder, where there is one. It is the same without: rounded to f16, as folders keep it.
///
/// # Errors
/// If the slice cannot be embedded.
pub fn embed<B: Backend>(
    disk: Option<&DiskCache>,
    predictor: &SamPredictor<B>,
    image: &Array3<f32>,
) -> Result<ImageEmbedding<B>> {
    match disk {
        Some(disk) => disk.embed(predictor, image),
        None => Ok(predictor.embed(image.view())?.rounded_to_f16()),
    }
}

/// A folder of embeddings made with one checkpoint; it counts, and shows, how many were computed and how many were there.
#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    cache: EmbeddingCache,
    weights: String,
    computed: AtomicUsize,
    read: AtomicUsize,
}

impl DiskCache {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: &Path, weights: &Weights) -> Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            cache: EmbeddingCache::open(folder, CacheConfig::default())?,
            weights: weights.sha256.clone(),
            computed: 0.into(),
            read: 0.into(),
        })
    }

    /// A slice's embedding, read or computed and kept.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    pub fn embed<B: Backend>(&self, predictor: &SamPredictor<B>, image: &Array3<f32>) -> Result<ImageEmbedding<B>> {
        // The window is in the levels already.
        let key = EmbeddingKey::new(image.view(), "", &self.weights, predictor);
        if let Some(known) = self.cache.get(&key, &predictor.device()) {
            self.read.fetch_add(1, Ordering::Relaxed);
            return Ok(known);
        }
        self.computed.fetch_add(1, Ordering::Relaxed);
        Ok(self.cache.embed(predictor, image.view(), "", &self.weights)?)
    }

    /// Puts the embeddings of all slices into the folder, each of which is then `reached`.
    ///
    /// # Errors
    /// If a slice cannot be embedded.
    pub fn embed_all<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        stack: &Stack,
        reached: &mut dyn FnMut(),
    ) -> Result<()> {
        let images = (0..stack.len()).map(|index| stack.image(index));
        let mut count = |is_new: bool| {
            self.computed.fetch_add(usize::from(is_new), Ordering::Relaxed);
            reached();
        };
        Ok(self.cache.embed_all(predictor, images, "", &self.weights, &mut count)?)
    }
}

impl fmt::Display for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [computed, read] = [&self.computed, &self.read].map(|count| count.load(Ordering::Relaxed));
        write!(f, "embeddings: {computed} computed, {read} read from {}", self.folder.display())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use sam_core::{Precision, SamConfig, ViTConfig};

    use super::*;
    use crate::backend::{BackendChoice, Job};

    /// Embeds one image with a small model.
    struct EmbedJob<'a>(&'a DiskCache);

    impl Job for EmbedJob<'_> {
        type Output = ();

        fn run<B: Backend>(self, device: &B::Device) -> Result<()> {
            let config = SamConfig::vit(ViTConfig::new(8, 1, 1).with_image_size(64));
            let predictor = SamPredictor::<B>::new(config.init(device), config.preprocess);
            let image = Array3::from_shape_fn((12, 20, 1), |(row, column, _)| (row * column) as f32);
            self.0.embed(&predictor, &image).map(drop)
        }
    }

    #[test]
    fn what_an_earlier_run_embedded_is_read() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let options = CacheOptions { cache: Some(folder.path().to_path_buf()) };
        let weights =
            |sha256: &str| Weights { path: PathBuf::new(), sha256: sha256.to_owned(), precision: Precision::F32 };
        for (sha256, part) in [("a", "1 computed, 0 read"), ("a", "0 computed, 1 read"), ("b", "1 computed, 0 read")] {
            let disk = options.open(&weights(sha256))?.context("a folder was named")?;
            BackendChoice::default().run(EmbedJob(&disk))?;
            assert!(disk.to_string().contains(part), "{disk}, with the weights {sha256}");
        }
        assert!(CacheOptions { cache: None }.open(&weights("a"))?.is_none());
        Ok(())
    }
}
