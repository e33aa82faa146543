//! Fusion of what the outlines' shape, the image's edges, the pixel classifier and the model say of a slice.

mod config;
mod evidence;
mod expected;
mod image;
mod propagated;

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::{Array2, Axis};
use sam_core::{SamPredictor, SliceSource};
use sam_prompt::progress::{Observer, Progress};

pub(crate) use self::propagated::Propagated;
pub use self::{
    config::{FusionConfig, FusionWeights},
    expected::{ExpectedDice, LeftOutModel, LeftOutOutline, PartDice},
};
use self::{
    evidence::Evidence,
    propagated::{steps, wide_gaps},
};
use crate::{
    AutoError, KnownMasks, PixelClassifier, PriorSlice, Segmentation, SegmentedSlice, ShapeGenerator,
    pixel_classifier::Neighbourhood,
    segmentation::{annotated_alone, segment_open},
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

    /// Segments the slices that are neither annotated nor known: where the shape is expected, by all that is known of a slice. Masks are first
    /// propagated through wide gaps.
    pub(crate) fn segment<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        outlines: &BTreeMap<usize, Array2<bool>>,
        known: &KnownMasks,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        let mut gaps = wide_gaps(outlines, self.config.wide_gap);
        gaps.retain(|&(low, high)| (low + 1..high).any(|index| !known.contains(index)));
        let open = (0..source.count()).filter(|&index| !outlines.contains_key(&index) && !known.contains(index));
        let (before, open) = (steps(&gaps), open.count());
        let mut shifted = |progress: &Progress, by: usize| {
            let mut told = Progress::new(progress.stage, progress.done + by, before + open);
            told.slice = progress.slice;
            observer(&told)
        };
        let first = &mut |progress: &Progress| shifted(progress, 0);
        let Some(propagated) = self.propagate(&gaps, predictor, source, outlines, first)? else {
            let stopped = Segmentation::new(annotated_alone(source.count(), outlines)?);
            return Ok(Segmentation { stopped: true, ..stopped });
        };
        let mut agreement = BTreeMap::new();
        let found =
            segment_open(source.count(), outlines, known, &mut |progress| shifted(progress, before), |index| {
                let Some(prior) = self.prior(index, &propagated) else { return Ok(SegmentedSlice::Empty) };
                let (evidence, predicted_iou) = self.evidence(predictor, source, index, &prior)?;
                let mask = evidence.mask(&self.config.weights);
                agreement.insert(index, evidence.agreement(&self.config.weights, &mask));
                Ok(SegmentedSlice::predicted(mask, predicted_iou))
            })?;
        Ok(Segmentation { propagated: Arc::new(propagated), agreement, ..found })
    }

    /// The shape on a slice, corrected by propagated masks. `None` where it is not expected.
    fn prior(&self, index: usize, propagated: &Propagated) -> Option<PriorSlice> {
        Some(propagated.correct(index, self.prompts.prior().slice(index)?))
    }

    /// How much speaks for each pixel of a slice, as when it was segmented: positive inside. `None` where the shape is not expected.
    pub(crate) fn scores<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        propagated: &Propagated,
        index: usize,
    ) -> Result<Option<Array2<f32>>, AutoError> {
        let Some(prior) = self.prior(index, propagated) else { return Ok(None) };
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
