//! Masks propagated through wide gaps between outlines, and how far they correct the shape there.
//!
//! Where outlines are far apart, the shape between them is a guess, and masks that are propagated from slice to slice see what it cannot. But
//! propagation can fail. Whether it has failed shows without the truth: masks that start from both ends of a gap either meet or not, and either
//! look more like the structure than the shape does or not.

use std::{cell::Cell, collections::BTreeMap, ops::ControlFlow};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{SamPredictor, SliceSource};
use sam_prompt::{
    PixelAspect, is_mask_empty,
    progress::{Observer, Progress, Stage},
    signed_distance_with,
};

use super::Fusion;
use crate::{AutoError, PriorSlice, mask_stats::dice, propagation::propagate_one_way, shape::LEAST_WIDTH};

/// Propagations that meet with at most this Dice are not believed.
const FAILED: f32 = 0.3;
/// Propagations that meet with at least this Dice are believed.
const MET: f32 = 0.6;
/// Propagated masks are believed if their mean Dice with what the pixel classifier finds is larger by this than the shape's.
const LOOKS_BETTER: f32 = 0.2;
/// Error of propagated masks, as a share of the structure's radius.
const ERROR: f32 = 0.1;

/// Masks propagated through the wide gaps between outlines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Propagated {
    /// By the slice of the gap's lower outline.
    gaps: BTreeMap<usize, Gap>,
    /// Variance of the edge of propagated masks, in pixels of the area 1, squared.
    variance: f32,
    aspect: PixelAspect,
}

/// Masks propagated through one gap.
#[derive(Debug, Clone, PartialEq)]
struct Gap {
    /// The masks above the lower outline, upwards until they vanish or jump.
    upwards: Vec<Array2<bool>>,
    /// The masks below the upper outline, downwards.
    downwards: Vec<Array2<bool>>,
    /// The slices of the outlines.
    between: (usize, usize),
    /// How far they are believed, from 0 to 1.
    belief: f32,
}

/// The neighbouring outlines with the structure that are farther apart than a share of the slices from the first outline to the last.
pub(super) fn wide_gaps(outlines: &BTreeMap<usize, Array2<bool>>, share: f32) -> Vec<(usize, usize)> {
    let shown = |index: &usize| !is_mask_empty(outlines[index].view());
    let slices: Vec<_> = outlines.keys().copied().collect();
    let ends = slices.iter().copied().find(shown).zip(slices.iter().rev().copied().find(shown));
    let Some((first, last)) = ends else { return Vec::new() };
    let threshold = share * (last - first) as f32;
    let gaps = slices.windows(2).map(|gap| (gap[0], gap[1]));
    gaps.filter(|&(low, high)| high - low > 1 && (high - low) as f32 > threshold && shown(&low) && shown(&high))
        .collect()
}

impl Fusion {
    /// Propagates masks through these gaps from both of their ends. `None` if the observer stopped the call.
    pub(super) fn propagate<B: Backend>(
        &self,
        gaps: &[(usize, usize)],
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        outlines: &BTreeMap<usize, Array2<bool>>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Propagated>, AutoError> {
        let (total, mut done, stopped) = (steps(gaps), 0, Cell::new(false));
        let mut reached = |slice: usize| {
            done += 1;
            let told = observer(&Progress::new(Stage::Segment, done, total).at_slice(slice));
            stopped.set(stopped.get() || told.is_break());
            told
        };
        let mut found = BTreeMap::new();
        for &(low, high) in gaps {
            let mut through = |from: usize, to: usize| {
                let outline = &outlines[&from];
                propagate_one_way(predictor, source, (from, outline), to, &self.config.propagation, &mut reached)
            };
            let (upwards, downwards) = (through(low, high)?, through(high, low)?);
            if stopped.get() {
                return Ok(None);
            }
            let mut gap = Gap::new((low, &outlines[&low], upwards), (high, &outlines[&high], downwards));
            if gap.belief < 1.0 && self.judge(&mut gap, source, &mut reached)?.is_break() {
                return Ok(None);
            }
            // Masks that are not believed correct nothing, and are not kept.
            if gap.belief > 0.0 {
                found.insert(low, gap);
            }
        }
        let (radius, aspect) = (self.prompts.prior().radius(), source.pixel_aspect());
        Ok(Some(Propagated { gaps: found, variance: (ERROR * radius).powi(2), aspect }))
    }

    /// Believes masks that look more like the structure than the shape does.
    fn judge<B: Backend>(
        &self,
        gap: &mut Gap,
        source: &dyn SliceSource<B>,
        reached: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, AutoError> {
        let (low, high) = gap.between;
        let mut better = 0.0;
        for slice in low + 1..high {
            let Some(prior) = self.prompts.prior().slice(slice) else { continue };
            let looks = self.classifier.classify(source, slice, &prior)?.mapv(|inside| inside > 0.0);
            let propagated = gap.mask(slice).map_or(0.0, |mask| dice(&looks, mask));
            better += (propagated - dice(&looks, &prior.mask())) as f32;
            if reached(slice).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        gap.looks_better(better / (high - low - 1) as f32);
        Ok(ControlFlow::Continue(()))
    }
}

impl Propagated {
    /// The shape on a slice, corrected by the mask that was propagated to it, and surer by it.
    pub(super) fn correct(&self, slice: usize, prior: PriorSlice) -> PriorSlice {
        let gap = self.gaps.range(..slice).next_back().map(|(_, gap)| gap).filter(|gap| slice < gap.between.1);
        let Some((gap, mask)) = gap.and_then(|gap| Some((gap, gap.mask(slice)?))) else { return prior };
        // The mean of both, weighted by how sure each of them is, and its deviation.
        let (expected, propagated) = (prior.width.powi(-2), gap.belief / self.variance);
        let share = propagated / (expected + propagated);
        let signed = &prior.signed * (1.0 - share) + signed_distance_with(mask.view(), self.aspect) * share;
        let width = (expected + propagated).powf(-0.5).max(LEAST_WIDTH);
        PriorSlice { signed, width, ..prior }
    }
}

/// The number of observer calls during propagation through these gaps, at most: two predictions and a comparison for each slice.
pub(super) fn steps(gaps: &[(usize, usize)]) -> usize {
    gaps.iter().map(|&(low, high)| 3 * (high - low - 1)).sum()
}

impl Gap {
    fn new(
        (low, lower, upwards): (usize, &Array2<bool>, Vec<Array2<bool>>),
        (high, upper, downwards): (usize, &Array2<bool>, Vec<Array2<bool>>),
    ) -> Self {
        let mut gap = Self { upwards, downwards, between: (low, high), belief: 0.0 };
        gap.belief = ((gap.meeting(lower, upper) - FAILED) / (MET - FAILED)).clamp(0.0, 1.0);
        gap
    }

    /// Believes masks whose mean Dice with what the pixel classifier finds is larger by this than the shape's.
    fn looks_better(&mut self, better: f32) {
        self.belief = self.belief.max((better / LOOKS_BETTER).clamp(0.0, 1.0));
    }

    /// The largest Dice of a mask from below and of one from above on the next slice. If slices stay open between them, the Dice of the last
    /// masks of both, times the share of the gap that is not open.
    fn meeting(&self, lower: &Array2<bool>, upper: &Array2<bool>) -> f32 {
        let (low, high) = self.between;
        let from_below = |slice: usize| if slice == low { lower } else { &self.upwards[slice - low - 1] };
        let from_above = |slice: usize| if slice == high { upper } else { &self.downwards[high - slice - 1] };
        let meet = |below: usize, above: usize| dice(from_below(below), from_above(above)) as f32;
        // The last slices that both have reached.
        let (below, above) = (low + self.upwards.len(), high - self.downwards.len());
        if above > below + 1 {
            let open = (above - below - 1) as f32 / (high - low) as f32;
            return meet(below, above) * (1.0 - open);
        }
        let meets = low.max(above - 1)..=below.min(high - 1);
        meets.map(|slice| meet(slice, slice + 1)).fold(0.0, f32::max)
    }

    /// The mask from the nearer outline that has one on this slice.
    fn mask(&self, slice: usize) -> Option<&Array2<bool>> {
        let (below, above) = (slice - self.between.0, self.between.1 - slice);
        let (upwards, downwards) = (self.upwards.get(below - 1), self.downwards.get(above - 1));
        if below <= above { upwards.or(downwards) } else { downwards.or(upwards) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (12, 12);

    /// A square of side 6 that is moved to the right.
    fn moved(columns: usize) -> Array2<bool> {
        Array2::from_shape_fn(SIZE, |(row, column)| (3..9).contains(&row) && (columns..columns + 6).contains(&column))
    }

    fn gap(upwards: &[usize], downwards: &[usize]) -> Gap {
        let masks = |columns: &[usize]| columns.iter().copied().map(moved).collect();
        Gap::new((2, &moved(0), masks(upwards)), (6, &moved(4), masks(downwards)))
    }

    #[test]
    fn propagations_are_believed_if_they_meet() {
        assert!(gap(&[1, 2, 3], &[3, 2, 1]).belief >= 1.0);
        assert!(gap(&[1, 2, 3], &[]).belief >= 1.0, "one of them arrives");
        assert!(gap(&[], &[]).belief <= 0.0, "none starts, and the outlines overlap by a third");
        assert!(gap(&[0, 0, 0], &[6, 6, 6]).belief < 0.2, "they miss each other");
        let open = gap(&[1], &[3]);
        // Dice of 2/3, and one of four slices is open: 0.5.
        assert!((open.belief - 2.0 / 3.0).abs() < 1e-6, "{}", open.belief);
    }

    #[test]
    fn propagations_are_believed_if_they_look_better_than_the_shape() {
        let mut astray = gap(&[0, 0, 0], &[6, 6, 6]);
        let met = astray.belief;
        astray.looks_better(-0.5);
        assert!((astray.belief - met).abs() < 1e-6, "what looks worse takes nothing from a meeting");
        astray.looks_better(0.1);
        assert!((astray.belief - 0.5).abs() < 1e-6, "{}", astray.belief);
        astray.looks_better(0.4);
        assert!(astray.belief >= 1.0);
    }

    #[test]
    fn the_nearer_outline_gives_the_mask() {
        let found = gap(&[1, 2], &[5]);
        let masks: Vec<_> = (3..6).map(|slice| found.mask(slice).cloned()).collect();
        assert_eq!(masks, [Some(moved(1)), Some(moved(2)), Some(moved(5))]);
        assert_eq!(gap(&[], &[5]).mask(3), None);
        assert_eq!(gap(&[1, 2, 3], &[]).mask(5), Some(&moved(3)), "the farther one, if it alone arrives");
    }

    #[test]
    fn a_wide_edge_follows_the_propagation_and_a_narrow_one_the_shape() {
        let found =
            Propagated { gaps: [(2, gap(&[1, 2, 3], &[3, 2, 1]))].into(), variance: 1.0, aspect: PixelAspect::SQUARE };
        let prior = |width| PriorSlice {
            signed: signed_distance_with(moved(6).view(), PixelAspect::SQUARE),
            width,
            is_between: true,
        };
        assert_eq!(found.correct(4, prior(100.0)).mask(), moved(2));
        assert_eq!(found.correct(4, prior(0.1)).mask(), moved(6));
        let both = found.correct(4, prior(1.0));
        assert!((both.width - 0.5_f32.sqrt()).abs() < 1e-6, "{}", both.width);
        for outside in [1, 2, 6, 7] {
            assert_eq!(found.correct(outside, prior(100.0)), prior(100.0), "slice {outside}");
        }
    }

    #[test]
    fn gaps_are_wide_by_their_share_of_the_whole() {
        let outlines = |slices: &[usize]| slices.iter().map(|&slice| (slice, moved(0))).collect::<BTreeMap<_, _>>();
        assert_eq!(wide_gaps(&outlines(&[10, 30]), 0.3), [(10, 30)]);
        assert_eq!(wide_gaps(&outlines(&[10, 20, 30]), 0.3), [(10, 20), (20, 30)]);
        assert_eq!(wide_gaps(&outlines(&[10, 15, 20, 25, 30]), 0.3), []);
        assert_eq!(wide_gaps(&outlines(&[10, 12, 30]), 0.3), [(12, 30)]);
        assert_eq!(wide_gaps(&outlines(&[10, 11]), 0.3), [], "no slice between them");
        let mut emptied = outlines(&[10, 20, 30]);
        emptied.insert(24, Array2::from_elem(SIZE, false));
        assert_eq!(wide_gaps(&emptied, 0.3), [(10, 20)], "the structure ends in the other gap");
        assert_eq!(steps(&[(10, 20), (30, 32)]), 30);
    }
}
