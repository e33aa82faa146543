//! SAM^auto: generators fitted to a few annotated slices, in a scan that is annotated, or held against the truth.
//!
//! Which slices are annotated and which are tested, the seed alone decides: every generator meets the same ones.

mod fitted;
mod kind;

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
    ops::ControlFlow,
    time::Instant,
};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_auto::{Gate, GateConfig, HandOver, SegmenterConfig, SliceContext, SupportSlice, VolumeSegmenter};
use sam_core::SamPredictor;
use sam_eval::protocol::FewSlices;
use sam_prompt::ndarray::Array2;
use serde::Serialize;

pub use fitted::{AutoConfig, Fitted};
pub use kind::{AutoKind, HandOverKind};

use crate::{
    backend::Job,
    disk_cache::DiskCache,
    embeddings::Embeddings,
    journal::Journal,
    learning::Learning,
    mask_score::{self, MaskRepeat, MaskScore},
    study::{Run, Study},
    subjects::Subjects,
    weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct AutoProtocol {
    /// What is compared on.
    #[serde(flatten)]
    pub subjects: Subjects,
    /// Which slices are annotated and tested.
    pub slices: FewSlices,
    /// One repeat each.
    pub seeds: Vec<u64>,
    /// The generators.
    pub generators: Vec<AutoKind>,
    /// What they hand on, each in turn.
    pub hand_overs: Vec<HandOverKind>,
    /// How many points a component is handed on with, where points are.
    pub points: usize,
    /// All else about the generators.
    pub numbers: AutoConfig,
    /// What is learned of prompts, by what is handed on.
    pub learning: Learning,
}

/// The comparison on one data folder with one checkpoint.
#[derive(Debug)]
pub struct AutoJob<'a> {
    /// Every number of it.
    pub protocol: &'a AutoProtocol,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// Where embeddings are kept.
    pub disk: Option<&'a DiskCache>,
}

impl Job for AutoJob<'_> {
    type Output = Vec<MaskScore>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<MaskScore>> {
        let journal = RefCell::new(Journal::in_memory());
        let study: Study<'_, B> = Study::open(self.weights, self.disk, &journal, device)?;
        Ok(self.protocol.run(&study)?.into_iter().map(|run| run.score).collect())
    }
}

impl AutoProtocol {
    /// Compares on all cases of the data.
    ///
    /// # Errors
    /// If a number makes no sense, the data cannot be read, or no case shows a structure on enough slices.
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        self.numbers.sapnet.check()?;
        self.numbers.gate.check()?;
        mask_score::compare(study, &self.subjects, &self.slices, &self.seeds, self, |repeat, embeddings, bar| {
            Repeat::learn(self, repeat, embeddings.predictor(), bar)?.test(embeddings, bar)
        })
    }
}

/// A repeat, and what was learned on its slices.
struct Repeat<'a, B: Backend> {
    protocol: &'a AutoProtocol,
    slices: &'a MaskRepeat<'a, B>,
    gate: Gate,
    original: &'a SamPredictor<B>,
    /// With learned prompts, by their learning.
    learned: BTreeMap<String, SamPredictor<B>>,
}

impl<'a, B: Backend> Repeat<'a, B> {
    /// Fits the gate, and learns what prompts mean, once for each sort of learning.
    fn learn(
        protocol: &'a AutoProtocol,
        slices: &'a MaskRepeat<'a, B>,
        original: &'a SamPredictor<B>,
        bar: &ProgressBar,
    ) -> Result<Self> {
        let gate = &protocol.numbers.gate;
        let is_ordered = slices.subject.stack.is_ordered();
        let gate = if is_ordered { gate.clone() } else { GateConfig { distance_weight: 0.0, ..gate.clone() } };
        let gate = gate.fit(&slices.annotated)?;
        let mut repeat = Self { protocol, slices, gate, original, learned: BTreeMap::new() };
        let shown = slices.annotated.iter().filter(|slice| slice.pixels() > 0);
        let annotated = shown
            .map(|slice| AnnotatedSlice::new(slice.embedding().clone(), slice.outline().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for &kind in &protocol.hand_overs {
            let config = repeat.learning(kind);
            let key = serde_json::to_string(&config)?;
            if let Entry::Vacant(place) = repeat.learned.entry(key) {
                bar.set_message(format!("seed {}, learning {kind}", slices.seed));
                let learned = learn(original, &annotated, &config, &mut |_| ControlFlow::Continue(()))?;
                place.insert(learned.adaptation.apply(original));
            }
        }
        Ok(repeat)
    }

    /// Tests every generator that can be; propagation needs neighbours.
    fn test(&self, embeddings: &mut Embeddings<'_, B>, bar: &ProgressBar) -> Result<Vec<Run<MaskScore>>> {
        let subject = self.slices.subject;
        let mut scores = Vec::new();
        for &kind in &self.protocol.generators {
            if kind == AutoKind::Propagation && !subject.stack.is_ordered() {
                eprintln!("Left out: propagation on {}, whose images are in no order", subject.name());
                continue;
            }
            bar.set_message(format!("seed {}, {kind}", self.slices.seed));
            scores.extend(self.test_generator(kind, embeddings)?);
        }
        Ok(scores)
    }

    fn learning(&self, kind: HandOverKind) -> AssistConfig {
        let config = kind.learning(&self.protocol.learning).clone();
        AssistConfig { seed: self.slices.seed, ..config }.for_slices(self.protocol.slices.most())
    }

    fn learned(&self, kind: HandOverKind) -> Result<&SamPredictor<B>> {
        self.learned.get(&serde_json::to_string(&self.learning(kind))?).context("every sort of learning was done")
    }

    /// A generator's own masks, and what the predictors make of each hand-over.
    fn test_generator(&self, kind: AutoKind, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        let protocol = self.protocol;
        let numbers = protocol.numbers.clone().with_seed(self.slices.seed);
        let started = Instant::now();
        let fitted = numbers.fit(kind, &self.slices.annotated, embeddings)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut scores = Vec::new();
        if let Fitted::Coarse(members) = &fitted
            && let [coarse] = &members[..]
        {
            let masks =
                self.slices.test.iter().map(|slice| coarse.mask(slice.embedding())).collect::<Result<Vec<_>, _>>()?;
            scores.extend(self.scores(&format!("{kind}, coarse"), seconds, masks)?);
        }
        for &hand_over in &protocol.hand_overs {
            if matches!(fitted, Fitted::Seeds(_)) && hand_over != HandOverKind::Points {
                continue;
            }
            let generators = fitted.generators(&self.hand_over(hand_over, &numbers.hand_over))?;
            let config = SegmenterConfig { vote: fitted.vote(), ..SegmenterConfig::default() };
            for (prompts, predictor) in [("original", self.original), ("learned", self.learned(hand_over)?)] {
                let members = generators.iter().map(|member| &**member).collect();
                let masks = self.segment(&VolumeSegmenter::new(predictor, members, config)?)?;
                scores.extend(self.scores(&format!("{kind}, {hand_over}, {prompts}"), seconds, masks)?);
            }
        }
        Ok(scores)
    }

    fn hand_over(&self, kind: HandOverKind, base: &HandOver) -> HandOver {
        kind.hand_over(self.protocol.points, base)
    }

    /// Masks of the test slices; empty where the generators see nothing.
    fn segment(&self, segmenter: &VolumeSegmenter<'_, B>) -> Result<Vec<Array2<bool>>> {
        let segment = |slice: &SupportSlice<B>| {
            let (index, image) = (slice.index(), self.slices.subject.stack.image(slice.index()));
            let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
            let (found, _) = segmenter.segment_slice(&context).with_context(|| format!("slice {index}"))?;
            Ok(found.mask().cloned().unwrap_or_else(|| Array2::from_elem(slice.outline().dim(), false)))
        };
        self.slices.test.iter().map(segment).collect()
    }

    /// With and without the gate. What a gate keeps from being prompted has no mask.
    fn scores(&self, method: &str, seconds: f64, mut masks: Vec<Array2<bool>>) -> Result<[Run<MaskScore>; 2]> {
        let repeat = self.slices;
        let score = |method: &str, masks: &[_]| {
            mask_score::run(repeat.subject, method, repeat.seed, seconds, masks, &repeat.test)
        };
        let open = score(method, &masks)?;
        for (slice, mask) in repeat.test.iter().zip(&mut masks) {
            if !self.gate.passes(slice.index(), slice.embedding()) {
                mask.fill(false);
            }
        }
        Ok([open, score(&format!("{method}, gated"), &masks)?])
    }
}
