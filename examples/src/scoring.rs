//! Simulated prompts in, scores out: how every comparison with a ground truth is made.

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_core::{ImageEmbedding, SamPredictor};
use sam_eval::{EmptyPolicy, InteractionSummary, Record, Summary, best_score, dice};
use sam_prompt::{
    CorrectionClick, PromptDraw, PromptKind, Prompts, SamplingScheme,
    ndarray::{Array2, ArrayView2},
};
use serde::Serialize;

use crate::{
    correction::{Series, correct},
    test_prompt::TestPrompt,
};

/// Every number of prompting and scoring test slices.
#[derive(Debug, Clone, Serialize)]
pub struct Scoring {
    /// How prompts are drawn from the ground truth; boxes are off by its jitter.
    pub draw: PromptDraw,
    /// Where points are drawn.
    pub sampling: SamplingScheme,
    /// Where correcting clicks lie.
    pub correction: CorrectionClick,
    /// Whether a corrected prediction starts from the logits of the one before.
    pub feed_back: bool,
    /// Values of Dice whose NoC (number of clicks) is counted in series of interactions.
    pub targets: Vec<f64>,
}

impl Default for Scoring {
    /// The paper's validation: jittered boxes, uniform points, clicks at the peak of the largest error, nothing fed back.
    fn default() -> Self {
        Self {
            draw: PromptDraw::default(),
            sampling: SamplingScheme::Uniform,
            correction: CorrectionClick::default(),
            feed_back: false,
            targets: vec![0.85, 0.9],
        }
    }
}

/// A slice to be tested.
#[derive(Debug)]
pub struct TestSlice<'a, B: Backend> {
    /// Its place in the stack; with the seed, it decides what is drawn.
    pub index: usize,
    /// The slice, embedded.
    pub embedding: &'a ImageEmbedding<B>,
    /// The ground truth: `[rows, columns]`.
    pub truth: ArrayView2<'a, bool>,
}

/// What came of testing a slice.
#[derive(Debug, Clone)]
pub struct Tested {
    /// All prompts that were given.
    pub prompts: Prompts,
    /// What was found in the end.
    pub mask: Array2<bool>,
    /// Dice after each interaction; one where all prompts were given at once.
    pub dice: Vec<f64>,
}

/// What is tested upon.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Data set.
    pub dataset: &'a str,
    /// Case within it.
    pub case: &'a str,
    /// Structure.
    pub structure: &'a str,
    /// Seed of the repeat.
    pub seed: u64,
}

/// What is tested.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Its name in records.
    pub name: &'static str,
    /// How many slices it learned from.
    pub annotated_slices: usize,
    /// How long it learned.
    pub train_seconds: f64,
}

impl Method {
    /// SAM with the prompt encoder it came with.
    pub const ORIGINAL: Self = Self { name: "original", annotated_slices: 0, train_seconds: 0.0 };

    /// SAM with a learned prompt encoder.
    pub const fn assist(annotated_slices: usize, train_seconds: f64) -> Self {
        Self { name: "assist", annotated_slices, train_seconds }
    }
}

impl Scoring {
    /// Prompts a slice as an annotator would who knows the truth, and scores what is found.
    ///
    /// Seed and slice alone decide what is drawn, so that every predictor meets the same prompts; correcting clicks depend on what
    /// they correct.
    ///
    /// # Errors
    /// If the truth is empty, or prediction fails.
    pub fn test<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        slice: &TestSlice<'_, B>,
        prompt: TestPrompt,
        seed: u64,
    ) -> Result<Tested> {
        let series =
            self.prompt(predictor, slice, prompt, seed).with_context(|| format!("testing slice {}", slice.index))?;
        let score = |mask: &Array2<bool>| dice(mask, &slice.truth, EmptyPolicy::Nan);
        let dice = series.masks.iter().map(score).collect::<Result<_, _>>()?;
        let nothing = || Array2::from_elem(slice.truth.dim(), false);
        Ok(Tested { prompts: series.prompts, mask: series.masks.into_iter().last().unwrap_or_else(nothing), dice })
    }

    fn prompt<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        slice: &TestSlice<'_, B>,
        prompt: TestPrompt,
        seed: u64,
    ) -> Result<Series> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1 + slice.index as u64);
        let (embedding, truth) = (slice.embedding, slice.truth);
        // An object may have fewer pixels than points are asked for.
        let sampler = self.sampling.sampler(true);
        let mut draw = |kind| self.draw.draw(kind, truth, &*sampler, &mut rng);
        let (boxes, clicks) = match prompt {
            TestPrompt::Once(kind) => {
                let prompts = draw(kind)?;
                let masks = vec![predictor.predict(embedding, &prompts)?.mask()];
                return Ok(Series { prompts, masks });
            }
            TestPrompt::Active(clicks) => (draw(PromptKind::Box)?.boxes, clicks),
            TestPrompt::Clicks(clicks) => (Vec::new(), clicks),
        };
        correct(boxes, truth, clicks, self.correction, &mut rng, &mut |prompts, earlier| {
            Ok(match earlier.filter(|_| self.feed_back) {
                Some(earlier) => predictor.refine(embedding, prompts, earlier)?,
                None => predictor.predict(embedding, prompts)?,
            })
        })
    }

    /// Sums up the tested slices of one run.
    pub fn record(&self, subject: Subject<'_>, method: Method, prompt: TestPrompt, tested: &[Tested]) -> Record {
        let series: Vec<&[f64]> = tested.iter().map(|slice| &slice.dice[..]).collect();
        Record {
            dataset: subject.dataset.to_owned(),
            case: subject.case.to_owned(),
            structure: subject.structure.to_owned(),
            method: method.name.to_owned(),
            annotated_slices: method.annotated_slices,
            prompt: prompt.to_string(),
            seed: subject.seed,
            dice: Summary::of(series.iter().map(|scores| best_score(scores))),
            iou: None,
            interaction: prompt.interactions().map(|most| InteractionSummary::of(&series, most, &self.targets)),
            train_seconds: method.train_seconds,
            simulated_prompts: true,
        }
    }
}
