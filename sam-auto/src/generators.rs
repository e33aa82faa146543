//! Generators by name, fitted once to annotated slices.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_prompt::{
    ConfigError, PixelAspect,
    progress::{Observer, Progress},
};
use sapnet::{SapNetConfig, SupportConfig};
use serde::{Deserialize, Serialize};

use crate::{
    AutoError, ClassifierConfig, CoarseConfig, CoarseGenerator, CoarseMethod, Gate, GateConfig, Gated,
    GeneratorStrategy, PointGenerator, PointPropagationConfig, PromptExtraction, PromptGenerator, PromptParts,
    SegmenterConfig, VolumeSegmenter, Vote, WithinOutlines,
};

/// Generators that are stored and shared between threads.
type SharedGenerators<B> = Vec<Arc<dyn PromptGenerator<B>>>;

/// Offset of the second SAP-Net's seed. It is large, so that ensembles with consecutive seeds do not share a network.
const SECOND_NETWORK: u64 = 1 << 32;

/// Kind of prompt generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GeneratorKind {
    /// Point propagation: the paper's Algorithm 1.
    Propagation,
    /// A linear classifier of the frozen features: the paper's "prompt classification".
    Classification,
    /// PANet: prototypes of the frozen features.
    Panet,
    /// SAP-Net: the spatial-aware prototypical network.
    Sapnet,
    /// The majority vote of two SAP-Nets and a linear classifier.
    Ensemble,
}

impl GeneratorKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Propagation, Self::Classification, Self::Panet, Self::Sapnet, Self::Ensemble];

    /// The best prompts of this kind: boxes, except for propagation, which has points only.
    pub const fn parts(self) -> PromptParts {
        match self {
            Self::Propagation => PromptParts::Points,
            Self::Classification | Self::Panet | Self::Sapnet | Self::Ensemble => PromptParts::Box,
        }
    }
}

impl fmt::Display for GeneratorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Propagation => "propagation",
            Self::Classification => "classification",
            Self::Panet => "PANet",
            Self::Sapnet => "SAP-Net",
            Self::Ensemble => "ensemble",
        })
    }
}

impl FromStr for GeneratorKind {
    type Err = ConfigError;

    /// Reads `propagation`, `classification`, `panet`, `sapnet` (or `sap-net`) and `ensemble`, in any case.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.to_lowercase().as_str() {
            "propagation" => Ok(Self::Propagation),
            "classification" => Ok(Self::Classification),
            "panet" => Ok(Self::Panet),
            "sapnet" | "sap-net" => Ok(Self::Sapnet),
            "ensemble" => Ok(Self::Ensemble),
            _ => {
                let expected = "propagation, classification, panet, sapnet or ensemble";
                Err(ConfigError::new("generator", text, expected))
            }
        }
    }
}

/// Configuration of the generators of every kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GeneratorConfig {
    /// Point propagation.
    pub propagation: PointPropagationConfig,
    /// The linear classifier.
    pub classifier: ClassifierConfig,
    /// PANet.
    pub panet: SupportConfig,
    /// SAP-Net.
    pub sapnet: SapNetConfig,
    /// How prompts are extracted from a coarse map.
    #[serde(rename = "hand_over", alias = "extraction")]
    pub extraction: PromptExtraction,
    /// The gate.
    pub gate: GateConfig,
}

sam_assist::__setters!(GeneratorConfig {
    with_propagation => propagation: PointPropagationConfig,
    with_classifier => classifier: ClassifierConfig,
    with_panet => panet: SupportConfig,
    with_sapnet => sapnet: SapNetConfig,
    with_extraction => extraction: PromptExtraction,
    with_gate => gate: GateConfig,
});

impl GeneratorConfig {
    /// Sets all random seeds.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        (self.propagation.seed, self.sapnet.seed, self.extraction.seed) = (seed, seed, seed);
        self
    }

    /// Checks every value: of the gate, the extraction and the generators of every kind.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first value that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        self.gate.check()?;
        self.extraction.check()?;
        self.propagation.check()?;
        self.classifier.check()?;
        self.panet.check()?;
        Ok(self.sapnet.check()?)
    }

    /// Fits a gate and the generators of a kind to annotated slices. SAP-Net takes some seconds. The observer is called with
    /// [`Stage::Fit`](sam_prompt::progress::Stage::Fit) after each iteration; the iterations of several methods are counted together. For
    /// point propagation it is called after each slice that points reach.
    ///
    /// # Errors
    /// As [`GeneratorConfig::check`]; [`AutoError::NothingAnnotated`]; [`AutoError::Slice`] if a slice cannot be read;
    /// [`AutoError::Coarse`] if a generator cannot be fitted; [`AutoError::Stopped`] if the observer stops it.
    pub fn fit<B: Backend>(
        &self,
        kind: GeneratorKind,
        annotated: Vec<AnnotatedSlice<B>>,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<FittedGenerators<B>, AutoError> {
        self.check()?;
        let gate = Arc::new(self.gate.fit(&annotated)?);
        let members = match self.methods(kind) {
            None => {
                let runs = self.propagation.fit(&annotated, source, observer)?;
                Members::Points(runs.into_iter().map(Arc::new).collect())
            }
            Some(methods) => Members::Coarse(self.fit_methods(methods, &annotated, observer)?),
        };
        Ok(FittedGenerators { kind, config: self.clone(), annotated: annotated.into(), gate, members })
    }

    /// The methods of a kind; `None` for point propagation, which has no coarse map.
    fn methods(&self, kind: GeneratorKind) -> Option<Vec<CoarseMethod>> {
        let classifier = || CoarseMethod::Classifier(self.classifier.clone());
        let sapnet =
            |offset: u64| CoarseMethod::Sapnet(self.sapnet.clone().with_seed(self.sapnet.seed.wrapping_add(offset)));
        match kind {
            GeneratorKind::Propagation => None,
            GeneratorKind::Classification => Some(vec![classifier()]),
            GeneratorKind::Panet => Some(vec![CoarseMethod::Panet(self.panet)]),
            GeneratorKind::Sapnet => Some(vec![sapnet(0)]),
            GeneratorKind::Ensemble => Some(vec![sapnet(0), sapnet(SECOND_NETWORK), classifier()]),
        }
    }

    fn fit_methods<B: Backend>(
        &self,
        methods: Vec<CoarseMethod>,
        annotated: &[AnnotatedSlice<B>],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<CoarseGenerator<B>>, AutoError> {
        let total: usize = methods.iter().map(CoarseMethod::iterations).sum();
        let (mut before, mut is_stopped) = (0, false);
        let mut members = Vec::with_capacity(methods.len());
        for method in methods {
            let own = method.iterations();
            let config = CoarseConfig { method, extraction: self.extraction.clone() };
            members.push(config.fit(annotated, &mut |own: &Progress| {
                let progress = Progress::new(own.stage, before + own.done, total);
                let flow = observer(&own.loss.map_or(progress, |loss| progress.with_loss(loss)));
                is_stopped = flow.is_break();
                flow
            })?);
            before += own;
            // A method that was stopped in its last iteration is complete, but the later methods are not.
            if is_stopped && before < total {
                return Err(AutoError::Stopped);
            }
        }
        Ok(members)
    }
}

/// A gate and the generators of one kind, fitted to annotated slices. A clone shares them.
#[derive(Debug, Clone)]
pub struct FittedGenerators<B: Backend> {
    kind: GeneratorKind,
    config: GeneratorConfig,
    annotated: Arc<[AnnotatedSlice<B>]>,
    gate: Arc<Gate>,
    members: Members<B>,
}

/// One generator, or the members of an ensemble.
#[derive(Debug, Clone)]
enum Members<B: Backend> {
    Coarse(Vec<CoarseGenerator<B>>),
    Points(Vec<Arc<PointGenerator>>),
}

impl<B: Backend> FittedGenerators<B> {
    /// The kind of the generators.
    pub fn kind(&self) -> GeneratorKind {
        self.kind
    }

    /// The configuration that they were fitted with.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// The slices that they were fitted to.
    pub fn annotated(&self) -> &[AnnotatedSlice<B>] {
        &self.annotated
    }

    /// The outlines of those slices, by index.
    pub fn outlines(&self) -> BTreeMap<usize, Array2<bool>> {
        outlines(&self.annotated)
    }

    /// The gate.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The generators that use coarse maps: all members of an ensemble; empty for point propagation.
    pub fn coarse(&self) -> &[CoarseGenerator<B>] {
        match &self.members {
            Members::Coarse(members) => members,
            Members::Points(_) => &[],
        }
    }

    /// The first SAP-Net, if the kind has one. Its coarse map does not depend on predicted masks.
    pub fn sapnet(&self) -> Option<&CoarseGenerator<B>> {
        match self.kind {
            GeneratorKind::Sapnet | GeneratorKind::Ensemble => self.coarse().first(),
            GeneratorKind::Propagation | GeneratorKind::Classification | GeneratorKind::Panet => None,
        }
    }

    /// How the masks of the members are combined. For point propagation it is the union, as in the paper.
    pub const fn vote(&self) -> Vote {
        match self.members {
            Members::Coarse(_) => Vote::Majority,
            Members::Points(_) => Vote::Union,
        }
    }

    /// These generators for slices of the volume that the annotated slices are from: see [`CoarseGenerator::in_volume`].
    #[must_use]
    pub fn in_volume(&self) -> Self {
        let members = match &self.members {
            Members::Coarse(members) => Members::Coarse(members.iter().map(CoarseGenerator::in_volume).collect()),
            points @ Members::Points(_) => points.clone(),
        };
        Self { members, ..self.clone() }
    }

    /// The generators without the gate. Propagated points do not depend on the extraction.
    ///
    /// # Errors
    /// [`AutoError::Config`] if the extraction is invalid.
    pub fn generators(&self, extraction: &PromptExtraction) -> Result<Vec<Arc<dyn PromptGenerator<B>>>, AutoError> {
        match &self.members {
            Members::Coarse(members) => {
                let shared = |member: &CoarseGenerator<B>| -> Result<Arc<dyn PromptGenerator<B>>, AutoError> {
                    Ok(Arc::new(member.with_extraction(extraction.clone())?))
                };
                members.iter().map(shared).collect()
            }
            Members::Points(runs) => Ok(runs.iter().map(|run| run.clone() as Arc<dyn PromptGenerator<B>>).collect()),
        }
    }

    /// The generators with the gate.
    ///
    /// # Errors
    /// As [`FittedGenerators::generators`].
    pub fn gated(&self, extraction: &PromptExtraction) -> Result<Vec<Arc<dyn PromptGenerator<B>>>, AutoError> {
        let gated = |generator: Arc<dyn PromptGenerator<B>>| -> Arc<dyn PromptGenerator<B>> {
            Arc::new(Gated { gate: self.gate.clone(), generator })
        };
        Ok(self.generators(extraction)?.into_iter().map(gated).collect())
    }

    /// A segmenter that uses these generators with the gate, and the extraction and clean-up of `strategy`. Strategies that differ in
    /// nothing else can share one set of fitted generators.
    ///
    /// # Errors
    /// As [`VolumeSegmenter::new`] and [`FittedGenerators::generators`].
    pub fn segmenter(
        &self,
        predictor: &SamPredictor<B>,
        strategy: &GeneratorStrategy,
    ) -> Result<VolumeSegmenter<B>, AutoError> {
        self.segmenter_of(predictor, strategy, Self::gated)
    }

    /// Like [`FittedGenerators::segmenter`], for a volume: see [`GeneratorStrategy::shape`] and [`FittedGenerators::in_volume`].
    ///
    /// # Errors
    /// As [`FittedGenerators::segmenter`]; [`AutoError::NotAVolume`] if the outlines differ in size.
    pub fn volume_segmenter(
        &self,
        predictor: &SamPredictor<B>,
        strategy: &GeneratorStrategy,
    ) -> Result<VolumeSegmenter<B>, AutoError> {
        let Some(shape) = strategy.shape else { return self.segmenter(predictor, strategy) };
        // On which slices a structure is expected does not depend on the aspect of pixels.
        let prior = Arc::new(shape.fit(&self.outlines(), PixelAspect::SQUARE)?);
        self.in_volume().segmenter_of(predictor, strategy, |fitted, extraction| {
            let within = |generator| -> Arc<dyn PromptGenerator<B>> {
                Arc::new(WithinOutlines::new(Arc::clone(&prior), Arc::clone(&fitted.gate), generator))
            };
            Ok(fitted.generators(extraction)?.into_iter().map(within).collect())
        })
    }

    /// Like [`FittedGenerators::segmenter`], without the gate.
    ///
    /// # Errors
    /// As [`FittedGenerators::segmenter`].
    pub fn ungated_segmenter(
        &self,
        predictor: &SamPredictor<B>,
        strategy: &GeneratorStrategy,
    ) -> Result<VolumeSegmenter<B>, AutoError> {
        self.segmenter_of(predictor, strategy, Self::generators)
    }

    fn segmenter_of(
        &self,
        predictor: &SamPredictor<B>,
        strategy: &GeneratorStrategy,
        generators: impl FnOnce(&Self, &PromptExtraction) -> Result<SharedGenerators<B>, AutoError>,
    ) -> Result<VolumeSegmenter<B>, AutoError> {
        let config = SegmenterConfig::default().with_vote(self.vote()).with_clean_up(strategy.clean_up);
        VolumeSegmenter::new(predictor.clone(), generators(self, &strategy.extraction())?, config)
    }
}

/// The outlines of annotated slices, by index.
pub(crate) fn outlines<B: Backend>(annotated: &[AnnotatedSlice<B>]) -> BTreeMap<usize, Array2<bool>> {
    annotated.iter().map(|slice| (slice.index(), slice.outline().clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for &kind in GeneratorKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let message = "unet".parse::<GeneratorKind>().expect_err("no such generator").to_string();
        assert!(message.contains("unet") && message.contains("sapnet"), "{message}");
    }
}
