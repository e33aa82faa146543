//! Builder of annotators.

use std::sync::{Arc, Mutex};

use burn::tensor::backend::Backend;
use sam_core::{EmbeddingCache, SamPredictor};
use sam_data::{Scan, SliceAxis, Window};

use super::Annotator;
use crate::{AnnotateConfig, AnnotateError, cards::CardFiles};

/// Builder of an [`Annotator`]: see [`Annotator::builder`].
#[derive(Debug)]
#[must_use]
pub struct AnnotatorBuilder<B: Backend> {
    predictor: SamPredictor<B>,
    scan: Arc<Scan>,
    cache: Option<EmbeddingCache>,
    axis: SliceAxis,
    window: Window,
    config: AnnotateConfig,
    cards: Option<CardFiles>,
}

impl<B: Backend> AnnotatorBuilder<B> {
    pub(super) fn new(predictor: SamPredictor<B>, scan: Arc<Scan>) -> Self {
        Self {
            predictor,
            scan,
            cache: None,
            axis: SliceAxis::Auto,
            window: Window::Auto,
            config: AnnotateConfig::default(),
            cards: None,
        }
    }

    /// Sets how structures are learned, segmented and ranked.
    pub fn config(self, config: AnnotateConfig) -> Self {
        Self { config, ..self }
    }

    /// Sets the axis along which the scan is sliced. The default is the axis along which slices are outlined.
    pub fn axis(self, axis: SliceAxis) -> Self {
        Self { axis, ..self }
    }

    /// Sets the intensity window. By default it is chosen from the scan's intensities.
    pub fn window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// Sets a folder that keeps embeddings for later runs. Annotators and processes can share it.
    pub fn cache(self, cache: EmbeddingCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Writes the card of each structure as soon as it is learned: to the file that was given, or, if there are several structures, to one
    /// file for each label value (`NAME-1.safetensors`).
    pub fn save_cards(self, files: CardFiles) -> Self {
        Self { cards: Some(files), ..self }
    }

    /// Checks everything and builds the annotator. Nothing is embedded yet.
    ///
    /// # Errors
    /// [`AnnotateError::UnknownWeights`]; [`AnnotateError::Config`]; [`AnnotateError::Window`].
    pub fn build(self) -> Result<Annotator<B>, AnnotateError> {
        let Self { predictor, scan, cache, axis, window, config, cards } = self;
        config.check()?;
        let weights_sha256 = predictor.weights_sha256().ok_or(AnnotateError::UnknownWeights)?.to_owned();
        let model = predictor.config().ok_or(AnnotateError::UnknownWeights)?.clone();
        let embedded = Mutex::new(None);
        let annotator =
            Annotator { predictor, weights_sha256, model, scan, cache, axis, window, config, cards, embedded };
        annotator.view(annotator.axis, &annotator.window)?;
        Ok(annotator)
    }
}
