//! A simulated annotator: prompts drawn from the ground truth, and scores against it.

use ndarray::{Array2, ArrayView2};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_prompt::{
    BoundingBox, ClickReach, CorrectionClick, PromptDraw, PromptError, PromptKind, Prompts, Replacement, SamplingScheme,
};
use serde::{Deserialize, Serialize};

use super::{
    InteractionSeries, Prediction, TestPrompt,
    correction::{Segment, correct},
};
use crate::{Confusion, EmptyPolicy, EvalError, InteractionSummary, Record, SliceScore, Summary, best_score, dice};

/// The configuration of a simulated annotator, who prompts test slices from their ground truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatedUser {
    /// How prompts are drawn from the ground truth, with the jitter of boxes.
    pub draw: PromptDraw,
    /// How points are drawn.
    pub sampling: SamplingScheme,
    /// How correcting clicks are placed.
    pub correction: CorrectionClick,
    /// What a correcting click changes of the mask. `None`: the whole mask, as in the paper.
    pub reach: Option<ClickReach>,
    /// Whether the earlier prediction is given to the segmenter, which may use it as a mask prompt.
    pub feed_back: bool,
    /// The Dice scores for which the number of clicks (NoC) is counted in series of interactions.
    pub targets: Vec<f64>,
}

impl Default for SimulatedUser {
    /// The paper's validation: jittered boxes, uniform points, clicks at the peak of the largest error, nothing fed back.
    fn default() -> Self {
        Self {
            draw: PromptDraw::default(),
            sampling: SamplingScheme::Uniform,
            correction: CorrectionClick::default(),
            reach: None,
            feed_back: false,
            targets: vec![0.85, 0.9],
        }
    }
}

/// The result of testing a slice.
#[derive(Debug, Clone, PartialEq)]
pub struct TestedSlice {
    /// Its index in the stack.
    pub index: usize,
    /// All prompts that were given.
    pub prompts: Prompts,
    /// The final mask: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// Dice after each interaction; a single one if all prompts were given at once.
    pub dice: Vec<f64>,
    /// Intersection over union of the final mask.
    pub iou: f64,
    /// The segmenter's estimate of the intersection over union, if it gives one and the object has one part.
    pub predicted_iou: Option<f64>,
}

/// The structure of a case that is tested, for records.
#[derive(Debug, Clone, Copy)]
pub struct TestSubject<'a> {
    /// Data set.
    pub dataset: &'a str,
    /// Case within it.
    pub case: &'a str,
    /// Structure.
    pub structure: &'a str,
    /// Seed of the repeat.
    pub seed: u64,
}

/// The method that is tested, for records.
#[derive(Debug, Clone, Copy)]
pub struct TestedMethod<'a> {
    /// Its name in records.
    pub name: &'a str,
    /// Number of slices that it was trained on.
    pub annotated_slices: usize,
    /// Duration of the training.
    pub train_seconds: f64,
}

impl TestedMethod<'static> {
    /// SAM with its original prompt encoder.
    pub const ORIGINAL: Self = Self { name: "original", annotated_slices: 0, train_seconds: 0.0 };

    /// SAM with a learned prompt encoder.
    pub const fn assist(annotated_slices: usize, train_seconds: f64) -> Self {
        Self { name: "assist", annotated_slices, train_seconds }
    }
}

impl TestedSlice {
    /// Scores the predictions of a slice.
    fn score(index: usize, series: InteractionSeries, truth: ArrayView2<'_, bool>) -> Result<Self, EvalError> {
        let score = |mask: &Array2<bool>| dice(mask, &truth, EmptyPolicy::Nan);
        let dice = series.masks.iter().map(score).collect::<Result<_, _>>()?;
        let nothing = || Array2::from_elem(truth.dim(), false);
        let mask = series.masks.into_iter().last().unwrap_or_else(nothing);
        let iou = Confusion::count(&mask, &truth)?.iou(EmptyPolicy::Nan);
        Ok(Self { index, prompts: series.prompts, mask, dice, iou, predicted_iou: series.predicted_iou })
    }
}

impl SimulatedUser {
    /// Prompts a slice, given by its index in the stack, and scores the predictions.
    ///
    /// Random prompts depend only on the seed and the slice, so that every segmenter gets the same ones; correcting clicks also depend
    /// on the prediction that they correct.
    ///
    /// # Shapes
    /// - truth, and the mask of each prediction: `[rows, columns]`
    ///
    /// # Errors
    /// If the truth is empty, if a mask and the truth differ in size, and those of the segmenter.
    pub fn test<S, E: From<EvalError> + From<PromptError>>(
        &self,
        index: usize,
        truth: ArrayView2<'_, bool>,
        prompt: TestPrompt,
        seed: u64,
        segment: &mut Segment<'_, S, E>,
    ) -> Result<TestedSlice, E> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1 + index as u64);
        // With replacement, because an object may have fewer pixels than requested points.
        let sampler = self.sampling.sampler(Replacement::With);
        let mut draw = |kind| self.draw.draw(kind, truth, &*sampler, &mut rng);
        let series = match prompt {
            TestPrompt::Once(kind) => {
                let prompts = draw(kind)?;
                let Prediction { mask, predicted_iou, .. } = segment(&prompts, None)?;
                InteractionSeries { prompts, masks: vec![mask], predicted_iou }
            }
            TestPrompt::Active(clicks) => {
                let boxes = draw(PromptKind::Box)?.boxes;
                self.correct(boxes, truth, clicks, &mut rng, segment)?
            }
            TestPrompt::Clicks(clicks) => self.correct(Vec::new(), truth, clicks, &mut rng, segment)?,
        };
        TestedSlice::score(index, series, truth).map_err(E::from)
    }

    /// Corrects predictions with clicks, and feeds earlier ones back if this annotator does so.
    fn correct<S, E: From<PromptError>>(
        &self,
        boxes: Vec<BoundingBox>,
        truth: ArrayView2<'_, bool>,
        clicks: usize,
        rng: &mut ChaCha8Rng,
        segment: &mut Segment<'_, S, E>,
    ) -> Result<InteractionSeries, E> {
        correct(boxes, truth, clicks, (self.correction, self.reach), rng, &mut |prompts, earlier| {
            segment(prompts, earlier.filter(|_| self.feed_back))
        })
    }

    /// Summarises the tested slices of one run.
    pub fn record(
        &self,
        subject: TestSubject<'_>,
        method: TestedMethod<'_>,
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

    /// Two discs.
    fn discs(rows: usize, columns: usize) -> Array2<bool> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            [columns / 4, 3 * columns / 4]
                .iter()
                .any(|&x| row.abs_diff(rows / 2).pow(2) + column.abs_diff(x).pow(2) < 40)
        })
    }

    /// A poor segmenter: returns the boxes, and squares around the foreground clicks. Its state counts how often a prediction was fed back.
    fn squares(truth: &Array2<bool>, prompts: &Prompts, earlier: Option<&Prediction<usize>>) -> Prediction<usize> {
        let mask = Array2::from_shape_fn(truth.dim(), |(row, column)| {
            let (x, y) = (column as f32, row as f32);
            let near = |point: &sam_prompt::Point| (point.x - x).abs().max((point.y - y).abs()) <= 3.0;
            prompts.boxes.iter().any(|part| part.contains(x, y))
                || prompts.points.iter().any(|point| point.label == sam_prompt::Label::Foreground && near(point))
        });
        Prediction { mask, predicted_iou: Some(0.5), state: earlier.map_or(0, |found| found.state + 1) }
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
        let [uniform, center, boundary] =
            [SamplingScheme::Uniform, SamplingScheme::Center, SamplingScheme::Boundary].map(drawn);
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
        let segment = |prompts: &Prompts, _: Option<&Prediction>| -> Result<Prediction, anyhow::Error> {
            assert!(!prompts.points.is_empty());
            Ok(Prediction { mask: Array2::from_elem((2, 2), true), predicted_iou: None, state: () })
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
        let subject = TestSubject { dataset: "abdomen", case: "1", structure: "liver", seed: 3 };
        let record = |prompt| {
            SimulatedUser::default().record(
                subject,
                TestedMethod::assist(2, 9.5),
                prompt,
                std::slice::from_ref(&tested),
            )
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
