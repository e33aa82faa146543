//! The most recently used embeddings, and those being computed.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;

use super::Pending;
use crate::ImageEmbedding;

/// A bounded least-recently-used cache.
pub(super) struct Recent<B: Backend> {
    capacity: usize,
    /// The most recently used is last.
    used: Vec<(usize, ImageEmbedding<B>)>,
    pending: BTreeMap<usize, Arc<Pending<B>>>,
}

impl<B: Backend> Recent<B> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, used: Vec::new(), pending: BTreeMap::new() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn get(&mut self, index: usize) -> Option<ImageEmbedding<B>> {
        let place = self.used.iter().position(|(known, _)| *known == index)?;
        let used = self.used.remove(place);
        let embedding = used.1.clone();
        self.used.push(used);
        Some(embedding)
    }

    pub(super) fn put(&mut self, index: usize, embedding: ImageEmbedding<B>) {
        if self.used.len() >= self.capacity {
            self.used.remove(0);
        }
        self.used.push((index, embedding));
        self.pending.remove(&index);
    }

    /// The embedding of this slice that another thread is computing.
    pub(super) fn pending(&self, index: usize) -> Option<Arc<Pending<B>>> {
        self.pending.get(&index).cloned()
    }

    /// Registers that this slice is being embedded.
    pub(super) fn begin(&mut self, index: usize) -> Arc<Pending<B>> {
        let pending = Arc::new(Pending::new());
        self.pending.insert(index, Arc::clone(&pending));
        pending
    }

    /// Unregisters it, if `ended` is the one registered.
    pub(super) fn end(&mut self, index: usize, ended: &Arc<Pending<B>>) {
        if self.pending.get(&index).is_some_and(|pending| Arc::ptr_eq(pending, ended)) {
            self.pending.remove(&index);
        }
    }
}
