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

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn_flex::Flex;
    use sam_core::{SamConfig, ViTConfig};
    use sam_prompt::ndarray::Array3;

    use super::*;

    /// A small SAM of random weights, and images of different sizes with two discs each: what matters here is not the model.
    fn predictor() -> SamPredictor<Flex> {
        let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
        SamPredictor::new(config.init(&burn_flex::FlexDevice), config.preprocess)
    }

    fn discs(rows: usize, columns: usize) -> Array2<bool> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            [columns / 4, 3 * columns / 4]
                .iter()
                .any(|&x| row.abs_diff(rows / 2).pow(2) + column.abs_diff(x).pow(2) < 40)
        })
    }

    fn test(scoring: &Scoring, predictor: &SamPredictor<Flex>, truth: &Array2<bool>, prompt: TestPrompt) -> Tested {
        let image =
            Array3::from_shape_fn(
                (truth.dim().0, truth.dim().1, 3),
                |(row, column, _)| {
                    if truth[(row, column)] { 180.0 } else { 40.0 }
                },
            );
        let embedding = predictor.embed(image.view()).expect("an image");
        let slice = TestSlice { index: 3, embedding: &embedding, truth: truth.view() };
        scoring.test(predictor, &slice, prompt, 7).expect("an object on it")
    }

    #[test]
    fn active_sampling_begins_with_the_very_boxes_that_are_tested_alone() {
        let (scoring, predictor) = (Scoring::default(), predictor());
        for (rows, columns) in [(40, 64), (96, 50)] {
            let truth = discs(rows, columns);
            let boxed = test(&scoring, &predictor, &truth, TestPrompt::Once(PromptKind::Box));
            let active = test(&scoring, &predictor, &truth, TestPrompt::Active(3));
            assert_eq!(boxed.prompts.boxes.len(), 2);
            assert_eq!(active.prompts.boxes, boxed.prompts.boxes);
            assert_eq!(active.dice[0].to_bits(), boxed.dice[0].to_bits());
            assert_eq!((active.dice.len(), active.prompts.points.len()), (4, 3));
        }
    }

    #[test]
    fn seed_and_slice_decide_what_is_drawn_and_the_scheme_decides_where() {
        let (truth, prompt) = (discs(40, 64), TestPrompt::Once(PromptKind::Points(3)));
        let drawn = |sampling| {
            let scoring = Scoring { sampling, ..Scoring::default() };
            // Two models of different weights.
            let prompts = || test(&scoring, &predictor(), &truth, prompt).prompts;
            let one = prompts();
            assert_eq!(one, prompts());
            one
        };
        let [uniform, center, boundary] = SamplingScheme::ALL.map(drawn);
        assert!(uniform != center && center != boundary && boundary != uniform);
    }

    #[test]
    fn what_is_fed_back_changes_what_follows_and_not_what_went_before() {
        let (truth, predictor) = (discs(40, 64), predictor());
        let plain = test(&Scoring::default(), &predictor, &truth, TestPrompt::Clicks(3));
        let fed = test(&Scoring { feed_back: true, ..Scoring::default() }, &predictor, &truth, TestPrompt::Clicks(3));
        assert_eq!(plain.dice[0].to_bits(), fed.dice[0].to_bits());
        assert_eq!(plain.prompts.points[0], fed.prompts.points[0]);
        assert_ne!(plain.mask, fed.mask);
    }

    #[test]
    fn records_hold_the_best_dice_and_series_what_came_of_each_click() {
        let tested =
            Tested { prompts: Prompts::default(), mask: Array2::from_elem((1, 1), false), dice: vec![0.5, 0.95, 0.75] };
        let subject = Subject { dataset: "abdomen", case: "1", structure: "liver", seed: 3 };
        let record =
            |prompt| Scoring::default().record(subject, Method::assist(2, 9.5), prompt, std::slice::from_ref(&tested));
        let active = record(TestPrompt::Active(2));
        assert_eq!((active.dice.mean, active.prompt.as_str(), active.annotated_slices), (Some(0.95), "active-2", 2));
        let interaction = active.interaction.expect("a series");
        assert_eq!((interaction.limit, interaction.last.mean), (3, Some(0.75)));
        assert_eq!(interaction.noc.iter().map(|noc| noc.clicks.mean).collect::<Vec<_>>(), [Some(2.0); 2]);
        assert_eq!(record(TestPrompt::Once(PromptKind::Box)).interaction, None);
    }
}
