//! One repeat on one volume: the annotator's own pipeline on some annotated slices, and its masks compared with the truth.

use burn::tensor::backend::Backend;
use sam_assist::learn_structure;
use sam_auto::{
    CoarseConfig, CoarseMethod, FittedGenerators, FittedStrategy, GeneratorConfig, GeneratorKind, GeneratorStrategy,
    MaskPropagationConfig, PromptParts, Segmentation, SegmenterConfig, SliceContext, Strategy, TrustConfig, TrustMeter,
    TrustSignals, VolumeSegmenter,
};
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_eval::{Confusion, EmptyPolicy, dice};
use sam_prompt::ndarray::Array2;

use super::{MeasuredSlice, MeasuredVolume, TrustProtocol};
use crate::{CaseStructure, Setup, error::Result, mask_trials::annotate};

/// The name of the ensemble's volumes.
const ENSEMBLE: &str = "ensemble";
/// The name of volumes that were segmented by mask propagation; journals of earlier versions have it.
const PROPAGATION: &str = "walk";

/// One repeat on one structure of one volume.
pub(super) struct TrustTrial<'a, B: Backend> {
    pub(super) protocol: &'a TrustProtocol,
    pub(super) setup: &'a Setup<B>,
    pub(super) case: &'a CaseStructure<'a>,
    pub(super) source: &'a dyn SliceSource<B>,
    pub(super) seed: u64,
}

/// An ensemble that was fitted to annotated slices, the model that learned from them, and what both segmented.
struct Segmented<B: Backend> {
    ensemble: FittedStrategy<B>,
    learned: SamPredictor<B>,
    segmentation: Segmentation,
}

impl<B: Backend> TrustTrial<'_, B> {
    /// Measures the volume as an ensemble segments it, and as mask propagation does.
    pub(super) fn measure(&self, annotated: &[usize], leave_out: bool) -> Result<Vec<MeasuredVolume>> {
        let whole = self.segment(annotated)?;
        let mut by_ensemble = self.volume(ENSEMBLE, &whole, &whole.segmentation)?;
        if leave_out {
            by_ensemble.left_out = self.leave_out(&whole)?;
        }
        let strategy = Strategy::MaskPropagation(MaskPropagationConfig::default().with_seed(self.seed));
        let annotated = whole.ensemble.annotated().to_vec();
        let propagated =
            self.setup.watched(|observer| strategy.segment(annotated, &whole.learned, self.source, observer))?;
        Ok(vec![by_ensemble, self.volume(PROPAGATION, &whole, &propagated)?])
    }

    /// Segments the volume by an ensemble that is fitted to annotated slices, and measures it.
    pub(super) fn segment_and_measure(&self, annotated: &[usize]) -> Result<MeasuredVolume> {
        let whole = self.segment(annotated)?;
        self.volume(ENSEMBLE, &whole, &whole.segmentation)
    }

    /// Learns what boxes mean, fits the ensemble, and segments.
    fn segment(&self, annotated: &[usize]) -> Result<Segmented<B>> {
        let count = annotated.len();
        self.setup.doing(format!("seed {}, embedding", self.seed))?;
        let annotated = annotate(self.setup, self.case, self.source, annotated)?;
        self.setup.doing(format!("seed {}, learning from {count} slices", self.seed))?;
        let (original, config) = (self.setup.predictor(), self.protocol.learning.clone().with_seed(self.seed));
        let learned = self.setup.watched(|observer| learn_structure(original, &annotated, &config, None, observer))?;
        let learned = learned.adaptation.apply(original);
        let ensemble = self.fit(annotated)?;
        let segmentation = self.setup.watched(|observer| ensemble.segment(&learned, self.source, observer))?;
        Ok(Segmented { ensemble, learned, segmentation })
    }

    /// The generators' config with the seed of this repeat.
    fn generators(&self) -> GeneratorConfig {
        self.protocol.generators.clone().with_seed(self.seed)
    }

    /// Fits the ensemble.
    fn fit(&self, annotated: Vec<AnnotatedSlice<B>>) -> Result<FittedStrategy<B>> {
        self.setup.doing(format!("seed {}, fitting to {} slices", self.seed, annotated.len()))?;
        let strategy =
            GeneratorStrategy::new(GeneratorKind::Ensemble).with_parts(PromptParts::Box).with_config(self.generators());
        let strategy = Strategy::Generators(strategy);
        self.setup.watched(|observer| strategy.fit(annotated, self.source, observer))
    }

    /// A meter with the ensemble's gate and first SAP-Net.
    fn meter(&self, ensemble: &FittedStrategy<B>, learned: &SamPredictor<B>) -> Result<TrustMeter<B>> {
        let generators = self.generators();
        let config = TrustConfig::new(self.seed)
            .with_meter(self.protocol.meter.clone().with_seed(self.seed))
            .with_gate(generators.gate.clone())
            .with_coarse(CoarseConfig::default().with_method(CoarseMethod::Sapnet(generators.sapnet.clone())));
        self.setup.watched(|observer| config.meter(ensemble, learned, self.source, observer))
    }

    /// Measures a segmented volume and compares it with the truth.
    fn volume(&self, method: &str, fitted: &Segmented<B>, segmentation: &Segmentation) -> Result<MeasuredVolume> {
        self.setup.doing(format!("seed {}, measuring {method}", self.seed))?;
        let meter = self.meter(&fitted.ensemble, &fitted.learned)?;
        let measured = self.setup.watched(|observer| meter.measure(self.source, segmentation, observer))?;
        let mut slices = Vec::new();
        for (slice, signals) in measured.signals {
            slices.push(self.score(slice, signals, segmentation)?);
        }
        Ok(MeasuredVolume {
            dataset: self.case.dataset.to_owned(),
            subject: self.case.name(),
            method: method.to_owned(),
            seed: self.seed,
            slices,
            left_out: Vec::new(),
        })
    }

    /// Compares one slice with the truth.
    fn score(&self, slice: usize, signals: TrustSignals, segmentation: &Segmentation) -> Result<MeasuredSlice> {
        let truth = self.case.mask(slice);
        let mask = segmentation.slices[slice].mask().cloned();
        let mask = mask.unwrap_or_else(|| Array2::from_elem(truth.dim(), false));
        let counts = Confusion::count(&mask, &truth)?;
        let survey = self.case.survey;
        let counted = survey.shown.contains(&slice) || survey.empty.contains(&slice);
        let dice = Some(counts.dice(EmptyPolicy::Nan)).filter(|dice| dice.is_finite() && counted);
        Ok(MeasuredSlice { slice, signals, dice, wrong_pixels: counts.false_positive + counts.false_negative })
    }

    /// Segments and measures each annotated slice with the structure by generators that are fitted to the others. The learned model
    /// stays: learning again for each slice would take five times as long as all else.
    fn leave_out(&self, whole: &Segmented<B>) -> Result<Vec<(TrustSignals, f32)>> {
        let annotated = whole.ensemble.annotated();
        let mut known = Vec::new();
        for slice in annotated.iter().filter(|slice| !slice.is_empty()) {
            let others = annotated.iter().filter(|other| other.index() != slice.index()).cloned().collect();
            let ensemble = self.fit(others)?;
            let segmentation = segment_one(slice, &ensemble, whole, self.source)?;
            let empty = Array2::from_elem(slice.outline().dim(), false);
            let found = segmentation.slices[slice.index()].mask().unwrap_or(&empty);
            let dice = dice(found, slice.outline(), EmptyPolicy::Nan)?;
            let meter = self.meter(&ensemble, &whole.learned)?;
            known.push((meter.measure_slice(self.source, &segmentation, slice.index())?, dice as f32));
        }
        Ok(known)
    }
}

/// The segmented volume with one slice segmented again.
fn segment_one<B: Backend>(
    slice: &AnnotatedSlice<B>,
    ensemble: &FittedStrategy<B>,
    whole: &Segmented<B>,
    source: &dyn SliceSource<B>,
) -> Result<Segmentation> {
    let index = slice.index();
    let image = source.image(index)?;
    let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
    let mut segmentation = whole.segmentation.clone();
    if let Some(generators) = ensemble.generators() {
        let (found, agreement) = segmenter(generators, &whole.learned)?.segment_slice(&context)?;
        segmentation.slices[index] = found;
        segmentation.agreement.extend(agreement.map(|agreement| (index, agreement)));
    }
    Ok(segmentation)
}

/// Segments by the boxes of gated generators.
fn segmenter<B: Backend>(generators: &FittedGenerators<B>, learned: &SamPredictor<B>) -> Result<VolumeSegmenter<B>> {
    let extraction = PromptParts::Box.extraction(0, &generators.config().extraction);
    let config = SegmenterConfig::default().with_vote(generators.vote());
    Ok(VolumeSegmenter::new(learned.clone(), generators.gated(&extraction)?, config)?)
}
