//! What a round kept of the masks of the round before, and why.

use std::{collections::BTreeMap, fmt};

use sam_data::SlicePlane;
use sam_prompt::counted;
use serde::{Deserialize, Serialize};

use crate::SliceList;

/// What a round kept of a structure's masks of the round before, and why.
///
/// Slices near corrected ones are segmented again: those up to the next annotated slice on either side. All others keep their masks, unless
/// outlines that neither round had learned from show that the new round is better. A slice without a mask stays without one. Where another
/// structure is found over a kept mask, scores decide, as elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeptMasks {
    /// The slices that the person corrected since the round before.
    pub corrected: SliceList,
    /// The slices that were segmented again.
    pub renewed: SliceList,
    /// The slices that kept their masks.
    pub kept: SliceList,
    /// The test on left-out outlines. `None` if no outline was left out in the round before, or others are around them now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<RoundTest>,
}

/// The Dice of two rounds on outlines that neither of them had learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoundTest {
    /// The slices.
    pub slices: SliceList,
    /// Mean Dice of the round whose masks were kept or replaced.
    pub before: f32,
    /// Mean Dice of the new round.
    pub now: f32,
    /// Whether the new round is better, so that it segmented all slices again.
    pub better: bool,
}

/// The Dice of left-out outlines, by slice.
pub type LeftOutDice = BTreeMap<usize, f32>;

/// By how much the mean Dice on left-out outlines must rise, so that masks are replaced that nobody corrected. Smaller differences come from
/// chance in learning.
const LEAST_GAIN: f32 = 0.02;

impl RoundTest {
    /// Compares the Dice of outlines that were left out in both rounds. `None` if there are none.
    pub(crate) fn new(before: &LeftOutDice, now: &LeftOutDice) -> Option<Self> {
        let slices: SliceList = before.keys().copied().filter(|slice| now.contains_key(slice)).collect();
        if slices.is_empty() {
            return None;
        }
        let mean = |dice: &LeftOutDice| slices.iter().map(|slice| dice[&slice]).sum::<f32>() / slices.len() as f32;
        let (before, now) = (mean(before), mean(now));
        Some(Self { slices, before, now, better: now >= before + LEAST_GAIN })
    }
}

impl KeptMasks {
    /// What changed, as text for people: one line.
    pub fn text(&self, plane: &SlicePlane) -> String {
        let Self { renewed, kept, test, .. } = self;
        let renewed = if renewed.is_empty() {
            "no slice was segmented again".to_owned()
        } else {
            format!("segmented again: slices {}", renewed.with_millimetres(plane))
        };
        let kept = if kept.is_empty() {
            String::new()
        } else {
            format!("; {} kept as in the round before", counted(kept.len(), "slice"))
        };
        let test = test.as_ref().map_or_else(String::new, |test| format!(" ({test})"));
        renewed + &kept + &test
    }
}

impl fmt::Display for RoundTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slices, before, now, .. } = self;
        let outlines = if slices.len() == 1 { "left-out outline" } else { "left-out outlines" };
        write!(f, "Dice on {outlines}: {now:.2}, before {before:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_on_outlines_that_both_left_out() {
        let before = LeftOutDice::from([(3, 0.8), (7, 0.9), (9, 0.1)]);
        let test = RoundTest::new(&before, &LeftOutDice::from([(3, 0.9), (7, 0.9)])).expect("two outlines");
        assert_eq!(test.slices.to_string(), "4,8");
        assert!((test.before - 0.85).abs() < 1e-6 && (test.now - 0.9).abs() < 1e-6 && test.better);
        let test = RoundTest::new(&before, &LeftOutDice::from([(3, 0.81), (7, 0.9)])).expect("two outlines");
        assert!(!test.better, "a small gain may be chance");
        assert_eq!(RoundTest::new(&before, &LeftOutDice::from([(5, 1.0)])), None);
    }
}
