//! One repeat on one volume: the annotator's own pipeline on some annotated slices, with its masks compared with the truth.

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_assist::learn_structure;
use sam_auto::{FittedStrategy, Segmentation, SliceContext, TrustMeter, TrustSignals};
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_eval::{Confusion, EmptyPolicy, dice};
use sam_prompt::counted;
use sam_prompt::ndarray::Array2;

use super::{MeasuredSlice, MeasuredVolume, TrustProtocol};
use crate::{CaseStructure, Setup, error::Result, mask_trials::annotate};

/// The method name of volumes that were segmented by the ensemble.
const ENSEMBLE: &str = "ensemble";
/// The method name of volumes that were segmented by mask propagation, as in journals of earlier versions.
const PROPAGATION: &str = "walk";

/// One repeat on one structure of one volume.
pub(super) struct TrustTrial<'a, B: Backend> {
    pub(super) protocol: &'a TrustProtocol,
    pub(super) setup: &'a Setup<B>,
    pub(super) case: &'a CaseStructure<'a>,
    pub(super) source: &'a dyn SliceSource<B>,
    pub(super) seed: u64,
}

/// A volume segmented with one config: the fitted strategy, the trained model and the masks.
struct Segmented<B: Backend> {
    config: AnnotateConfig,
    fitted: FittedStrategy<B>,
    learned: SamPredictor<B>,
    segmentation: Segmentation,
}

impl<B: Backend> TrustTrial<'_, B> {
    /// Measures the volume as segmented by an ensemble, and as segmented by mask propagation.
    pub(super) fn measure(&self, annotated: &[usize], leave_out: bool) -> Result<Vec<MeasuredVolume>> {
        let annotated = self.embed(annotated)?;
        let whole = self.segment(&self.protocol.ensemble, annotated.clone())?;
        let mut by_ensemble = self.volume(ENSEMBLE, &whole, &whole.fitted)?;
        if leave_out {
            by_ensemble.left_out = self.leave_out(&whole)?;
        }
        let propagated = self.segment(&self.protocol.propagation, annotated)?;
        // The ensemble already has the gate and the SAP-Net that the trust of propagated masks needs.
        Ok(vec![by_ensemble, self.volume(PROPAGATION, &propagated, &whole.fitted)?])
    }

    /// Segments the volume by an ensemble fitted to annotated slices, and measures it.
    pub(super) fn segment_and_measure(&self, annotated: &[usize]) -> Result<MeasuredVolume> {
        let whole = self.segment(&self.protocol.ensemble, self.embed(annotated)?)?;
        self.volume(ENSEMBLE, &whole, &whole.fitted)
    }

    /// Embedded slices with the ground truth as their outlines.
    fn embed(&self, annotated: &[usize]) -> Result<Vec<AnnotatedSlice<B>>> {
        self.setup.doing(format!("seed {}, embedding", self.seed))?;
        annotate(self.setup, self.case, self.source, annotated)
    }

    /// Trains, fits and segments with a config and the seed of this repeat.
    fn segment(&self, config: &AnnotateConfig, annotated: Vec<AnnotatedSlice<B>>) -> Result<Segmented<B>> {
        let config = config.clone().with_seed(self.seed);
        self.setup.doing(format!("seed {}, learning from {}", self.seed, counted(annotated.len(), "slice")))?;
        let (original, learning) = (self.setup.predictor(), &config.learning);
        let learned = self.setup.watched(|observer| learn_structure(original, &annotated, learning, None, observer))?;
        let learned = learned.adaptation.apply(original);
        let fitted = self.fit(&config, annotated)?;
        let segmentation = self.setup.watched(|observer| fitted.segment(&learned, self.source, observer))?;
        Ok(Segmented { config, fitted, learned, segmentation })
    }

    /// Fits the strategy of a config.
    fn fit(&self, config: &AnnotateConfig, annotated: Vec<AnnotatedSlice<B>>) -> Result<FittedStrategy<B>> {
        self.setup.doing(format!("seed {}, fitting to {}", self.seed, counted(annotated.len(), "slice")))?;
        self.setup.watched(|observer| config.strategy.fit(annotated, self.source, observer))
    }

    /// A trust meter of a segmented volume, with a strategy fitted to the same slices or to others.
    fn meter(&self, whole: &Segmented<B>, fitted: &FittedStrategy<B>) -> Result<TrustMeter<B>> {
        let trust = &whole.config.trust;
        self.setup.watched(|observer| trust.meter(fitted, &whole.learned, self.source, observer))
    }

    /// Measures a segmented volume and compares it with the truth.
    fn volume(&self, method: &str, whole: &Segmented<B>, fitted: &FittedStrategy<B>) -> Result<MeasuredVolume> {
        self.setup.doing(format!("seed {}, measuring {method}", self.seed))?;
        let (meter, segmentation) = (self.meter(whole, fitted)?, &whole.segmentation);
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

    /// Segments and measures each annotated slice with the structure, by generators fitted to the other slices. The trained model is
    /// reused: training again for each slice would take five times as long as everything else.
    fn leave_out(&self, whole: &Segmented<B>) -> Result<Vec<(TrustSignals, f32)>> {
        let annotated = whole.fitted.annotated();
        let mut known = Vec::new();
        for slice in annotated.iter().filter(|slice| !slice.is_empty()) {
            let others = annotated.iter().filter(|other| other.index() != slice.index()).cloned().collect();
            let ensemble = self.fit(&whole.config, others)?;
            let segmentation = segment_one(slice, &ensemble, whole, self.source)?;
            let empty = Array2::from_elem(slice.outline().dim(), false);
            let found = segmentation.slices[slice.index()].mask().unwrap_or(&empty);
            let dice = dice(found, slice.outline(), EmptyPolicy::Nan)?;
            let meter = self.meter(whole, &ensemble)?;
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
    let context = SliceContext::new(index, image.view(), slice.embedding());
    let mut segmentation = whole.segmentation.clone();
    if let Some(segmenter) = ensemble.segmenter(&whole.learned)? {
        let (found, agreement) = segmenter.segment_slice(&context)?;
        segmentation.slices[index] = found;
        segmentation.agreement.extend(agreement.map(|agreement| (index, agreement)));
    }
    Ok(segmentation)
}
