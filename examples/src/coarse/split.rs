//! Which slices of a case are annotated, and which are tested.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_prompt::{SliceSelection, choose_background, ndarray::Array2};
use serde::Serialize;

/// How slices are divided. The seed alone decides, so that all variants meet the same.
#[derive(Debug, Clone, Serialize)]
pub struct Split {
    /// Slices with the structure that are annotated.
    pub annotated: usize,
    /// Slices without it that are annotated as empty.
    pub annotated_empty: usize,
    /// Slices with the structure that are tested, at the most.
    pub test: usize,
    /// Slices without it that are tested, at the most.
    pub test_empty: usize,
    /// Volumes of more slices are taken at a step that leaves at most this many.
    pub max_slices: usize,
    /// Slices with fewer pixels of the structure, but some, are neither annotated nor tested.
    pub min_object_pixels: usize,
}

/// Slices by what they show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    shown: Vec<usize>,
    empty: Vec<usize>,
}

/// Slices of one repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) annotated: Vec<usize>,
    /// In the order of the stack.
    pub(crate) test: Vec<usize>,
}

impl Split {
    /// Looks at a stack's slices; `None` if too few show the structure to annotate some and test another.
    pub(crate) fn survey(&self, slices: usize, mask: impl Fn(usize) -> Array2<bool>) -> Option<Survey> {
        let mut survey = Survey { shown: Vec::new(), empty: Vec::new() };
        for index in (0..slices).step_by(slices.div_ceil(self.max_slices.max(1)).max(1)) {
            match mask(index).iter().filter(|&&inside| inside).count() {
                0 => survey.empty.push(index),
                pixels if pixels >= self.min_object_pixels => survey.shown.push(index),
                _ => {}
            }
        }
        (survey.shown.len() > self.annotated).then_some(survey)
    }

    pub(crate) fn choose(&self, survey: &Survey, seed: u64) -> Chosen {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut annotated = SliceSelection::Normal.choose(&survey.shown, self.annotated, &mut rng);
        annotated.extend(choose_background(&survey.empty, self.annotated_empty, &mut rng));
        let mut rest = |slices: &[usize], count| {
            let rest: Vec<usize> = slices.iter().copied().filter(|slice| !annotated.contains(slice)).collect();
            SliceSelection::Equidistant.choose(&rest, count, &mut rng)
        };
        let mut test = rest(&survey.shown, self.test);
        test.extend(rest(&survey.empty, self.test_empty));
        test.sort_unstable();
        Chosen { annotated, test }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_annotated_is_tested_and_empty_slices_are_on_both_sides() {
        let split =
            Split { annotated: 5, annotated_empty: 2, test: 12, test_empty: 6, max_slices: 40, min_object_pixels: 10 };
        // 80 slices at a step of 2: the structure on 20 to 59, with too few pixels on 60.
        let mask = |index: usize| {
            let pixels = if (20..60).contains(&index) { 12 } else { usize::from(index == 60) };
            Array2::from_shape_fn((4, 4), |(row, column)| row * 4 + column < pixels)
        };
        let survey = split.survey(80, mask).expect("20 slices show it");
        assert_eq!((survey.shown.len(), survey.empty.len()), (20, 19));
        let chosen = split.choose(&survey, 3);
        assert_eq!(chosen, split.choose(&survey, 3));
        assert_eq!((chosen.annotated.len(), chosen.test.len()), (7, 12 + 6));
        assert!(chosen.test.iter().all(|slice| !chosen.annotated.contains(slice)));
        assert!(chosen.test.is_sorted());
        assert_eq!(Split { annotated: 20, ..split }.survey(80, mask), None);
    }
}
