//! Simulated prompts in, scores out: how every comparison with a ground truth is made.

use ndarray::{Array2, ArrayView2};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_prompt::{CorrectionClick, PromptDraw, PromptError, PromptKind, Prompts, SamplingScheme};
use serde::{Deserialize, Serialize};

use super::{
    Series, TestPrompt,
    correction::{Segment, correct},
};
use crate::{Confusion, EmptyPolicy, EvalError, InteractionSummary, Record, SliceScore, Summary, best_score, dice};

/// Someone who prompts test slices as an annotator would, but sees the ground truth: every number of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatedUser {
    /// How prompts are drawn from the ground truth; boxes are off by its jitter.
    pub draw: PromptDraw,
    /// Where points are drawn.
    pub sampling: SamplingScheme,
    /// Where correcting clicks lie.
    pub correction: CorrectionClick,
    /// Whether a corrected prediction starts from the one before.
    pub feed_back: bool,
    /// Values of Dice whose NoC (number of clicks) is counted in series of interactions.
    pub targets: Vec<f64>,
}

impl Default for SimulatedUser {
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

/// What came of testing a slice.
#[derive(Debug, Clone, PartialEq)]
pub struct TestedSlice {
    /// Its place in the stack.
    pub index: usize,
    /// All prompts that were given.
    pub prompts: Prompts,
    /// What was found in the end: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// Dice after each interaction; one where all prompts were given at once.
    pub dice: Vec<f64>,
    /// Intersection over union of what was found in the end.
    pub iou: f64,
    /// What the segmenter predicted of it, where the object was found in one piece.
    pub predicted_iou: Option<f64>,
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
pub struct Method<'a> {
    /// Its name in records.
    pub name: &'a str,
    /// How many slices it learned from.
    pub annotated_slices: usize,
    /// How long it learned.
    pub train_seconds: f64,
}

impl Method<'static> {
    /// SAM with the prompt encoder it came with.
    pub const ORIGINAL: Self = Self { name: "original", annotated_slices: 0, train_seconds: 0.0 };

    /// SAM with a learned prompt encoder.
    pub const fn assist(annotated_slices: usize, train_seconds: f64) -> Self {
        Self { name: "assist", annotated_slices, train_seconds }
    }
}

impl SimulatedUser {
    /// Prompts a slice, given by its place in the stack, and scores what is found.
    ///
    /// Seed and slice alone decide what is drawn, so that every segmenter meets the same prompts; correcting clicks depend on what
    /// they correct.
    ///
    /// # Shapes
    /// - truth, and each mask that is found: `[rows, columns]`
    ///
    /// # Errors
    /// If the truth is empty, if a mask has another size than the truth, and those of the segmenter.
    pub fn test<S, E: From<EvalError> + From<PromptError>>(
        &self,
        index: usize,
        truth: ArrayView2<'_, bool>,
        prompt: TestPrompt,
        seed: u64,
        segment: &mut Segment<'_, S, E>,
    ) -> Result<TestedSlice, E> {
        let series = self.prompt(index, truth, prompt, seed, segment)?;
        let score = |mask: &Array2<bool>| dice(mask, &truth, EmptyPolicy::Nan);
        let dice = series.masks.iter().map(score).collect::<Result<_, _>>()?;
        let nothing = || Array2::from_elem(truth.dim(), false);
        let mask = series.masks.into_iter().last().unwrap_or_else(nothing);
        let iou = Confusion::count(&mask, &truth)?.iou(EmptyPolicy::Nan);
        Ok(TestedSlice { index, prompts: series.prompts, mask, dice, iou, predicted_iou: series.predicted_iou })
    }

    fn prompt<S, E: From<PromptError>>(
        &self,
        index: usize,
        truth: ArrayView2<'_, bool>,
        prompt: TestPrompt,
        seed: u64,
        segment: &mut Segment<'_, S, E>,
    ) -> Result<Series, E> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1 + index as u64);
        // An object may have fewer pixels than points are asked for.
        let sampler = self.sampling.sampler(true);
        let mut draw = |kind| self.draw.draw(kind, truth, &*sampler, &mut rng);
        let (boxes, clicks) = match prompt {
            TestPrompt::Once(kind) => {
                let prompts = draw(kind)?;
                let found = segment(&prompts, None)?;
                return Ok(Series { prompts, masks: vec![found.mask], predicted_iou: found.predicted_iou });
            }
            TestPrompt::Active(clicks) => (draw(PromptKind::Box)?.boxes, clicks),
            TestPrompt::Clicks(clicks) => (Vec::new(), clicks),
        };
        correct(boxes, truth, clicks, self.correction, &mut rng, &mut |prompts, earlier| {
            segment(prompts, earlier.filter(|_| self.feed_back))
        })
    }

    /// Sums up the tested slices of one run.
    pub fn record(
        &self,
        subject: Subject<'_>,
        method: Method<'_>,
        prompt: TestPrompt,
        tested: &[TestedSlice],
    ) -> Record {
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
            slices: tested.iter().map(SliceScore::of).collect(),
            train_seconds: method.train_seconds,
            simulated_prompts: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Found;

    /// Two discs.
    fn discs(rows: usize, columns: usize) -> Array2<bool> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            [columns / 4, 3 * columns / 4]
                .iter()
                .any(|&x| row.abs_diff(rows / 2).pow(2) + column.abs_diff(x).pow(2) < 40)
        })
    }

    /// What a poor segmenter finds: squares around the clicks on the object, and boxes; counts how often it was given its last answer.
    fn squares(truth: &Array2<bool>, prompts: &Prompts, earlier: Option<&Found<usize>>) -> Found<usize> {
        let mask = Array2::from_shape_fn(truth.dim(), |(row, column)| {
            let (x, y) = (column as f32, row as f32);
            let near = |point: &sam_prompt::Point| (point.x - x).abs().max((point.y - y).abs()) <= 3.0;
            prompts.boxes.iter().any(|part| part.contains(x, y))
                || prompts.points.iter().any(|point| point.label == sam_prompt::Label::Foreground && near(point))
        });
        Found { mask, predicted_iou: Some(0.5), state: earlier.map_or(0, |found| found.state + 1) }
    }

    fn test(user: &SimulatedUser, truth: &Array2<bool>, prompt: TestPrompt) -> TestedSlice {
        let found: Result<_, anyhow::Error> =
            user.test(3, truth.view(), prompt, 7, &mut |prompts, earlier| Ok(squares(truth, prompts, earlier)));
        found.expect("an object on it")
    }

    #[test]
    fn active_sampling_begins_with_the_very_boxes_that_are_tested_alone() {
        let user = SimulatedUser::default();
        for (rows, columns) in [(40, 64), (96, 50)] {
            let truth = discs(rows, columns);
            let boxed = test(&user, &truth, TestPrompt::Once(PromptKind::Box));
            let active = test(&user, &truth, TestPrompt::Active(3));
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
            let user = SimulatedUser { sampling, ..SimulatedUser::default() };
            let prompts = || test(&user, &truth, prompt).prompts;
            let one = prompts();
            assert_eq!(one, prompts());
            one
        };
        let [uniform, center, boundary] = SamplingScheme::ALL.map(drawn);
        assert!(uniform != center && center != boundary && boundary != uniform);
    }

    #[test]
    fn what_was_found_is_handed_back_only_when_asked_for() {
        let truth = discs(40, 64);
        let handed_back = |feed_back| {
            let user = SimulatedUser { feed_back, ..SimulatedUser::default() };
            let mut states = Vec::new();
            let tested: Result<_, anyhow::Error> =
                user.test(3, truth.view(), TestPrompt::Clicks(3), 7, &mut |prompts, earlier| {
                    let found = squares(&truth, prompts, earlier);
                    states.push(found.state);
                    Ok(found)
                });
            (states, tested.expect("an object on it"))
        };
        let ((never, plain), (each, fed)) = (handed_back(false), handed_back(true));
        assert_eq!((never, each), (vec![0, 0, 0], vec![0, 1, 2]));
        assert_eq!(plain, fed, "this segmenter makes nothing of it");
        assert_eq!((plain.predicted_iou, plain.index), (Some(0.5), 3));
    }

    #[test]
    fn an_empty_slice_and_a_mask_of_another_size_are_refused() {
        let segment = |prompts: &Prompts, _: Option<&Found>| -> Result<Found, anyhow::Error> {
            assert!(!prompts.points.is_empty());
            Ok(Found { mask: Array2::from_elem((2, 2), true), predicted_iou: None, state: () })
        };
        let prompt = TestPrompt::Once(PromptKind::Points(1));
        let user = SimulatedUser::default();
        let empty = Array2::from_elem((40, 64), false);
        user.test(0, empty.view(), prompt, 0, &mut { segment }).expect_err("nothing to click on");
        let error = user.test(0, discs(40, 64).view(), prompt, 0, &mut { segment }).expect_err("another size");
        assert!(error.to_string().contains("[2, 2]"), "{error}");
    }

    #[test]
    fn records_hold_the_best_dice_and_series_what_came_of_each_click() {
        let tested = TestedSlice {
            index: 4,
            prompts: Prompts::default(),
            mask: Array2::from_elem((1, 1), false),
            dice: vec![0.5, 0.95, 0.75],
            iou: 0.6,
            predicted_iou: Some(0.7),
        };
        let subject = Subject { dataset: "abdomen", case: "1", structure: "liver", seed: 3 };
        let record = |prompt| {
            SimulatedUser::default().record(subject, Method::assist(2, 9.5), prompt, std::slice::from_ref(&tested))
        };
        let active = record(TestPrompt::Active(2));
        assert_eq!((active.dice.mean, active.prompt.as_str(), active.annotated_slices), (Some(0.95), "active-2", 2));
        let interaction = active.interaction.expect("a series");
        assert_eq!((interaction.limit, interaction.last.mean), (3, Some(0.75)));
        assert_eq!(interaction.noc.iter().map(|noc| noc.clicks.mean).collect::<Vec<_>>(), [Some(2.0); 2]);
        let slice = SliceScore { slice: 4, dice: Some(0.95), iou: Some(0.6), predicted_iou: Some(0.7) };
        assert_eq!(active.slices, [slice]);
        assert_eq!(record(TestPrompt::Once(PromptKind::Box)).interaction, None);
    }
}
