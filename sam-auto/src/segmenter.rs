//! Applies generators and a predictor to a volume or image set.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{SamPredictor, SliceSource};
use sam_prompt::{ConfigError, progress::Observer};
use serde::{Deserialize, Serialize};

use crate::{
    AutoError, CleanUp, KnownMasks, PromptGenerator, Segmentation, SegmentedSlice, SliceContext, Vote, ensemble::unite,
    segmentation::segment_open,
};

/// How the masks of several generators are combined and cleaned up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SegmenterConfig {
    /// How the masks of several generators are combined.
    pub vote: Vote,
    /// Which components are kept.
    pub clean_up: CleanUp,
}

sam_assist::__setters!(SegmenterConfig {
    with_vote => vote: Vote,
    with_clean_up => clean_up: CleanUp,
});

/// Segments volumes without a person: each generator prompts each slice, the predictor predicts a mask, and the masks are combined.
///
/// The predictor may be the original SAM or one that learned from the annotated slices. The segmenter owns what it needs, so it can be
/// stored and shared between threads.
#[derive(Debug, Clone)]
pub struct VolumeSegmenter<B: Backend> {
    predictor: SamPredictor<B>,
    generators: Vec<Arc<dyn PromptGenerator<B>>>,
    config: SegmenterConfig,
}

impl<B: Backend> VolumeSegmenter<B> {
    /// A segmenter with one generator, or with an ensemble of several. A clone of a predictor shares its weights.
    ///
    /// # Errors
    /// [`AutoError::Config`] if there is no generator, or the clean-up keeps nothing.
    pub fn new(
        predictor: SamPredictor<B>,
        generators: Vec<Arc<dyn PromptGenerator<B>>>,
        config: SegmenterConfig,
    ) -> Result<Self, AutoError> {
        ConfigError::check(!generators.is_empty(), "number of generators", || "0".to_owned(), "at least 1")?;
        config.clean_up.check()?;
        Ok(Self { predictor, generators, config })
    }

    /// Segments one slice without clean-up. Also returns how far the generators agree, from 0 to 1, if there are several: see
    /// [`Segmentation::agreement`].
    ///
    /// # Errors
    /// If a generator or the predictor fails.
    pub fn segment_slice(&self, slice: &SliceContext<'_, B>) -> Result<(SegmentedSlice, Option<f32>), AutoError> {
        let size = slice.embedding.frame().original;
        let (mut masks, mut qualities) = (Vec::new(), Vec::new());
        for generator in &self.generators {
            masks.push(match generator.generate(slice)? {
                Some(prompts) => {
                    let prediction = self.predictor.predict(slice.embedding, &prompts)?;
                    qualities.push(prediction.iou[prediction.best()]);
                    prediction.mask()
                }
                None => Array2::from_elem(size, false),
            });
        }
        let (mask, agreement) = if let [_] = &masks[..] {
            (masks.remove(0), None)
        } else {
            let (mask, agreement) = unite(&masks, size, self.config.vote);
            (mask, Some(agreement))
        };
        let predicted_iou = qualities.iter().sum::<f32>() / qualities.len().max(1) as f32;
        let predicted_iou = (!qualities.is_empty()).then_some(predicted_iou);
        Ok((SegmentedSlice::predicted(mask, predicted_iou), agreement))
    }

    /// Segments every slice that is not annotated. The observer is called after each slice. If it stops the call, the result is partial:
    /// see [`Segmentation::stopped`].
    ///
    /// # Shapes
    /// - annotated: `[rows, columns]` of the slice, by its index
    ///
    /// # Errors
    /// [`CoreError::NoSuchSlice`](sam_core::CoreError::NoSuchSlice); [`AutoError::Slice`] if a slice cannot be read or embedded; as
    /// [`VolumeSegmenter::segment_slice`].
    pub fn segment(
        &self,
        source: &dyn SliceSource<B>,
        annotated: &BTreeMap<usize, Array2<bool>>,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        let mut agreements = BTreeMap::new();
        let mut whole = segment_open(source.count(), annotated, &KnownMasks::none(), observer, |index| {
            let (image, embedding) = (source.image(index)?, source.embedding(index)?);
            let (slice, agreement) = self.segment_slice(&SliceContext::new(index, image.view(), &embedding))?;
            agreements.extend(agreement.map(|agreement| (index, agreement)));
            Ok(slice)
        })?;
        whole.agreement = agreements;
        if !(whole.stopped && matches!(self.config.clean_up, CleanUp::Volume(_))) {
            self.config.clean_up.apply(&mut whole.slices);
        }
        Ok(whole)
    }
}
