//! Slices embedded when they are first asked for, and once only: the image encoder is most of the work.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_auto::{SliceSource, SourceError};
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::ndarray::Array3;

use crate::{
    disk_cache::{self, DiskCache},
    progress,
    stack::Stack,
};

/// Embedded slices of one stack, each embedded once.
#[derive(Debug)]
pub struct Embeddings<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    stack: &'a Stack,
    disk: Option<&'a DiskCache>,
    cache: BTreeMap<usize, ImageEmbedding<B>>,
}

impl<'a, B: Backend> Embeddings<'a, B> {
    /// None in memory so far; on disk there may be some of earlier runs.
    pub fn new(predictor: &'a SamPredictor<B>, stack: &'a Stack, disk: Option<&'a DiskCache>) -> Self {
        Self { predictor, stack, disk, cache: BTreeMap::new() }
    }

    /// The model that embeds.
    pub fn predictor(&self) -> &'a SamPredictor<B> {
        self.predictor
    }

    /// The slices.
    pub fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// Puts the embeddings of all slices on the disk, if there is one to keep them: who needs them all has them sooner that way.
    ///
    /// # Errors
    /// If a slice cannot be embedded.
    pub fn keep_all(&self) -> Result<()> {
        let Some(disk) = self.disk else { return Ok(()) };
        let bar = progress::bar(format!("Embedding {}", self.stack.name), self.stack.len());
        let kept = disk.embed_all(self.predictor, self.stack, &mut || bar.inc(1));
        bar.finish_and_clear();
        kept.with_context(|| format!("embedding {}", self.stack.name))
    }

    /// One slice's embedding, from the cache or computed.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    pub fn get(&mut self, index: usize) -> Result<ImageEmbedding<B>> {
        if let Some(known) = self.cache.get(&index) {
            return Ok(known.clone());
        }
        let image = self.stack.image(index);
        let embedding = disk_cache::embed(self.disk, self.predictor, &image);
        let embedding = embedding.with_context(|| format!("slice {index} of {}", self.stack.name))?;
        self.cache.insert(index, embedding.clone());
        Ok(embedding)
    }
}

impl<B: Backend> SliceSource<B> for Embeddings<'_, B> {
    fn count(&self) -> usize {
        self.stack.len()
    }

    fn image(&mut self, index: usize) -> Result<Array3<f32>, SourceError> {
        Ok(self.stack.image(index))
    }

    fn embedding(&mut self, index: usize) -> Result<ImageEmbedding<B>, SourceError> {
        Ok(self.get(index)?)
    }
}
