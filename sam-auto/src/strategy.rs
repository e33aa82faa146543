//! Strategies: prompts of a volume from mask propagation or from generators, in one call.

use std::{sync::Arc, time::Instant};

use burn::tensor::backend::Backend;
use sam_assist::{AssistConfig, ConfigError};
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_prompt::progress::Observer;
use serde::{Deserialize, Serialize};

use crate::{
    AutoError, CleanUp, FittedGenerators, GeneratorConfig, GeneratorKind, MaskPropagationConfig, PromptExtraction,
    PromptParts, Segmentation, VolumeSegmenter, generators::outlines, propagate_masks,
};

/// Strategy: where the prompts of the slices come from that nobody annotated.
///
/// [`Strategy::learning`] selects the [`AssistConfig`] that fits the prompts:
///
/// | prompts | learning |
/// |---|---|
/// | [`Strategy::MaskPropagation`] | [`AssistConfig::mixed`] |
/// | [`Strategy::Generators`] with [`PromptParts::Points`] | [`AssistConfig::points`] |
/// | with [`PromptParts::Box`], [`PromptParts::Mask`] or [`PromptParts::BoxMask`] | [`AssistConfig::boxes`] |
/// | with [`PromptParts::PointsBoxMask`] | [`AssistConfig::composite`] |
///
/// A volume takes three steps. Each of them can be observed and stopped:
///
/// 1. [`learn_structure`](sam_assist::learn_structure) with [`Strategy::learning`], applied to the predictor;
/// 2. [`Strategy::fit`], then [`FittedStrategy::segment`];
/// 3. [`TrustConfig::rank`](crate::TrustConfig::rank), which reuses what step 2 has fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Strategy {
    /// Mask propagation: from the mask of the neighbouring slice, outwards from the annotated slices.
    #[serde(rename = "walk", alias = "mask_propagation")]
    MaskPropagation(MaskPropagationConfig),
    /// Generators that are fitted to the annotated slices, for each slice independently.
    #[serde(rename = "auto", alias = "generators")]
    Generators(GeneratorStrategy),
}

/// Configuration of a strategy of generators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GeneratorStrategy {
    /// Kind of the generators.
    pub kind: GeneratorKind,
    /// Which prompts are extracted from coarse maps.
    #[serde(rename = "hand_over", alias = "parts")]
    pub parts: PromptParts,
    /// Number of points on a component, if points are extracted.
    pub points: usize,
    /// Configuration of the generators and the gate.
    #[serde(rename = "numbers", alias = "config")]
    pub config: GeneratorConfig,
    /// Which components are kept.
    pub clean_up: CleanUp,
}

impl GeneratorStrategy {
    /// The default configuration of a kind, with the best prompts of this kind.
    pub fn new(kind: GeneratorKind) -> Self {
        Self { kind, parts: kind.parts(), points: 5, config: GeneratorConfig::default(), clean_up: CleanUp::default() }
    }

    /// Configuration of prompt extraction from coarse maps.
    pub fn extraction(&self) -> PromptExtraction {
        self.parts.extraction(self.points, &self.config.extraction)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        self.config.check()?;
        // Propagated points are not extracted from a map, and their number is configured elsewhere.
        let extracts = self.kind != GeneratorKind::Propagation && self.parts == PromptParts::Points;
        ConfigError::check(!extracts || self.points > 0, "points", || "0".to_owned(), "at least 1")?;
        Ok(self.clean_up.check()?)
    }
}

sam_assist::__setters!(GeneratorStrategy {
    with_parts => parts: PromptParts,
    with_points => points: usize,
    with_config => config: GeneratorConfig,
    with_clean_up => clean_up: CleanUp,
});

impl Default for Strategy {
    fn default() -> Self {
        Self::MaskPropagation(MaskPropagationConfig::default())
    }
}

impl Strategy {
    /// The learning preset for the prompts of this strategy.
    pub fn learning(&self, seed: u64, members: usize) -> AssistConfig {
        let preset = match self {
            Self::MaskPropagation(_) => AssistConfig::mixed(),
            Self::Generators(generators) => generators.parts.learning(),
        };
        preset.with_seed(seed).with_members(members)
    }

    /// Sets all random seeds.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        match self {
            Self::MaskPropagation(config) => Self::MaskPropagation(config.with_seed(seed)),
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
        }
    }

    /// Fits what the strategy needs to the annotated slices: nothing for mask propagation; otherwise a gate and generators, after all
    /// slices are embedded.
    ///
    /// # Errors
    /// As [`Strategy::check`] and [`GeneratorConfig::fit`].
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
}

impl<B: Backend> FittedStrategy<B> {
    /// The annotated slices.
    pub fn annotated(&self) -> &[AnnotatedSlice<B>] {
        &self.annotated
    }

    /// The fitted generators; `None` for mask propagation.
    pub fn generators(&self) -> Option<&FittedGenerators<B>> {
        match &self.fitted {
            Fitted::MaskPropagation(_) => None,
            Fitted::Generators(_, fitted) => Some(fitted),
        }
    }

    /// A segmenter with the fitted generators and a predictor. Returns `None` for mask propagation, which needs the masks of neighbours.
    ///
    /// # Errors
    /// As [`FittedGenerators::segmenter`].
    pub fn segmenter(&self, predictor: &SamPredictor<B>) -> Result<Option<VolumeSegmenter<B>>, AutoError> {
        match &self.fitted {
            Fitted::MaskPropagation(_) => Ok(None),
            Fitted::Generators(strategy, fitted) => fitted.segmenter(predictor, strategy).map(Some),
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
        let (outlines, begun) = (outlines(&self.annotated), Instant::now());
        let found = match &self.fitted {
            Fitted::MaskPropagation(config) => propagate_masks(predictor, source, &outlines, config, observer),
            Fitted::Generators(strategy, fitted) => {
                fitted.segmenter(predictor, strategy)?.segment(source, &outlines, observer)
            }
        }?;
        let shown = found.slices.iter().filter(|slice| slice.mask().is_some()).count();
        let (slices, stopped, seconds) = (found.slices.len(), found.stopped, begun.elapsed().as_secs_f64());
        tracing::info!(slices, shown, annotated = self.annotated.len(), stopped, seconds, "segmented");
        Ok(found)
    }
}
