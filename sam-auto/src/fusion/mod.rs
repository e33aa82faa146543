//! Fusion of what the outlines' shape, the image's edges, the pixel classifier and the model say of a slice.

mod config;
mod evidence;
mod expected;
mod image;

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::{Array2, Axis};
use sam_core::{SamPredictor, SliceSource};
use sam_prompt::progress::Observer;

use self::evidence::Evidence;
pub use self::{
    config::{FusionConfig, FusionWeights},
    expected::{ExpectedDice, LeftOutModel, LeftOutOutline, PartDice},
};
use crate::{
    AutoError, PixelClassifier, PriorSlice, Segmentation, SegmentedSlice, ShapeGenerator,
    pixel_classifier::Neighbourhood, segmentation::segment_open,
};

/// A fusion that was fitted to outlines. A clone shares it.
#[derive(Debug, Clone)]
pub(crate) struct Fusion {
    config: FusionConfig,
    prompts: ShapeGenerator,
    classifier: Arc<PixelClassifier>,
}

impl Fusion {
    pub(crate) fn new<B: Backend>(
        config: FusionConfig,
        source: &dyn SliceSource<B>,
        outlines: &BTreeMap<usize, Array2<bool>>,
    ) -> Result<Self, AutoError> {
        let prior = config.shape.fit(outlines, source.pixel_aspect())?;
        let classifier = Arc::new(config.classifier.fit(source, outlines, prior.usual_width(source.count()))?);
        let prompts = ShapeGenerator::new(prior, config.extraction.clone())?;
        Ok(Self { config, prompts, classifier })
    }

    /// Segments the slices that are not annotated: where the shape is expected, by all that is known of a slice.
    pub(crate) fn segment<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        outlines: &BTreeMap<usize, Array2<bool>>,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        segment_open(source.count(), outlines, observer, |index| {
            let Some(prior) = self.prompts.prior().slice(index) else { return Ok(SegmentedSlice::Empty) };
            let (evidence, predicted_iou) = self.evidence(predictor, source, index, &prior)?;
            Ok(SegmentedSlice::predicted(evidence.mask(&self.config.weights), predicted_iou))
        })
    }

    /// How much speaks for each pixel of a slice, as when it was segmented: positive inside. `None` where the shape is not expected.
    pub(crate) fn scores<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        index: usize,
    ) -> Result<Option<Array2<f32>>, AutoError> {
        let Some(prior) = self.prompts.prior().slice(index) else { return Ok(None) };
        let (evidence, _) = self.evidence(predictor, source, index, &prior)?;
        Ok(Some(evidence.scores(&self.config.weights)))
    }

    /// What is known of a slice, and the model's own estimate of its mask.
    fn evidence<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        index: usize,
        prior: &PriorSlice,
    ) -> Result<(Evidence, Option<f32>), AutoError> {
        let embedding = source.embedding(index)?;
        // Without prompts, all components are too small to be prompted for.
        let prompts = self.prompts.prompts(index, prior, &embedding)?;
        let prediction = prompts.map(|prompts| predictor.predict(&embedding, &prompts)).transpose()?;
        let best =
            prediction.as_ref().map(|found| (found.logits.index_axis(Axis(0), found.best()), found.iou[found.best()]));
        let around = Neighbourhood::read(source, index)?;
        let walked = prior.is_between.then(|| self.config.walker.refine(around.levels.view(), prior, around.aspect));
        let classified = self.classifier.classify_read(&around, prior)?;
        let evidence =
            Evidence::new(prior, walked.as_ref(), classified, best.as_ref().map(|(logits, _)| logits.view()));
        Ok((evidence, best.map(|(_, iou)| iou)))
    }
}
