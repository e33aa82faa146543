//! One repeat on one volume: the annotator's own pipeline on some outlined slices, with its masks compared with the truth.

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_assist::learn_structure;
use sam_auto::{Segmentation, TrustSignals};
use sam_eval::{Confusion, EmptyPolicy};
use sam_prompt::{counted, ndarray::Array2};

use super::{MeasuredSlice, MeasuredVolume};
use crate::{CaseSetup, error::Result, mask_trials::annotate};

/// One repeat on one structure of one volume.
pub(super) struct TrustTrial<'a, B: Backend> {
    pub(super) test: &'a CaseSetup<'a, B>,
    pub(super) config: &'a AnnotateConfig,
    pub(super) seed: u64,
}

impl<B: Backend> TrustTrial<'_, B> {
    /// Learns the outlined slices, segments and measures the others, and compares them with the truth. `count` is the number of outlines
    /// asked for.
    pub(super) fn measure(&self, outlined: &[usize], count: usize) -> Result<MeasuredVolume> {
        let CaseSetup { setup, case, source } = *self.test;
        let config = self.config.clone().with_seed(self.seed);
        self.doing("embedding", outlined)?;
        let annotated = annotate(setup, case, source, outlined)?;
        self.doing("learning", outlined)?;
        let (original, learning) = (setup.predictor(), &config.learning);
        let learned = setup.watched(|observer| learn_structure(original, &annotated, learning, None, observer))?;
        let learned = learned.adaptation.apply(original);
        self.doing("segmenting", outlined)?;
        let fitted = setup.watched(|observer| config.strategy.fit(annotated, source, observer))?;
        let segmentation = setup.watched(|observer| fitted.segment(&learned, source, observer))?;
        self.doing("measuring trust", outlined)?;
        let meter = setup.watched(|observer| config.trust.meter(&fitted, &learned, source, observer))?;
        let measured = setup.watched(|observer| meter.measure(source, &segmentation, observer))?;
        let score = |(slice, signals)| self.score(slice, signals, &segmentation);
        Ok(MeasuredVolume {
            dataset: case.dataset.to_owned(),
            subject: case.name(),
            outlines: count,
            seed: self.seed,
            slices: measured.signals.into_iter().map(score).collect::<Result<_>>()?,
        })
    }

    /// Compares one slice with the truth.
    fn score(&self, slice: usize, signals: TrustSignals, segmentation: &Segmentation) -> Result<MeasuredSlice> {
        let case = self.test.case;
        let truth = case.mask(slice);
        let mask = segmentation.slices[slice].mask().cloned();
        let mask = mask.unwrap_or_else(|| Array2::from_elem(truth.dim(), false));
        let counts = Confusion::count(&mask, &truth)?;
        let counted = case.survey.shown.contains(&slice) || case.survey.empty.contains(&slice);
        let dice = Some(counts.dice(EmptyPolicy::Nan)).filter(|dice| dice.is_finite() && counted);
        Ok(MeasuredSlice { slice, signals, dice, wrong_pixels: counts.false_positive + counts.false_negative })
    }

    fn doing(&self, what: &str, outlined: &[usize]) -> Result<()> {
        self.test.setup.doing(format!("seed {}, {}: {what}", self.seed, counted(outlined.len(), "outline")))
    }
}
