//! How long the stages of a run take.

use std::time::Instant;

use burn::tensor::backend::Backend;
use sam_core::EmbeddingStore;
use serde::Serialize;

/// How long each stage of a structure took, in seconds. Embedding is counted apart, whichever stage needed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageSeconds {
    /// Embeddings computed, and read from disk.
    pub embed: f64,
    /// Learning.
    pub learn: f64,
    /// The choice of masks that are kept of the round before, with the learning that it needs.
    pub keep: f64,
    /// Preparation of the strategy: generators, the shape, the pixel classifier.
    pub fit: f64,
    /// Masks of the other slices.
    pub segment: f64,
    /// Trust in each slice.
    pub rank: f64,
    /// The test with left-out outlines, with the learning that it needs. 0 if [`StageSeconds::keep`] has made it.
    pub test: f64,
}

/// Measures the stages of a structure, one after another.
pub(crate) struct Stopwatch<'a, B: Backend> {
    store: &'a EmbeddingStore<B>,
    seconds: StageSeconds,
    begun: Instant,
    /// Seconds of embedding before the stage.
    embedded: f64,
}

impl<'a, B: Backend> Stopwatch<'a, B> {
    /// Starts the first stage.
    pub(crate) fn start(store: &'a EmbeddingStore<B>) -> Self {
        Self::resume(store, StageSeconds::default())
    }

    /// Continues to count after a pause.
    pub(crate) fn resume(store: &'a EmbeddingStore<B>, seconds: StageSeconds) -> Self {
        Self { store, seconds, begun: Instant::now(), embedded: store.counts().seconds }
    }

    /// Ends a stage, and starts the next one.
    pub(crate) fn end(&mut self, stage: impl FnOnce(&mut StageSeconds) -> &mut f64) {
        let Self { seconds, begun, embedded, .. } = *self;
        let next = Self::resume(self.store, seconds);
        let embedding = next.embedded - embedded;
        *self = next;
        self.seconds.embed += embedding;
        // Several threads that embed at once take more seconds than the stage.
        *stage(&mut self.seconds) += (self.begun.duration_since(begun).as_secs_f64() - embedding).max(0.0);
    }

    /// What was counted.
    pub(crate) fn seconds(&self) -> StageSeconds {
        self.seconds
    }
}
