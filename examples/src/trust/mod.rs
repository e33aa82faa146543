//! How well trust finds the slices that are wrong: every slice of a volume segmented, measured, and held against the truth.

mod checking;
mod look;
mod volume;

use std::{collections::BTreeMap, ops::ControlFlow};

use anyhow::Result;
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_auto::{
    CoarseGenerator, Gate, Gated, MaskPropagationConfig, PromptGenerator, Segmentation,
    SegmenterConfig, SliceContext, SupportSlice, TrustMeter, TrustMeterConfig, TrustSignals, VolumeSegmenter,
    propagate_masks,
};
use sam_core::{Precision, SamPredictor};
use sam_eval::{Confusion, EmptyPolicy, dice, protocol::FewSlices};
use sam_prompt::ndarray::Array2;
use serde::Serialize;

pub use checking::{Checks, Order};
pub use look::{TrustConfig, in_words};
pub use volume::{MeasuredSlice, MeasuredVolume, model_without};

use crate::{
    auto::{AutoConfig, AutoKind, Fitted, HandOverKind},
    embeddings::Embeddings,
    outline::Outlines,
    progress,
    study::{Study, digest},
    subjects::{Subject, Subjects},
};

/// Every number of the measuring.
#[derive(Debug, Clone, Serialize)]
pub struct TrustProtocol {
    /// What is measured on.
    #[serde(flatten)]
    pub subjects: Subjects,
    /// Which slices are annotated; all others are segmented and measured.
    pub slices: FewSlices,
    /// One repeat each.
    pub seeds: Vec<u64>,
    /// In so many repeats, each annotated slice is left out in turn, to see what the annotated slices alone say of trust.
    pub left_out: usize,
    /// The generators' numbers.
    pub numbers: AutoConfig,
    /// What is learned of boxes.
    pub learning: AssistConfig,
    /// How trust is measured.
    pub meter: TrustMeterConfig,
    /// What the image encoder computes in.
    pub precision: Precision,
}

/// What decides the result on one volume.
#[derive(Serialize)]
struct DependsOn<'a> {
    subject: (&'a str, String),
    slices: String,
    annotated: &'a [usize],
    seed: u64,
    leave_out: bool,
    numbers: &'a AutoConfig,
    learning: &'a AssistConfig,
    meter: &'a TrustMeterConfig,
}

impl TrustProtocol {
    /// Measures every volume of the data; sets of images in no order are left out, as they have no neighbours.
    ///
    /// # Errors
    /// If a number makes no sense, the data cannot be read, or no case shows a structure on enough slices.
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<MeasuredVolume>> {
        self.meter.check()?;
        self.subjects.each(study, self.slices.most() + 1, |subject, embeddings| {
            if !subject.stack.is_ordered() {
                eprintln!("Left out: {}, whose images are in no order", subject.name());
                return Ok(Vec::new());
            }
            let bar = progress::bar(subject.name(), self.seeds.len());
            let mut measured = Vec::new();
            for (repeat, &seed) in self.seeds.iter().enumerate() {
                for trial in self.slices.trials(subject.survey, seed)? {
                    let leave_out = repeat < self.left_out;
                    let all: Vec<_> = (0..subject.stack.len()).collect();
                    let depends_on = DependsOn {
                        subject: (subject.dataset, subject.name()),
                        slices: digest(subject.stack, subject.structure, &all),
                        annotated: &trial.annotated,
                        seed,
                        leave_out,
                        numbers: &self.numbers,
                        learning: &self.learning,
                        meter: &self.meter,
                    };
                    measured.extend(study.once(&depends_on, || {
                        let work = Repeat { protocol: self, subject, seed, bar: &bar };
                        work.measure(&trial.annotated, leave_out, embeddings)
                    })?);
                }
                bar.inc(1);
            }
            bar.finish_and_clear();
            Ok(measured)
        })
    }
}

/// One repeat on one structure of one volume.
struct Repeat<'a> {
    protocol: &'a TrustProtocol,
    subject: Subject<'a>,
    seed: u64,
    bar: &'a ProgressBar,
}

/// What was fitted to some annotated slices.
struct Taught<B: Backend> {
    annotated: Vec<SupportSlice<B>>,
    gate: Gate,
    members: Vec<CoarseGenerator<B>>,
}

impl Repeat<'_> {
    fn measure<B: Backend>(
        &self,
        annotated: &[usize],
        leave_out: bool,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<MeasuredVolume>> {
        self.bar.set_message(format!("seed {}, embedding", self.seed));
        let support = |&index: &usize| Ok(SupportSlice::new(index, embeddings.get(index)?, self.subject.mask(index))?);
        let annotated = annotated.iter().map(support).collect::<Result<Vec<_>>>()?;
        self.bar.set_message(format!("seed {}, learning", self.seed));
        let learned = self.learn(&annotated, embeddings.predictor())?;
        let taught = self.teach(annotated, embeddings)?;
        let meter = self.meter(&taught, &learned, embeddings)?;
        let mut measured = Vec::new();

        self.bar.set_message(format!("seed {}, ensemble", self.seed));
        let ensemble = taught.ensemble(&learned, &mut |segmenter| {
            Ok(segmenter.segment(embeddings, &taught.outlines(), &mut |_| ())?)
        })?;
        let mut volume = self.volume("ensemble", &meter, &ensemble, embeddings)?;
        if leave_out {
            volume.left_out = self.leave_out(&taught, &learned, &ensemble, embeddings)?;
        }
        measured.push(volume);

        self.bar.set_message(format!("seed {}, walk", self.seed));
        let config = MaskPropagationConfig::default().with_seed(self.seed);
        let slices = propagate_masks(&learned, embeddings, &taught.outlines(), &config, &mut |_| ())?;
        let walk = Segmentation { slices, ..Segmentation::default() };
        measured.push(self.volume("walk", &meter, &walk, embeddings)?);
        Ok(measured)
    }

    fn learn<B: Backend>(&self, annotated: &[SupportSlice<B>], original: &SamPredictor<B>) -> Result<SamPredictor<B>> {
        let shown = annotated.iter().filter(|slice| slice.pixels() > 0);
        let slices = shown
            .map(|slice| AnnotatedSlice::new(slice.embedding().clone(), slice.outline().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let config = AssistConfig { seed: self.seed, ..self.protocol.learning.clone() }.for_slices(slices.len());
        let learned = learn(original, &slices, &config, &mut |_| ControlFlow::Continue(()))?;
        Ok(learned.adaptation.apply(original))
    }

    fn teach<B: Backend>(
        &self,
        annotated: Vec<SupportSlice<B>>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Taught<B>> {
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
        Ok(TrustMeter::new(learned, &taught.gate, &taught.members[0], embeddings, &taught.annotated, config)?)
    }

    /// Measures a segmented volume and holds it against the truth.
    fn volume<B: Backend>(
        &self,
        method: &str,
        meter: &TrustMeter<'_, B>,
        segmentation: &Segmentation,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<MeasuredVolume> {
        let signals = meter.measure(embeddings, segmentation, &mut |_| ())?;
        let survey = self.subject.survey;
        let judge = |(slice, signals): (usize, TrustSignals)| {
            let truth = self.subject.mask(slice);
            let mask = segmentation.slices[slice].mask().cloned().unwrap_or_else(|| Array2::from_elem(truth.dim(), false));
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
            self.bar.set_message(format!("seed {}, without slice {index}", self.seed));
            let others = taught.annotated.iter().filter(|other| other.index() != index).cloned().collect();
            let taught = self.teach(others, embeddings)?;
            let image = self.subject.stack.image(index);
            let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
            let (found, agreement) = taught.ensemble(learned, &mut |segmenter| Ok(segmenter.segment_slice(&context)?))?;
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
        self.annotated.iter().map(|slice| (slice.index(), slice.outline().clone())).collect::<BTreeMap<_, _>>()
    }

    /// Does some work with the gated ensemble.
    fn ensemble<T>(
        &self,
        learned: &SamPredictor<B>,
        work: &mut dyn FnMut(&VolumeSegmenter<'_, B>) -> Result<T>,
    ) -> Result<T> {
        let gated: Vec<_> = self
            .members
            .iter()
            .map(|generator| Gated { gate: self.gate.clone(), generator: generator.clone() })
            .collect();
        let members = gated.iter().map(|member| member as &dyn PromptGenerator<B>).collect();
        work(&VolumeSegmenter::new(learned, members, SegmenterConfig::default())?)
    }
}
