//! SAM^auto: generators fitted to a few annotated slices, in a scan that is annotated, or held against the truth.
//!
//! Which slices are annotated and which are tested, the seed alone decides: every generator meets the same ones.

mod fitted;
mod kind;

use std::{collections::BTreeMap, ops::ControlFlow, time::Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_auto::{Gate, GateConfig, HandOver, SegmenterConfig, SliceContext, SupportSlice, VolumeSegmenter};
use sam_core::{Checkpoint, Precision, SamPredictor};
use sam_data::{SliceAxis, Structure, Window};
use sam_prompt::ndarray::Array2;
use serde::Serialize;

pub use fitted::{AutoConfig, Fitted};
pub use kind::{AutoKind, HandOverKind};

use crate::{
    backend::Job, coarse::Split, data_options::DataOptions, disk_cache::DiskCache, embeddings::Embeddings,
    mask_score::MaskScore, progress, protocol::Learning, stack::Stack, weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct AutoProtocol {
    /// Where the data lie.
    #[serde(flatten)]
    pub data: DataOptions,
    /// Which structures, as given.
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// Which slices are annotated and tested.
    pub split: Split,
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
    /// What the image encoder computes in.
    pub precision: Precision,
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
        let protocol = self.protocol;
        protocol.numbers.sapnet.check()?;
        protocol.numbers.gate.check()?;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let predictor = predictor.with_encoder_precision(protocol.precision)?;
        let dataset = protocol.data.open()?;
        let structures = dataset.table().parse_structures(&protocol.structures)?;
        let mut scores = Vec::new();
        for stack in Stack::of_cases(dataset.cases(), protocol.axis, &protocol.window)? {
            let mut embeddings = Embeddings::new(&predictor, &stack, self.disk);
            for structure in &structures {
                let subject = Subject { protocol, stack: &stack, structure };
                scores.extend(subject.run(&mut embeddings).with_context(|| subject.name())?);
            }
        }
        ensure!(
            !scores.is_empty(),
            "no case of {} shows any of the structures \"{}\" on more than {} slices",
            protocol.data,
            protocol.structures,
            protocol.split.annotated
        );
        Ok(scores)
    }
}

/// One structure of one case.
struct Subject<'a> {
    protocol: &'a AutoProtocol,
    stack: &'a Stack,
    structure: &'a Structure,
}

/// A repeat: the slices of it, and what was learned on them.
struct Repeat<'a, B: Backend> {
    subject: &'a Subject<'a>,
    seed: u64,
    annotated: Vec<SupportSlice<B>>,
    test: Vec<SupportSlice<B>>,
    gate: Gate,
    original: &'a SamPredictor<B>,
    /// With learned prompts, by their learning.
    learned: BTreeMap<String, SamPredictor<B>>,
}

impl Subject<'_> {
    fn name(&self) -> String {
        format!("{}: {}", self.stack.name, self.structure.name)
    }

    fn run<B: Backend>(&self, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<MaskScore>> {
        let protocol = self.protocol;
        let Some(shown) = protocol.split.survey(self.stack.len(), |index| self.mask(index)) else {
            eprintln!("Left out: {} is on {} slices or fewer", self.name(), protocol.split.annotated);
            return Ok(Vec::new());
        };
        let is_ordered = self.stack.is_ordered();
        let gate = &protocol.numbers.gate;
        let gate = if is_ordered { gate.clone() } else { GateConfig { distance_weight: 0.0, ..gate.clone() } };
        let (generators, left_out): (Vec<_>, Vec<_>) =
            protocol.generators.iter().copied().partition(|&kind| is_ordered || kind != AutoKind::Propagation);
        if !left_out.is_empty() {
            eprintln!("Left out: propagation on {}, whose images are in no order", self.name());
        }
        let bar = progress::bar(self.name(), protocol.seeds.len() * generators.len());
        let mut scores = Vec::new();
        for &seed in &protocol.seeds {
            let chosen = protocol.split.choose(&shown, seed);
            bar.set_message("embedding");
            let annotated = self.load(&chosen.annotated, embeddings)?;
            let mut repeat = Repeat {
                subject: self,
                seed,
                gate: gate.fit(&annotated)?,
                annotated,
                test: self.load(&chosen.test, embeddings)?,
                original: embeddings.predictor(),
                learned: BTreeMap::new(),
            };
            repeat.learn(&bar)?;
            for &kind in &generators {
                bar.set_message(format!("seed {seed}, {kind}"));
                scores.extend(repeat.test_generator(kind, embeddings)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(scores)
    }

    fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }

    /// Slices with the truth on them: annotated, or to be tested.
    fn load<B: Backend>(&self, slices: &[usize], embeddings: &mut Embeddings<'_, B>) -> Result<Vec<SupportSlice<B>>> {
        let load = |&index: &usize| Ok(SupportSlice::new(index, embeddings.get(index)?, self.mask(index))?);
        slices.iter().map(load).collect()
    }
}

impl<B: Backend> Repeat<'_, B> {
    /// Learns what prompts mean, once for each sort of learning.
    fn learn(&mut self, bar: &ProgressBar) -> Result<()> {
        let shown = self.annotated.iter().filter(|slice| slice.pixels() > 0);
        let slices = shown
            .map(|slice| AnnotatedSlice::new(slice.embedding().clone(), slice.outline().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for &kind in &self.subject.protocol.hand_overs {
            let config = self.learning(kind);
            let key = serde_json::to_string(&config)?;
            if !self.learned.contains_key(&key) {
                bar.set_message(format!("seed {}, learning {kind}", self.seed));
                let learned = learn(self.original, &slices, &config, &mut |_| ControlFlow::Continue(()))?;
                self.learned.insert(key, learned.adaptation.apply(self.original));
            }
        }
        Ok(())
    }

    fn learning(&self, kind: HandOverKind) -> AssistConfig {
        let config = kind.learning(&self.subject.protocol.learning).clone();
        AssistConfig { seed: self.seed, ..config }.for_slices(self.subject.protocol.split.annotated)
    }

    fn learned(&self, kind: HandOverKind) -> Result<&SamPredictor<B>> {
        self.learned.get(&serde_json::to_string(&self.learning(kind))?).context("every sort of learning was done")
    }

    /// A generator's own masks, and what the predictors make of each hand-over.
    fn test_generator(&self, kind: AutoKind, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<MaskScore>> {
        let protocol = self.subject.protocol;
        let numbers = protocol.numbers.clone().with_seed(self.seed);
        let started = Instant::now();
        let fitted = numbers.fit(kind, &self.annotated, embeddings)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut scores = Vec::new();
        if let Fitted::Coarse(members) = &fitted
            && let [coarse] = &members[..]
        {
            let masks = self.test.iter().map(|slice| coarse.mask(slice.embedding())).collect::<Result<Vec<_>, _>>()?;
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
        kind.hand_over(self.subject.protocol.points, base)
    }

    /// Masks of the test slices; empty where the generators see nothing.
    fn segment(&self, segmenter: &VolumeSegmenter<'_, B>) -> Result<Vec<Array2<bool>>> {
        let segment = |slice: &SupportSlice<B>| {
            let (index, image) = (slice.index(), self.subject.stack.image(slice.index()));
            let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
            let (found, _) = segmenter.segment_slice(&context).with_context(|| format!("slice {index}"))?;
            Ok(found.mask().cloned().unwrap_or_else(|| Array2::from_elem(slice.outline().dim(), false)))
        };
        self.test.iter().map(segment).collect()
    }

    /// With and without the gate. What a gate keeps from being prompted has no mask.
    fn scores(&self, method: &str, seconds: f64, mut masks: Vec<Array2<bool>>) -> Result<[MaskScore; 2]> {
        let truths: Vec<_> = self.test.iter().map(|slice| slice.outline().clone()).collect();
        let score =
            |method, masks: &[_]| MaskScore::of(self.subject.name(), method, self.seed, seconds, masks, &truths);
        let open = score(method.to_owned(), &masks)?;
        for (slice, mask) in self.test.iter().zip(&mut masks) {
            if !self.gate.passes(slice.index(), slice.embedding()) {
                mask.fill(false);
            }
        }
        Ok([open, score(format!("{method}, gated"), &masks)?])
    }
}
