//! The model behind the page: slices embedded once, clicks answered at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use ndarray::{Array2, Axis};
use sam_assist::PromptCard;
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::{Prompts, ndarray};

use crate::{
    backend::{Job, in_pool},
    disk_cache::{self, DiskCache},
    weights::Weights,
};

/// Embedded slices in memory at most; LiteMedSAM's take 4 MiB each.
const MOST_EMBEDDED: usize = 64;

/// A model on the slices of one scan, whatever it computes on. It may be asked from several threads.
pub trait Segmenter: Send + Sync {
    /// Whether a slice's embedding is at hand.
    fn is_embedded(&self, slice: usize) -> bool;

    /// Has a slice's embedding at hand: slow.
    ///
    /// # Errors
    /// If the slice cannot be embedded.
    fn embed(&self, slice: usize) -> Result<()>;

    /// Segments one structure, counted from 0, as prompts on a slice say: fast where the slice is embedded.
    ///
    /// # Errors
    /// If the slice cannot be embedded, or the prompts do not lie on it.
    fn segment(&self, slice: usize, structure: usize, prompts: &Prompts) -> Result<Found>;
}

/// A segmented slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Where the structure is: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// The model's own guess of its IoU.
    pub predicted_iou: f32,
}

/// Loads the model for a scan.
#[derive(Debug)]
pub struct ModelJob<'a> {
    /// The slices as the network sees them, 8-bit levels.
    pub images: Arc<Vec<Array2<u8>>>,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// What answers for each structure; where there is no card, the original.
    pub cards: &'a [Option<PromptCard>],
    /// Embeddings of earlier runs.
    pub disk: Option<DiskCache>,
}

impl Job for ModelJob<'_> {
    type Output = Arc<dyn Segmenter>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Arc<dyn Segmenter>> {
        let original: SamPredictor<B> = self.weights.predictor(device)?;
        let learned = |card: &Option<PromptCard>| match card {
            Some(card) => card.apply(&original, &self.weights.sha256),
            None => Ok(original.clone()),
        };
        let structures = self.cards.iter().map(learned).collect::<Result<_, _>>()?;
        Ok(Arc::new(ScanModel {
            images: self.images,
            encoder: Mutex::new(original),
            structures,
            disk: self.disk,
            recent: Mutex::default(),
        }))
    }
}

/// A model with the slices of a scan.
#[derive(Debug)]
struct ScanModel<B: Backend> {
    images: Arc<Vec<Array2<u8>>>,
    /// Embeds one slice at a time.
    encoder: Mutex<SamPredictor<B>>,
    /// What answers for each structure.
    structures: Vec<SamPredictor<B>>,
    disk: Option<DiskCache>,
    recent: Mutex<Recent<B>>,
}

/// The embedded slices that were used last, the very last at the end.
#[derive(Debug)]
struct Recent<B: Backend>(Vec<(usize, ImageEmbedding<B>)>);

impl<B: Backend> Default for Recent<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: Backend> Recent<B> {
    fn get(&mut self, slice: usize) -> Option<ImageEmbedding<B>> {
        let place = self.0.iter().position(|(known, _)| *known == slice)?;
        let used = self.0.remove(place);
        let embedding = used.1.clone();
        self.0.push(used);
        Some(embedding)
    }

    fn put(&mut self, slice: usize, embedding: ImageEmbedding<B>) {
        if self.0.len() >= MOST_EMBEDDED {
            self.0.remove(0);
        }
        self.0.push((slice, embedding));
    }
}

/// What was locked; work that failed within has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Backend> ScanModel<B> {
    /// A slice's embedding, at hand or computed.
    ///
    /// Not from within rayon's pool, so that answers to clicks come in between the operations of an embedding that is made in advance.
    fn embedding(&self, slice: usize) -> Result<ImageEmbedding<B>> {
        if let Some(known) = lock(&self.recent).get(slice) {
            return Ok(known);
        }
        let encoder = lock(&self.encoder);
        // Perhaps it was made while this waited for its turn.
        if let Some(known) = lock(&self.recent).get(slice) {
            return Ok(known);
        }
        let image = self.images[slice].mapv(f32::from).insert_axis(Axis(2));
        let embedding = disk_cache::embed(self.disk.as_ref(), &encoder, &image);
        let embedding = embedding.with_context(|| format!("embedding slice {slice}"))?;
        lock(&self.recent).put(slice, embedding.clone());
        Ok(embedding)
    }
}

impl<B: Backend> Segmenter for ScanModel<B> {
    fn is_embedded(&self, slice: usize) -> bool {
        lock(&self.recent).get(slice).is_some()
    }

    fn embed(&self, slice: usize) -> Result<()> {
        self.embedding(slice).map(drop)
    }

    fn segment(&self, slice: usize, structure: usize, prompts: &Prompts) -> Result<Found> {
        let embedding = self.embedding(slice)?;
        let predictor = &self.structures[structure];
        let found = in_pool(|| predictor.predict(&embedding, prompts)).with_context(|| format!("slice {slice}"))?;
        Ok(Found { mask: found.mask(), predicted_iou: found.iou[found.best()] })
    }
}
