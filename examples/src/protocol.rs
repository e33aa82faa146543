//! The paper's per-case protocol: learn on a few slices of a case, test on the others.
//!
//! Prompts are simulated from the ground truth, in learning and in testing, as the paper does.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_core::{Checkpoint, ImageEmbedding, Precision, SamPredictor};
use sam_data::{Folder, SliceAxis, Structure, Window};
use sam_eval::{EmptyPolicy, Record, Summary, dice};
use sam_prompt::{PromptDraw, PromptKind, SliceSelection, Uniform, ndarray};
use serde::Serialize;

use crate::{backend::Job, progress, stack::Stack};

/// Every number of an evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct Protocol {
    /// The data folder.
    pub data: PathBuf,
    /// Which structures, as given.
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// Numbers of annotated slices.
    pub slices: Vec<usize>,
    /// Prompts to test with.
    pub prompts: Vec<PromptKind>,
    /// How slices are chosen for annotation.
    pub selection: SliceSelection,
    /// How often all is done, each time with other slices and prompts.
    pub repeats: u64,
    /// Seed of the first repeat; the next has the next number.
    pub seed: u64,
    /// Volumes of more slices are taken at a step that leaves at most this many.
    pub max_slices: usize,
    /// At most this many slices are tested, at equal distances.
    pub max_test_slices: usize,
    /// Slices with fewer pixels of the structure count as not showing it.
    pub min_object_pixels: usize,
    /// How test prompts are drawn.
    pub draw: PromptDraw,
    /// What the image encoder computes in.
    pub precision: Precision,
    /// Learning for tests with points.
    pub points: AssistConfig,
    /// Learning for tests with boxes.
    pub boxes: AssistConfig,
}

/// An evaluation of one data folder with one checkpoint.
#[derive(Debug)]
pub struct EvaluateJob<'a> {
    /// Every number of it.
    pub protocol: &'a Protocol,
    /// The checkpoint.
    pub weights: PathBuf,
}

impl Job for EvaluateJob<'_> {
    type Output = Vec<Record>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<Record>> {
        let protocol = self.protocol;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights)?.predictor(device)?;
        let predictor = predictor.with_encoder_precision(protocol.precision);
        let folder = Folder::open(&protocol.data)?;
        let mut records = Vec::new();
        for stack in Stack::of_cases(folder.cases(), protocol.axis, &protocol.window)? {
            let structures = folder.table().parse_structures(&protocol.structures)?;
            let mut cache = BTreeMap::new();
            for structure in &structures {
                let case =
                    CaseRun { protocol, predictor: &predictor, stack: &stack, structure, dataset: folder.name() };
                records.extend(case.run(&mut cache)?);
            }
        }
        ensure!(
            !records.is_empty(),
            "no case of {} shows any of the structures \"{}\" on enough slices",
            protocol.data.display(),
            protocol.structures
        );
        Ok(records)
    }
}

/// Embedded slices by index.
type Cache<B> = BTreeMap<usize, ImageEmbedding<B>>;

/// One structure of one case.
struct CaseRun<'a, B: Backend> {
    protocol: &'a Protocol,
    predictor: &'a SamPredictor<B>,
    stack: &'a Stack,
    structure: &'a Structure,
    dataset: &'a str,
}

impl<B: Backend> CaseRun<'_, B> {
    fn run(&self, cache: &mut Cache<B>) -> Result<Vec<Record>> {
        let foreground = self.foreground();
        let most = self.protocol.slices.iter().copied().max().unwrap_or(0);
        if foreground.len() <= most {
            let (name, found) = (&self.structure.name, foreground.len());
            eprintln!("Left out: {} {name} is on {found} slices, {} are needed", self.stack.name, most + 1);
            return Ok(Vec::new());
        }
        let bar = progress::bar(format!("{}: {}", self.stack.name, self.structure.name), self.steps());
        for &index in &foreground {
            if let Entry::Vacant(place) = cache.entry(index) {
                bar.set_message(format!("embedding slice {index}"));
                place.insert(self.stack.embed(self.predictor, index)?);
            }
        }
        let mut records = Vec::new();
        for repeat in 0..self.protocol.repeats {
            records.extend(self.repeat(self.protocol.seed + repeat, &foreground, most, cache, &bar)?);
        }
        bar.finish_and_clear();
        Ok(records)
    }

    /// Slices that show the structure, at the protocol's step.
    fn foreground(&self) -> Vec<usize> {
        let step = self.stack.len().div_ceil(self.protocol.max_slices.max(1)).max(1);
        let shows = |&index: &usize| {
            let mask = self.stack.mask(index, &self.structure.values);
            mask.iter().filter(|&&inside| inside).count() >= self.protocol.min_object_pixels.max(1)
        };
        (0..self.stack.len()).step_by(step).filter(shows).collect()
    }

    /// Progress steps of all repeats.
    fn steps(&self) -> usize {
        let protocol = self.protocol;
        let tested_with = |boxed| protocol.prompts.iter().any(|prompt| is_boxed(*prompt) == boxed);
        let learning = usize::from(tested_with(false)) * protocol.points.iterations
            + usize::from(tested_with(true)) * protocol.boxes.iterations;
        protocol.repeats as usize * protocol.slices.len() * learning
    }

    fn repeat(
        &self,
        seed: u64,
        foreground: &[usize],
        most: usize,
        cache: &Cache<B>,
        bar: &ProgressBar,
    ) -> Result<Vec<Record>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let chosen = self.protocol.selection.choose(foreground, most, &mut rng);
        // All numbers of annotated slices are tested on the same slices.
        let rest: Vec<usize> = foreground.iter().copied().filter(|index| !chosen.contains(index)).collect();
        let test = SliceSelection::Equidistant.choose(&rest, self.protocol.max_test_slices, &mut rng);

        let mut records = Vec::new();
        for &prompt in &self.protocol.prompts {
            let scores = self.test(self.predictor, prompt, &test, seed, cache)?;
            records.push(self.record("original", 0, prompt, seed, &scores, 0.0));
        }
        for &count in &self.protocol.slices {
            let annotated = chosen[..count]
                .iter()
                .map(|&index| Ok(AnnotatedSlice::new(cache[&index].clone(), self.mask(index))?))
                .collect::<Result<Vec<_>>>()?;
            for (boxed, config) in [(false, &self.protocol.points), (true, &self.protocol.boxes)] {
                let prompts: Vec<_> =
                    self.protocol.prompts.iter().filter(|prompt| is_boxed(**prompt) == boxed).collect();
                if prompts.is_empty() {
                    continue;
                }
                let config = AssistConfig { seed, ..config.clone() };
                let learned = learn(self.predictor, &annotated, &config, &mut progress::learning(bar))?;
                let predictor = learned.adaptation.apply(self.predictor);
                for &prompt in prompts {
                    let scores = self.test(&predictor, prompt, &test, seed, cache)?;
                    records.push(self.record("assist", count, prompt, seed, &scores, learned.seconds));
                }
            }
        }
        Ok(records)
    }

    fn mask(&self, index: usize) -> ndarray::Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }

    /// The Dice of each test slice. The same seed draws the same prompts for every method.
    fn test(
        &self,
        predictor: &SamPredictor<B>,
        prompt: PromptKind,
        test: &[usize],
        seed: u64,
        cache: &Cache<B>,
    ) -> Result<Vec<f64>> {
        let sampler = Uniform { replacement: true };
        let score = |&index: &usize| {
            let truth = self.mask(index);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(1 + index as u64);
            let prompts = self
                .protocol
                .draw
                .draw(prompt, truth.view(), &sampler, &mut rng)
                .with_context(|| format!("slice {index} of {}", self.stack.name))?;
            let prediction = predictor.predict(&cache[&index], &prompts)?;
            Ok(dice(&prediction.mask(), &truth, EmptyPolicy::Nan)?)
        };
        test.iter().map(score).collect()
    }

    fn record(
        &self,
        method: &str,
        count: usize,
        prompt: PromptKind,
        seed: u64,
        scores: &[f64],
        seconds: f64,
    ) -> Record {
        Record {
            dataset: self.dataset.to_owned(),
            case: self.stack.name.clone(),
            structure: self.structure.name.clone(),
            method: method.to_owned(),
            annotated_slices: count,
            prompt: prompt.to_string(),
            seed,
            dice: Summary::of(scores.iter().copied()),
            iou: None,
            interaction: None,
            train_seconds: seconds,
            simulated_prompts: true,
        }
    }
}

/// Whether a prompt holds a box, and so is learned with boxes.
fn is_boxed(prompt: PromptKind) -> bool {
    !matches!(prompt, PromptKind::Points(_))
}
