//! Which masks of the round before are kept.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use burn::tensor::backend::Backend;
use sam_assist::AnnotatedSlice;
use sam_auto::{ExpectedDice, KnownMasks, ShapeConfig, Strategy};
use sam_prompt::{
    ndarray::{Array2, Array3},
    progress::{Progress, Stage},
};

use super::{Halt, LearnedStructure, Reporter, Run};
use crate::{
    DiceKnown, KeptMasks,
    kept::{LeftOutDice, RoundTest},
};

/// The round before, of whose masks some are kept.
#[derive(Debug)]
pub(crate) struct Before {
    /// Its mask on the scan's grid, with the person's slices as they were then.
    pub(crate) labels: Array3<u16>,
    /// The structures that it looked for, and the slices on which each was annotated then.
    pub(crate) annotated: BTreeMap<u16, BTreeSet<usize>>,
    /// The slices that the person has rejected.
    pub(crate) rejected: BTreeSet<usize>,
    /// Those whose mask of that round was rejected. The others were rejected in earlier rounds.
    pub(crate) just_rejected: BTreeSet<usize>,
    /// The largest mean gap between the outlines of a structure, of that round and those before, in slices.
    pub(crate) gaps: BTreeMap<u16, f32>,
    pub(crate) rule: KeepRule,
}

/// Which masks of the round before are kept.
#[derive(Debug)]
pub(crate) enum KeepRule {
    /// Those that nobody corrected, unless the new round is better on the outlines that were left out then. By label value.
    Test(BTreeMap<u16, LeftOutDice>),
    /// Those that a recorded round has kept.
    Recorded(BTreeMap<u16, BTreeSet<usize>>),
}

/// What is kept of a structure.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) masks: KnownMasks,
    /// `None` if there is no round before that looked for the structure.
    pub(super) report: Option<KeptMasks>,
    /// The Dice of left-out outlines in the round before, of those that the new round can be compared on.
    pub(super) left_out: LeftOutDice,
    /// What Dice is to be expected, if it was tested.
    pub(super) tested: Option<DiceKnown>,
}

/// A structure's annotated slices, compared with the round before.
struct Changes<'a> {
    now: &'a BTreeSet<usize>,
    then: &'a BTreeSet<usize>,
    /// Annotated otherwise than the round before shows.
    corrected: BTreeSet<usize>,
    rejected: &'a BTreeSet<usize>,
}

impl<B: Backend> Run<'_, B> {
    /// Which masks of a structure are kept. If outlines were left out in the round before, learns again without them.
    pub(super) fn keep(
        &self,
        value: u16,
        name: &Arc<str>,
        annotated: &[AnnotatedSlice<B>],
        learned: &LearnedStructure<B>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Kept, Halt> {
        let Some((before, then)) = self.before.and_then(|before| Some((before, before.annotated.get(&value)?))) else {
            return Ok(Kept::default());
        };
        let (now, rejected) = (&self.annotated[&value], &before.rejected);
        let changes = Changes { now, then, corrected: self.corrected(before, value), rejected };
        let open: BTreeSet<_> = (0..self.plane.count()).filter(|index| !now.contains(index)).collect();
        let (mut kept, mut report) = (open.clone(), KeptMasks::default());
        let (mut comparable, mut tested) = (LeftOutDice::new(), None);
        match &before.rule {
            KeepRule::Recorded(recorded) => {
                kept.retain(|slice| recorded.get(&value).is_some_and(|recorded| recorded.contains(slice)));
            }
            KeepRule::Test(left_out) => {
                kept.retain(|slice| !changes.is_near(*slice));
                comparable = left_out.get(&value).map(|left_out| changes.comparable(left_out)).unwrap_or_default();
                if !kept.is_empty() {
                    tested = self.test((value, name), annotated, learned, &comparable, reporter)?;
                }
                let now = tested.as_ref().and_then(DiceKnown::known).map(left_out_dice);
                report.test = now.and_then(|now| RoundTest::new(&comparable, &now));
                if report.test.as_ref().is_some_and(|test| test.better) {
                    kept.clear();
                }
            }
        }
        report.renewed = open.difference(&kept).copied().collect();
        report.kept = kept.iter().copied().collect();
        report.corrected = changes.corrected.into_iter().collect();
        let mask = |slice| (slice, self.mask_before(before, value, slice));
        let masks = kept.into_iter().map(mask).collect();
        Ok(Kept { masks, report: Some(report), left_out: comparable, tested })
    }

    /// The strategy for a structure. It looks as far beyond the outermost outlines as the rounds before, whose outlines were less near.
    pub(super) fn strategy(&self, value: u16) -> Cow<'_, Strategy> {
        let strategy = &self.config.strategy;
        let Some(gap) = self.before.and_then(|before| before.gaps.get(&value)) else { return Cow::Borrowed(strategy) };
        let widened = |shape: ShapeConfig| shape.with_min_reach(shape.min_reach.max(shape.reach * gap));
        Cow::Owned(match strategy.clone() {
            Strategy::Fusion(config) => {
                let shape = widened(config.shape);
                Strategy::Fusion(config.with_shape(shape))
            }
            Strategy::Shape(shape) => Strategy::Shape(widened(shape)),
            other => other,
        })
    }

    /// Learns again without these outlines, and measures what is found on their slices. `None` if there are none.
    fn test(
        &self,
        (value, name): (u16, &Arc<str>),
        annotated: &[AnnotatedSlice<B>],
        learned: &LearnedStructure<B>,
        left_out: &LeftOutDice,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Option<DiceKnown>, Halt> {
        let Strategy::Fusion(fusion) = &self.config.strategy else { return Ok(None) };
        if !self.config.expected_dice || left_out.is_empty() {
            return Ok(None);
        }
        let slices = left_out.keys().copied().collect();
        let mut told = reporter.observer(name);
        // A stop ends the round here: there are no masks yet.
        let mut observer = |progress: &Progress| -> ControlFlow<()> {
            let mut compared = *progress;
            compared.stage = Stage::Compare;
            told(&compared)
        };
        // If it fails, masks that nobody corrected are kept.
        self.leave_out(fusion, (value, &learned.predictor), annotated, Some(&slices), &mut observer)
    }

    /// The slices on which the person annotated the structure otherwise than the round before shows.
    fn corrected(&self, before: &Before, value: u16) -> BTreeSet<usize> {
        let is_corrected = |&&index: &&usize| {
            let outline = self.labels(index).mapv(|label| label == value);
            outline != self.mask_before(before, value, index)
        };
        self.annotated[&value].iter().filter(is_corrected).copied().collect()
    }

    pub(super) fn mask_before(&self, before: &Before, value: u16, index: usize) -> Array2<bool> {
        self.plane.extract(before.labels.view(), index).mapv(|label| label == value)
    }
}

impl Changes<'_> {
    /// Whether an open slice is near a correction: it was rejected, one of the annotated slices around it is corrected, or an annotation
    /// between them was withdrawn.
    fn is_near(&self, index: usize) -> bool {
        let [below, above] = around(self.now, index);
        let withdrawn = self.then.difference(self.now).copied();
        let between = |slice: usize| below.is_none_or(|below| slice > below) && above.is_none_or(|above| slice < above);
        self.rejected.contains(&index)
            || [below, above].into_iter().flatten().any(|slice| self.corrected.contains(&slice))
            || withdrawn.into_iter().any(between)
    }

    /// Of outlines that were left out in the round before, those that the new round can be compared on: they are annotated as they were, and
    /// the other annotated slices around them are those of then. Nearer ones would make any round look better.
    fn comparable(&self, left_out: &LeftOutDice) -> LeftOutDice {
        let others = |slices: &BTreeSet<usize>| -> BTreeSet<usize> {
            slices.iter().filter(|slice| !left_out.contains_key(slice)).copied().collect()
        };
        let (now, then) = (others(self.now), others(self.then));
        let is_comparable = |slice: &usize| {
            let neighbours = around(&now, *slice);
            let corrected = neighbours.iter().flatten().chain([slice]).any(|slice| self.corrected.contains(slice));
            self.now.contains(slice) && self.then.contains(slice) && !corrected && neighbours == around(&then, *slice)
        };
        left_out.iter().filter(|(slice, _)| is_comparable(slice)).map(|(&slice, &dice)| (slice, dice)).collect()
    }
}

/// The nearest of these slices below and above a slice.
fn around(slices: &BTreeSet<usize>, index: usize) -> [Option<usize>; 2] {
    [slices.range(..index).next_back().copied(), slices.range(index + 1..).next().copied()]
}

/// The Dice of each left-out outline.
pub(crate) fn left_out_dice(expected: &ExpectedDice) -> LeftOutDice {
    expected.left_out.iter().map(|outline| (outline.index, outline.dice.fused as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(slices: &[usize]) -> BTreeSet<usize> {
        slices.iter().copied().collect()
    }

    /// The open slices of 30 that are near a correction.
    fn near(now: &[usize], then: &[usize], corrected: &[usize], rejected: &[usize]) -> Vec<usize> {
        let (now, then, rejected) = (set(now), set(then), set(rejected));
        let changes = Changes { now: &now, then: &then, corrected: set(corrected), rejected: &rejected };
        (0..30).filter(|index| !now.contains(index) && changes.is_near(*index)).collect()
    }

    #[test]
    fn slices_are_near_up_to_the_next_annotated_slice() {
        assert_eq!(near(&[10, 15, 20], &[10, 20], &[15], &[]), [11, 12, 13, 14, 16, 17, 18, 19]);
        assert_eq!(near(&[3, 27], &[3], &[27], &[]).len(), 23 + 2, "to the scan's end");
        assert_eq!(near(&[10, 15, 20], &[10, 20], &[], &[]), [0; 0], "an accepted slice corrects nothing");
        assert_eq!(near(&[10, 20], &[10, 20], &[], &[5]), [5]);
        assert_eq!(near(&[10, 14], &[10, 12, 14], &[], &[12]), [11, 12, 13], "a withdrawn outline");
    }

    #[test]
    fn rounds_are_compared_where_the_same_outlines_are_around() {
        let comparable = |now: &[usize], corrected: &[usize]| -> Vec<usize> {
            let (now, then, none) = (set(now), set(&[0, 10, 20, 30, 40]), set(&[]));
            let changes = Changes { now: &now, then: &then, corrected: set(corrected), rejected: &none };
            changes.comparable(&LeftOutDice::from([(10, 0.5), (30, 0.5)])).into_keys().collect()
        };
        assert_eq!(comparable(&[0, 10, 20, 30, 40], &[]), [10, 30]);
        assert_eq!(comparable(&[0, 10, 11, 20, 30, 40], &[]), [30], "an outline that is nearer");
        assert_eq!(comparable(&[0, 10, 20, 30, 40], &[30]), [10], "it is another outline now");
        assert_eq!(comparable(&[0, 10, 20, 30, 40], &[20]), [0; 0], "so is one around them");
        assert_eq!(comparable(&[0, 20, 30, 40], &[]), [30], "one that was withdrawn");
    }
}
