//! One repeat: what is learned from the annotated slices of a volume, and what comes of it on the others.

use std::ops::ControlFlow;

use anyhow::Result;
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_auto::{
    CoarseGenerator, Gate, Gated, MaskPropagationConfig, PromptGenerator, Segmentation, SegmenterConfig, SliceContext,
    SupportSlice, TrustMeter, TrustMeterConfig, TrustSignals, VolumeSegmenter, propagate_masks,
};
use sam_core::SamPredictor;
use sam_eval::{Confusion, EmptyPolicy, dice};
use sam_prompt::ndarray::Array2;

use super::{MeasuredSlice, MeasuredVolume, TrustProtocol};
use crate::{
    auto::{AutoKind, Fitted, HandOverKind},
    embeddings::Embeddings,
    outline::Outlines,
    subjects::Subject,
};

/// One repeat on one structure of one volume.
pub(super) struct Repeat<'a> {
    pub(super) protocol: &'a TrustProtocol,
    pub(super) subject: Subject<'a>,
    pub(super) seed: u64,
    pub(super) bar: &'a ProgressBar,
}

/// What was fitted to some annotated slices.
pub(super) struct Taught<B: Backend> {
    pub(super) annotated: Vec<SupportSlice<B>>,
    gate: Gate,
    members: Vec<CoarseGenerator<B>>,
}

impl Repeat<'_> {
    /// Measures the volume as an ensemble segments it, and as a walk does.
    pub(super) fn measure<B: Backend>(
        &self,
        annotated: &[usize],
        leave_out: bool,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<MeasuredVolume>> {
        let taught = self.teach(self.support(annotated, embeddings)?, embeddings)?;
        let learned = self.learn(&taught.annotated, embeddings.predictor())?;
        let ensemble = taught.segment(&learned, embeddings)?;
        let mut by_ensemble = self.volume("ensemble", &taught, &learned, &ensemble, embeddings)?;
        if leave_out {
            by_ensemble.left_out = self.leave_out(&taught, &learned, &ensemble, embeddings)?;
        }
        let config = MaskPropagationConfig::default().with_seed(self.seed);
        let slices = propagate_masks(&learned, embeddings, &taught.outlines(), &config, &mut |_| ())?;
        let walk = Segmentation { slices, ..Segmentation::default() };
        Ok(vec![by_ensemble, self.volume("walk", &taught, &learned, &walk, embeddings)?])
    }

    /// Slices as a person annotates them.
    pub(super) fn support<B: Backend>(
        &self,
        annotated: &[usize],
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<SupportSlice<B>>> {
        self.bar.set_message(format!("seed {}, embedding", self.seed));
        let support = |&index: &usize| Ok(SupportSlice::new(index, embeddings.get(index)?, self.subject.mask(index))?);
        annotated.iter().map(support).collect()
    }

    /// Learns what boxes mean.
    pub(super) fn learn<B: Backend>(
        &self,
        annotated: &[SupportSlice<B>],
        original: &SamPredictor<B>,
    ) -> Result<SamPredictor<B>> {
        self.bar.set_message(format!("seed {}, learning from {} slices", self.seed, annotated.len()));
        let shown = annotated.iter().filter(|slice| slice.pixels() > 0);
        let slices = shown
            .map(|slice| AnnotatedSlice::new(slice.embedding().clone(), slice.outline().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let config = AssistConfig { seed: self.seed, ..self.protocol.learning.clone() }.for_slices(slices.len());
        let learned = learn(original, &slices, &config, &mut |_| ControlFlow::Continue(()))?;
        Ok(learned.adaptation.apply(original))
    }

    /// Fits the gate and the ensemble's members.
    pub(super) fn teach<B: Backend>(
        &self,
        annotated: Vec<SupportSlice<B>>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Taught<B>> {
        self.bar.set_message(format!("seed {}, fitting to {} slices", self.seed, annotated.len()));
        let numbers = self.protocol.numbers.clone().with_seed(self.seed);
        let gate = numbers.gate.fit(&annotated)?;
        let hand_over = HandOverKind::Box.hand_over(0, &numbers.hand_over);
        let Fitted::Coarse(members) = numbers.fit(AutoKind::Ensemble, &annotated, embeddings)? else {
            anyhow::bail!("an ensemble has coarse maps");
        };
        let members = members.iter().map(|member| member.with_hand_over(hand_over.clone()));
        Ok(Taught { members: members.collect::<Result<_, _>>()?, annotated, gate })
    }

    fn meter<'a, B: Backend>(
        &self,
        taught: &'a Taught<B>,
        learned: &'a SamPredictor<B>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<TrustMeter<'a, B>> {
        let config = TrustMeterConfig { seed: self.seed, ..self.protocol.meter.clone() };
        // The first SAP-Net is the opinion that knows nothing of the masks.
        Ok(TrustMeter::new(learned, &taught.gate, &taught.members[0], embeddings, &taught.annotated, config)?)
    }

    /// Measures a segmented volume and holds it against the truth.
    pub(super) fn volume<B: Backend>(
        &self,
        method: &str,
        taught: &Taught<B>,
        learned: &SamPredictor<B>,
        segmentation: &Segmentation,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<MeasuredVolume> {
        self.bar.set_message(format!("seed {}, measuring {method}", self.seed));
        let meter = self.meter(taught, learned, embeddings)?;
        let signals = meter.measure(embeddings, segmentation, &mut |_| ())?;
        let survey = self.subject.survey;
        let judge = |(slice, signals): (usize, TrustSignals)| {
            let truth = self.subject.mask(slice);
            let mask =
                segmentation.slices[slice].mask().cloned().unwrap_or_else(|| Array2::from_elem(truth.dim(), false));
            let counts = Confusion::count(&mask, &truth)?;
            let counted = survey.shown.contains(&slice) || survey.empty.contains(&slice);
            let score = Some(counts.dice(EmptyPolicy::Nan)).filter(|dice| dice.is_finite() && counted);
            let wrong_pixels = counts.false_positive + counts.false_negative;
            Ok(MeasuredSlice { slice, signals, dice: score, wrong_pixels })
        };
        Ok(MeasuredVolume {
            dataset: self.subject.dataset.to_owned(),
            subject: self.subject.name(),
            method: method.to_owned(),
            seed: self.seed,
            slices: signals.into_iter().map(judge).collect::<Result<_>>()?,
            left_out: Vec::new(),
        })
    }

    /// Each annotated slice with the structure, segmented and measured by generators that the others taught. What was learned of prompts
    /// stays: learning anew each time would take five times as long as all else.
    fn leave_out<B: Backend>(
        &self,
        taught: &Taught<B>,
        learned: &SamPredictor<B>,
        whole: &Segmentation,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<(TrustSignals, f32)>> {
        let mut known = Vec::new();
        for slice in taught.annotated.iter().filter(|slice| slice.pixels() > 0) {
            let index = slice.index();
            let others = taught.annotated.iter().filter(|other| other.index() != index).cloned().collect();
            let taught = self.teach(others, embeddings)?;
            let image = self.subject.stack.image(index);
            let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
            let gated = taught.gated();
            let (found, agreement) = segmenter(learned, &gated)?.segment_slice(&context)?;
            let empty = Array2::from_elem(slice.outline().dim(), false);
            let reached = dice(found.mask().unwrap_or(&empty), slice.outline(), EmptyPolicy::Nan)?;
            let mut without = whole.clone();
            without.slices[index] = found;
            without.agreement.extend(agreement.map(|agreement| (index, agreement)));
            let signals = self.meter(&taught, learned, embeddings)?.measure_slice(embeddings, &without, index)?;
            known.push((signals, reached as f32));
        }
        Ok(known)
    }
}

impl<B: Backend> Taught<B> {
    fn outlines(&self) -> Outlines {
        self.annotated.iter().map(|slice| (slice.index(), slice.outline().clone())).collect()
    }

    fn gated(&self) -> Vec<Gated<&CoarseGenerator<B>>> {
        self.members.iter().map(|generator| Gated { gate: self.gate.clone(), generator }).collect()
    }

    /// The volume as the ensemble's majority sees it.
    pub(super) fn segment(
        &self,
        learned: &SamPredictor<B>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Segmentation> {
        let gated = self.gated();
        Ok(segmenter(learned, &gated)?.segment(embeddings, &self.outlines(), &mut |_| ())?)
    }
}

fn segmenter<'a, B: Backend>(
    learned: &'a SamPredictor<B>,
    gated: &'a [Gated<&CoarseGenerator<B>>],
) -> Result<VolumeSegmenter<'a, B>> {
    let members = gated.iter().map(|member| member as &dyn PromptGenerator<B>).collect();
    Ok(VolumeSegmenter::new(learned, members, SegmenterConfig::default())?)
}
