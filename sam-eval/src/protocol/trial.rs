//! Division of a case into annotated and tested slices.

use ndarray::Array2;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_prompt::{SliceSelection, choose_background, mask_area};
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// Which slices of a case count as showing a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyConfig {
    /// Maximum number of slices. Of a longer volume, every n-th slice is used.
    pub max_slices: usize,
    /// Slices that show the structure with fewer pixels are neither annotated nor tested.
    pub min_object_pixels: usize,
}

/// The slices of a case with and without a structure, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Slices with the structure.
    pub shown: Vec<usize>,
    /// Slices without it.
    pub empty: Vec<usize>,
}

/// How a case is divided into annotated and tested slices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protocol {
    /// The paper's per-case protocol of volumes.
    FewSlices(FewSlices),
    /// The paper's protocol of 2-D sets.
    TrainTest(TrainTest),
    /// Leave-one-out: each annotated slice is tested with a model trained on the others. It needs no other ground truth.
    LeaveOneOut {
        /// Number of annotated slices.
        annotated: usize,
        /// How they are chosen.
        selection: SliceSelection,
    },
}

/// Train on a few slices of a case and test on the others, separately for every case (paper section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FewSlices {
    /// Numbers of annotated slices with the structure, one trial each. A smaller set is part of the larger ones, and all trials have the
    /// same test slices.
    pub annotated: Vec<usize>,
    /// Slices without the structure that are annotated as empty, in every trial.
    pub annotated_empty: usize,
    /// The largest number of other slices with the structure that are tested, at equal distances.
    pub tested: usize,
    /// The largest number of other slices without it that are tested, at equal distances.
    pub tested_empty: usize,
    /// How slices are chosen for annotation.
    pub selection: SliceSelection,
}

/// Train on some images of a set and test on others, all drawn with equal probability, since images have no order (paper section 4:
/// Kidney-US, Nuclear-Hist).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainTest {
    /// Number of training images.
    pub train: usize,
    /// The largest number of test images.
    pub tested: usize,
}

/// Annotated and tested slices, by index in the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Annotated slices, in the order of choosing; slices without the structure come last.
    pub annotated: Vec<usize>,
    /// Tested slices, in ascending order; none of them is annotated.
    pub tested: Vec<usize>,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Survey {
    /// Sorts a case's slices by their masks.
    pub fn of(config: SurveyConfig, slices: usize, mask: impl Fn(usize) -> Array2<bool>) -> Self {
        let mut survey = Self { shown: Vec::new(), empty: Vec::new() };
        for index in (0..slices).step_by(slices.div_ceil(config.max_slices.max(1)).max(1)) {
            match mask_area(mask(index).view()) {
                0 => survey.empty.push(index),
                pixels if pixels >= config.min_object_pixels => survey.shown.push(index),
                _ => {}
            }
        }
        survey
    }

    fn need(&self, needed: usize) -> Result<(), EvalError> {
        let shown = self.shown.len();
        if shown < needed { Err(EvalError::TooFewSlices { shown, needed }) } else { Ok(()) }
    }
}

impl Protocol {
    /// The trials of one repeat.
    ///
    /// # Errors
    /// [`EvalError::TooFewSlices`] if too few slices show the structure to annotate some and test another.
    pub fn trials(&self, survey: &Survey, seed: u64) -> Result<Vec<Trial>, EvalError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::FewSlices(few) => few.trials(survey, seed),
            Self::TrainTest(sets) => {
                survey.need(sets.train + 1)?;
                let drawn = SliceSelection::Uniform.choose(&survey.shown, sets.train + sets.tested, &mut rng);
                let (train, tested) = drawn.split_at(sets.train);
                let mut tested = tested.to_vec();
                tested.sort_unstable();
                Ok(vec![Trial { annotated: train.to_vec(), tested, seed }])
            }
            Self::LeaveOneOut { annotated, selection } => {
                survey.need((*annotated).max(2))?;
                let chosen = selection.choose(&survey.shown, (*annotated).max(2), &mut rng);
                Ok(leave_one_out(&chosen, seed))
            }
        }
    }
}

/// One trial for each slice, trained on the others.
pub fn leave_one_out(annotated: &[usize], seed: u64) -> Vec<Trial> {
    let others = |left_out: usize| annotated.iter().copied().filter(|&slice| slice != left_out).collect();
    annotated.iter().map(|&slice| Trial { annotated: others(slice), tested: vec![slice], seed }).collect()
}

impl FewSlices {
    /// The largest number of annotated slices.
    pub fn most(&self) -> usize {
        self.annotated.iter().copied().max().unwrap_or(0)
    }

    /// The trials of one repeat, one for each number of annotated slices.
    ///
    /// # Errors
    /// [`EvalError::TooFewSlices`] if too few slices show the structure to annotate the most and test another.
    pub fn trials(&self, survey: &Survey, seed: u64) -> Result<Vec<Trial>, EvalError> {
        survey.need(self.most() + 1)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let chosen = self.selection.choose(&survey.shown, self.most(), &mut rng);
        let empty = choose_background(&survey.empty, self.annotated_empty, &mut rng);
        let mut rest = |slices: &[usize], taken: &[usize], count| {
            let rest: Vec<usize> = slices.iter().copied().filter(|slice| !taken.contains(slice)).collect();
            SliceSelection::Equidistant.choose(&rest, count, &mut rng)
        };
        let mut tested = rest(&survey.shown, &chosen, self.tested);
        tested.extend(rest(&survey.empty, &empty, self.tested_empty));
        tested.sort_unstable();
        let few = |&count: &usize| match self.selection {
            // The first few of many equidistant slices would all be at one end of the structure.
            SliceSelection::Equidistant => self.selection.choose(&chosen, count, &mut rng.clone()),
            _ => chosen[..count].to_vec(),
        };
        let trial = |count| Trial { annotated: [few(count), empty.clone()].concat(), tested: tested.clone(), seed };
        Ok(self.annotated.iter().map(trial).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few(annotated: &[usize]) -> FewSlices {
        FewSlices {
            annotated: annotated.to_vec(),
            annotated_empty: 2,
            tested: 12,
            tested_empty: 6,
            selection: SliceSelection::Normal,
        }
    }

    #[test]
    fn nothing_annotated_is_tested_and_empty_slices_are_on_both_sides() {
        // 80 slices at a step of 2: slices 20 to 59 show the structure, slice 60 shows too few pixels of it.
        let mask = |index: usize| {
            let pixels = if (20..60).contains(&index) { 12 } else { usize::from(index == 60) };
            Array2::from_shape_fn((4, 4), |(row, column)| row * 4 + column < pixels)
        };
        let survey = Survey::of(SurveyConfig { max_slices: 40, min_object_pixels: 10 }, 80, mask);
        assert_eq!((survey.shown.len(), survey.empty.len()), (20, 19));
        let trials = few(&[5]).trials(&survey, 3).expect("20 slices show it");
        assert_eq!(trials, few(&[5]).trials(&survey, 3).expect("the same"));
        let [Trial { annotated, tested, .. }] = &trials[..] else { panic!("one trial, found {trials:?}") };
        assert_eq!((annotated.len(), tested.len()), (7, 12 + 6));
        assert!(tested.iter().all(|slice| !annotated.contains(slice)) && tested.is_sorted());
        let error = few(&[20]).trials(&survey, 3).expect_err("none is left to test");
        assert!(error.to_string().contains("20 slices") && error.to_string().contains("21"), "{error}");
    }

    #[test]
    fn fewer_annotated_slices_are_among_more_and_all_are_tested_on_the_same() {
        let survey = Survey { shown: (0..30).collect(), empty: (30..40).collect() };
        for selection in [SliceSelection::Normal, SliceSelection::Uniform, SliceSelection::Equidistant] {
            let protocol = Protocol::FewSlices(FewSlices { selection, ..few(&[2, 5]) });
            let trials = protocol.trials(&survey, 1).expect("enough slices");
            let [two, five] = &trials[..] else { panic!("two trials, found {trials:?}") };
            assert_eq!((two.annotated.len(), five.annotated.len()), (4, 7));
            assert!(two.annotated.iter().all(|slice| five.annotated.contains(slice)), "{selection:?}");
            assert_eq!(two.tested, five.tested);
        }
    }

    #[test]
    fn images_are_drawn_alike_and_each_left_out_slice_is_tested_once() {
        let survey = Survey { shown: (0..30).collect(), empty: Vec::new() };
        let sets = Protocol::TrainTest(TrainTest { train: 5, tested: 50 });
        let trials = sets.trials(&survey, 2).expect("enough images");
        assert_eq!((trials[0].annotated.len(), trials[0].tested.len()), (5, 25));
        let left_out = Protocol::LeaveOneOut { annotated: 3, selection: SliceSelection::Uniform };
        let trials = left_out.trials(&survey, 2).expect("enough slices");
        assert_eq!(trials.len(), 3);
        assert!(trials.iter().all(|trial| trial.annotated.len() == 2 && !trial.annotated.contains(&trial.tested[0])));
        let text = serde_json::to_string(&sets).expect("plain data");
        assert_eq!(serde_json::from_str::<Protocol>(&text).expect("what was written"), sets);
    }
}
