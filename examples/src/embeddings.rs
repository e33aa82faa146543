//! Slices embedded when they are first asked for, and once only: the image encoder is most of the work.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_core::{ImageEmbedding, SamPredictor};

use crate::stack::Stack;

/// Embedded slices of one stack, each embedded once.
#[derive(Debug)]
pub struct Embeddings<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    stack: &'a Stack,
    cache: BTreeMap<usize, ImageEmbedding<B>>,
}

impl<'a, B: Backend> Embeddings<'a, B> {
    /// None so far.
    pub fn new(predictor: &'a SamPredictor<B>, stack: &'a Stack) -> Self {
        Self { predictor, stack, cache: BTreeMap::new() }
    }

    /// The model that embeds.
    pub fn predictor(&self) -> &'a SamPredictor<B> {
        self.predictor
    }

    /// The slices.
    pub fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// One slice's embedding, from the cache or computed.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    pub fn get(&mut self, index: usize) -> Result<ImageEmbedding<B>> {
        if let Some(known) = self.cache.get(&index) {
            return Ok(known.clone());
        }
        let embedding = self.stack.embed(self.predictor, index)?;
        self.cache.insert(index, embedding.clone());
        Ok(embedding)
    }
}
