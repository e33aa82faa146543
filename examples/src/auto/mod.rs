//! SAM^auto on a folder of scans: generators fitted to a few annotated slices, held against the truth on the others.
//!
//! Which slices are annotated and which are tested, the seed alone decides: every generator meets the same ones.

mod kind;

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_auto::{
    CoarseConfig, CoarseGenerator, CoarseMethod, HandOver, PromptGenerator, SegmenterConfig, SliceContext, SupportSlice,
    VolumeSegmenter,
};
use sam_core::{Checkpoint, Precision, SamPredictor};
use sam_data::{Folder, SliceAxis, Structure, Window};
use sam_prompt::ndarray::Array2;
use sapnet::{SapNetConfig, SupportConfig};
use serde::Serialize;

pub use kind::{AutoKind, HandOverKind};

use crate::{
    backend::Job, coarse::Split, disk_cache::DiskCache, embeddings::Embeddings, mask_score::MaskScore, progress,
    protocol::Learning, stack::Stack, weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct AutoProtocol {
    /// The data folder.
    pub data: PathBuf,
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
    /// All else about handing on.
    pub hand_over: HandOver,
    /// Numbers of SAP-Net.
    pub sapnet: SapNetConfig,
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
        protocol.sapnet.check()?;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let predictor = predictor.with_encoder_precision(protocol.precision)?;
        let folder = Folder::open(&protocol.data)?;
        let structures = folder.table().parse_structures(&protocol.structures)?;
        let mut scores = Vec::new();
        for stack in Stack::of_cases(folder.cases(), protocol.axis, &protocol.window)? {
            let mut embeddings = Embeddings::new(&predictor, &stack, self.disk);
            for structure in &structures {
                let subject = Subject { protocol, stack: &stack, structure };
                scores.extend(subject.run(&mut embeddings).with_context(|| subject.name())?);
            }
        }
        ensure!(
            !scores.is_empty(),
            "no case of {} shows any of the structures \"{}\" on more than {} slices",
            protocol.data.display(),
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
    original: &'a SamPredictor<B>,
    /// With learned prompts, by what is handed on.
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
        let bar = progress::bar(self.name(), protocol.seeds.len() * protocol.generators.len());
        let mut scores = Vec::new();
        for &seed in &protocol.seeds {
            let chosen = protocol.split.choose(&shown, seed);
            bar.set_message("embedding");
            let mut repeat = Repeat {
                subject: self,
                seed,
                annotated: self.load(&chosen.annotated, embeddings)?,
                test: self.load(&chosen.test, embeddings)?,
                original: embeddings.predictor(),
                learned: BTreeMap::new(),
            };
            repeat.learn(&bar)?;
            for &kind in &protocol.generators {
                bar.set_message(format!("seed {seed}, {kind}"));
                scores.extend(repeat.test_generator(kind)?);
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
    fn load<B: Backend>(
        &self,
        slices: &[usize],
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<SupportSlice<B>>> {
        let load = |&index: &usize| Ok(SupportSlice::new(index, embeddings.get(index)?, self.mask(index))?);
        slices.iter().map(load).collect()
    }
}

impl<B: Backend> Repeat<'_, B> {
    /// Learns what is handed on means, once for each sort of learning.
    fn learn(&mut self, bar: &ProgressBar) -> Result<()> {
        let shown = self.annotated.iter().filter(|slice| slice.pixels() > 0);
        let slices = shown
            .map(|slice| AnnotatedSlice::new(slice.embedding().clone(), slice.outline().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for kind in &self.subject.protocol.hand_overs {
            let config = AssistConfig { seed: self.seed, ..kind.learning(&self.subject.protocol.learning).clone() };
            let known = serde_json::to_string(&config)?;
            if !self.learned.contains_key(&known) {
                bar.set_message(format!("seed {}, learning {kind}", self.seed));
                let learned = learn(self.original, &slices, &config, &mut |_| std::ops::ControlFlow::Continue(()))?;
                self.learned.insert(known, learned.adaptation.apply(self.original));
            }
        }
        Ok(())
    }

    fn learned(&self, kind: HandOverKind) -> Result<&SamPredictor<B>> {
        let config = AssistConfig { seed: self.seed, ..kind.learning(&self.subject.protocol.learning).clone() };
        self.learned.get(&serde_json::to_string(&config)?).context("every sort of learning was done")
    }

    /// A generator's own masks, and what the predictors make of each hand-over.
    fn test_generator(&self, kind: AutoKind) -> Result<Vec<MaskScore>> {
        let protocol = self.subject.protocol;
        let started = Instant::now();
        let coarse = self.fit(kind)?;
        let seconds = started.elapsed().as_secs_f64();
        let masks = self.test.iter().map(|slice| coarse.mask(slice.embedding())).collect::<Result<Vec<_>, _>>()?;
        let mut scores = vec![self.score(format!("{kind}, coarse"), seconds, &masks)?];
        for &hand_over in &protocol.hand_overs {
            let generator = coarse.with_hand_over(hand_over.hand_over(protocol.points, &self.hand_over()))?;
            for (prompts, predictor) in [("original", self.original), ("learned", self.learned(hand_over)?)] {
                let masks = self.segment(&[&generator], predictor)?;
                scores.push(self.score(format!("{kind}, {hand_over}, {prompts}"), seconds, &masks)?);
            }
        }
        Ok(scores)
    }

    fn hand_over(&self) -> HandOver {
        HandOver { seed: self.seed, ..self.subject.protocol.hand_over.clone() }
    }

    fn fit(&self, kind: AutoKind) -> Result<CoarseGenerator<B>> {
        let method = match kind {
            AutoKind::Panet => CoarseMethod::Panet(SupportConfig::default()),
            AutoKind::Sapnet => {
                CoarseMethod::Sapnet(SapNetConfig { seed: self.seed, ..self.subject.protocol.sapnet.clone() })
            }
        };
        Ok(CoarseConfig { method, hand_over: self.hand_over() }.fit(&self.annotated)?)
    }

    /// Masks of the test slices; empty where the generators see nothing.
    fn segment(
        &self,
        generators: &[&dyn PromptGenerator<B>],
        predictor: &SamPredictor<B>,
    ) -> Result<Vec<Array2<bool>>> {
        let segmenter = VolumeSegmenter::new(predictor, generators.to_vec(), SegmenterConfig::default())?;
        let segment = |slice: &SupportSlice<B>| {
            let (index, image) = (slice.index(), self.subject.stack.image(slice.index()));
            let context = SliceContext { index, image: image.view(), embedding: slice.embedding() };
            let (found, _) = segmenter.segment_slice(&context).with_context(|| format!("slice {index}"))?;
            Ok(found.mask().cloned().unwrap_or_else(|| Array2::from_elem(slice.outline().dim(), false)))
        };
        self.test.iter().map(segment).collect()
    }

    fn score(&self, method: String, seconds: f64, masks: &[Array2<bool>]) -> Result<MaskScore> {
        let truths: Vec<_> = self.test.iter().map(|slice| slice.outline().clone()).collect();
        MaskScore::of(self.subject.name(), method, self.seed, seconds, masks, &truths)
    }
}
