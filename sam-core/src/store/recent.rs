//! The embeddings that were used last, and those that are being made.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;

use super::Pending;
use crate::ImageEmbedding;

/// A bounded memory that forgets what was used longest ago.
pub(super) struct Recent<B: Backend> {
    capacity: usize,
    /// The very last at the end.
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

    /// The embedding of this slice that another thread makes.
    pub(super) fn pending(&self, index: usize) -> Option<Arc<Pending<B>>> {
        self.pending.get(&index).cloned()
    }

    /// Says that this slice is being embedded.
    pub(super) fn begin(&mut self, index: usize) -> Arc<Pending<B>> {
        let pending = Arc::new(Pending::new());
        self.pending.insert(index, Arc::clone(&pending));
        pending
    }

    /// Says that it no longer is, if it is this one.
    pub(super) fn end(&mut self, index: usize, ended: &Arc<Pending<B>>) {
        if self.pending.get(&index).is_some_and(|pending| Arc::ptr_eq(pending, ended)) {
            self.pending.remove(&index);
        }
    }
}
