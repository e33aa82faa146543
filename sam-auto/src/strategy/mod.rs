//! Strategies: how the slices of a volume are segmented that nobody annotated, in one call.

mod generators;
mod kind;
mod scorer;

use std::{sync::Arc, time::Instant};

use burn::tensor::backend::Backend;
use sam_assist::AssistConfig;
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_prompt::progress::Observer;
use serde::{Deserialize, Serialize};

pub use self::{generators::GeneratorStrategy, kind::StrategyKind, scorer::SliceScorer};
use crate::{
    AutoError, FittedGenerators, FusionConfig, KnownMasks, MaskPropagationConfig, Segmentation, SegmentedSlice,
    ShapeConfig, ShapePrior, VolumeSegmenter, fusion::Fusion, generators::outlines, propagate_masks,
    segmentation::segment_open,
};

/// Strategy: how the slices are segmented that nobody annotated.
///
/// [`Strategy::learning`] selects the [`AssistConfig`] that fits the prompts:
///
/// | prompts | learning |
/// |---|---|
/// | [`Strategy::Fusion`], [`Strategy::MaskPropagation`]; [`Strategy::Shape`], whose model serves clicks alone | [`AssistConfig::mixed`] |
/// | [`Strategy::Generators`] with [`PromptParts::Points`] | [`AssistConfig::points`] |
/// | with [`PromptParts::Box`], [`PromptParts::Mask`] or [`PromptParts::BoxMask`] | [`AssistConfig::boxes`] |
/// | with [`PromptParts::PointsBoxMask`] | [`AssistConfig::composite`] |
///
/// A volume takes three steps. Each of them can be observed and stopped:
///
/// 1. [`learn_structure`](sam_assist::learn_structure) with [`Strategy::learning`], applied to the predictor;
/// 2. [`Strategy::fit`], then [`FittedStrategy::segment`];
/// 3. [`TrustConfig::rank`](crate::TrustConfig::rank), which reuses what step 2 has fitted.
///
/// [`PromptParts::Points`]: crate::PromptParts::Points
/// [`PromptParts::Box`]: crate::PromptParts::Box
/// [`PromptParts::Mask`]: crate::PromptParts::Mask
/// [`PromptParts::BoxMask`]: crate::PromptParts::BoxMask
/// [`PromptParts::PointsBoxMask`]: crate::PromptParts::PointsBoxMask
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Strategy {
    /// Mask propagation: from the mask of the neighbouring slice, outwards from the annotated slices.
    #[serde(rename = "walk", alias = "mask_propagation")]
    MaskPropagation(MaskPropagationConfig),
    /// Generators that are fitted to the annotated slices, for each slice independently.
    #[serde(rename = "auto", alias = "generators")]
    Generators(GeneratorStrategy),
    /// Fusion: the shape of the outlines, the image's edges near it, a pixel classifier, and the model prompted with the shape.
    #[serde(rename = "fusion")]
    Fusion(FusionConfig),
    /// The shape of the outlines alone, without the model.
    #[serde(rename = "shape")]
    Shape(ShapeConfig),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Fusion(FusionConfig::default())
    }
}

impl Strategy {
    /// The learning preset for the prompts of this strategy.
    pub fn learning(&self, seed: u64, members: usize) -> AssistConfig {
        let preset = match self {
            Self::MaskPropagation(_) | Self::Fusion(_) | Self::Shape(_) => AssistConfig::mixed(),
            Self::Generators(generators) => generators.parts.learning(),
        };
        preset.with_seed(seed).with_members(members)
    }

    /// Sets all random seeds.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        match self {
            Self::MaskPropagation(config) => Self::MaskPropagation(config.with_seed(seed)),
            Self::Fusion(config) => Self::Fusion(config.with_seed(seed)),
            Self::Shape(config) => Self::Shape(config),
            Self::Generators(generators) => {
                let config = generators.config.clone().with_seed(seed);
                Self::Generators(generators.with_config(config))
            }
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        match self {
            Self::MaskPropagation(config) => Ok(config.check()?),
            Self::Generators(generators) => generators.check(),
            Self::Fusion(config) => Ok(config.check()?),
            Self::Shape(config) => Ok(config.check()?),
        }
    }

    /// Fits what the strategy needs to the annotated slices: nothing for mask propagation; the shape between outlines, for a fusion
    /// with a pixel classifier; or a
    /// gate and generators, after all slices are embedded.
    ///
    /// # Errors
    /// As [`Strategy::check`], [`ShapeConfig::fit`] and [`GeneratorConfig::fit`](crate::GeneratorConfig::fit).
    pub fn fit<B: Backend>(
        &self,
        annotated: Vec<AnnotatedSlice<B>>,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<FittedStrategy<B>, AutoError> {
        self.check()?;
        let annotated: Arc<[_]> = annotated.into();
        let fitted = match self {
            Self::MaskPropagation(config) => Fitted::MaskPropagation(config.clone()),
            Self::Generators(strategy) => {
                if source.embed_all(observer)?.is_break() {
                    return Err(AutoError::Stopped);
                }
                let begun = Instant::now();
                let generators = strategy.config.fit(strategy.kind, annotated.to_vec(), source, observer)?;
                let seconds = begun.elapsed().as_secs_f64();
                tracing::info!(kind = ?strategy.kind, annotated = annotated.len(), seconds, "fitted the generators");
                Fitted::Generators(strategy.clone(), generators)
            }
            Self::Fusion(config) if annotated.iter().filter(|slice| !slice.is_empty()).count() == 1 => {
                Fitted::MaskPropagation(config.propagation.clone())
            }
            Self::Fusion(config) => Fitted::Fusion(Fusion::new(config.clone(), source, &outlines(&annotated))?),
            Self::Shape(config) => Fitted::Shape(Arc::new(config.fit(&outlines(&annotated), source.pixel_aspect())?)),
        };
        Ok(FittedStrategy { annotated, fitted })
    }

    /// Fits and segments in one call: [`Strategy::fit`], then [`FittedStrategy::segment`].
    ///
    /// # Errors
    /// As [`Strategy::fit`] and [`FittedStrategy::segment`].
    pub fn segment<B: Backend>(
        &self,
        annotated: Vec<AnnotatedSlice<B>>,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        self.fit(annotated, source, observer)?.segment(predictor, source, observer)
    }
}

/// A strategy with everything that was fitted to annotated slices. A clone shares it.
#[derive(Debug, Clone)]
pub struct FittedStrategy<B: Backend> {
    annotated: Arc<[AnnotatedSlice<B>]>,
    fitted: Fitted<B>,
}

#[derive(Debug, Clone)]
enum Fitted<B: Backend> {
    MaskPropagation(MaskPropagationConfig),
    Generators(GeneratorStrategy, FittedGenerators<B>),
    Fusion(Fusion),
    Shape(Arc<ShapePrior>),
}

impl<B: Backend> FittedStrategy<B> {
    /// The annotated slices.
    pub fn annotated(&self) -> &[AnnotatedSlice<B>] {
        &self.annotated
    }

    /// The kind of the strategy. A fusion of one outline is mask propagation.
    pub fn kind(&self) -> StrategyKind {
        match &self.fitted {
            Fitted::MaskPropagation(_) => StrategyKind::MaskPropagation,
            Fitted::Generators(strategy, _) => StrategyKind::Generators(strategy.kind),
            Fitted::Fusion(_) => StrategyKind::Fusion,
            Fitted::Shape(_) => StrategyKind::Shape,
        }
    }

    /// The fitted generators; `None` for mask propagation.
    pub fn generators(&self) -> Option<&FittedGenerators<B>> {
        match &self.fitted {
            Fitted::MaskPropagation(_) | Fitted::Fusion(_) | Fitted::Shape(_) => None,
            Fitted::Generators(_, fitted) => Some(fitted),
        }
    }

    /// A segmenter with the fitted generators and a predictor. Returns `None` for mask propagation, which needs the masks of neighbours.
    ///
    /// # Errors
    /// As [`FittedGenerators::segmenter`].
    pub fn segmenter(&self, predictor: &SamPredictor<B>) -> Result<Option<VolumeSegmenter<B>>, AutoError> {
        match &self.fitted {
            Fitted::MaskPropagation(_) | Fitted::Fusion(_) | Fitted::Shape(_) => Ok(None),
            Fitted::Generators(strategy, fitted) => fitted.volume_segmenter(predictor, strategy).map(Some),
        }
    }

    /// Segments the slices that are not annotated. If the observer stops the call, the result is partial: see [`Segmentation::stopped`].
    ///
    /// # Errors
    /// If a slice cannot be read, embedded or segmented: as [`propagate_masks`] and [`VolumeSegmenter::segment`].
    pub fn segment(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        self.segment_others(predictor, source, &KnownMasks::none(), observer)
    }

    /// Segments the slices that are neither annotated nor known. A fusion and a shape skip the known slices; other strategies need the
    /// whole volume, and give the known slices their masks afterwards.
    ///
    /// # Errors
    /// As [`FittedStrategy::segment`].
    pub fn segment_others(
        &self,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        known: &KnownMasks,
        observer: &mut Observer<'_>,
    ) -> Result<Segmentation, AutoError> {
        let (outlines, begun) = (outlines(&self.annotated), Instant::now());
        let mut found = match &self.fitted {
            Fitted::MaskPropagation(config) => propagate_masks(predictor, source, &outlines, config, observer),
            Fitted::Generators(strategy, fitted) => {
                fitted.volume_segmenter(predictor, strategy)?.segment(source, &outlines, observer)
            }
            Fitted::Fusion(fusion) => fusion.segment(predictor, source, &outlines, known, observer),
            Fitted::Shape(prior) => segment_open(source.count(), &outlines, known, observer, |index| {
                let expected = prior.slice(index).map(|slice| SegmentedSlice::predicted(slice.mask(), None));
                Ok(expected.unwrap_or(SegmentedSlice::Empty))
            }),
        }?;
        known.put_into(&mut found);
        let shown = found.slices.iter().filter(|slice| slice.mask().is_some()).count();
        let (slices, stopped, seconds) = (found.slices.len(), found.stopped, begun.elapsed().as_secs_f64());
        tracing::info!(slices, shown, annotated = self.annotated.len(), stopped, seconds, "segmented");
        Ok(found)
    }
}
