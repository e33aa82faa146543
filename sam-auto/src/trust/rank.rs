//! Ranks slices by trust, and suggests the slice to outline next.

use std::collections::BTreeMap;

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use super::{Signal, TrustModel, TrustSignals};

/// A slice in a ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankedSlice {
    /// Position in the volume, counted from 0. In JSON it is called `index`; earlier versions called it `slice`.
    #[serde(rename = "index", alias = "slice")]
    pub slice: usize,
    /// Whether the slice has a mask.
    pub found: bool,
    /// Expected Dice, in [0, 1].
    pub trust: f32,
    /// The signal that lowers its trust most, compared with other slices of its kind (with or without a mask).
    pub signal: Signal,
    /// What the signal means, as text for the person.
    pub reason: String,
}

/// Ranks slices, least trusted first. Slices of equal trust are ordered by position.
pub fn rank(model: &TrustModel, slices: &BTreeMap<usize, TrustSignals>) -> Vec<RankedSlice> {
    let usual = [false, true].map(|found| means(slices.values().filter(|signals| signals.found() == found)));
    let ranked = |(&slice, signals): (&usize, &TrustSignals)| {
        let found = signals.found();
        let signal = main_signal(model, signals, &usual[usize::from(found)]);
        let reason = signal.reason(found).to_owned();
        RankedSlice { slice, found, trust: model.expected_dice(signals), signal, reason }
    };
    let mut ranked: Vec<_> = slices.iter().map(ranked).collect();
    ranked.sort_by(|a, b| a.trust.total_cmp(&b.trust).then(a.slice.cmp(&b.slice)));
    ranked
}

/// The mean of each signal over some slices.
fn means<'a>(slices: impl Iterator<Item = &'a TrustSignals>) -> [f32; Signal::EVERY.len()] {
    let slices: Vec<_> = slices.collect();
    let count = slices.len().max(1) as f32;
    Signal::EVERY.map(|signal| slices.iter().map(|signals| signals.get(signal)).sum::<f32>() / count)
}

/// The signal that lowers a slice's trust most, compared with the mean of the volume.
fn main_signal(model: &TrustModel, signals: &TrustSignals, usual: &[f32]) -> Signal {
    let weights = model.of(signals.found());
    let lost = |&(signal, usual): &(Signal, &f32)| weights.weight(signal) * (usual - signals.get(signal));
    let each = Signal::EVERY.into_iter().zip(usual);
    // Reversed, because `max_by` takes the last of equal elements, and the first is wanted.
    let most = each.rev().max_by(|a, b| lost(a).total_cmp(&lost(b)));
    most.map_or(Signal::Neighbours, |(signal, _)| signal)
}

/// Suggests the slice to outline next: the one with the largest sum of expected errors, its own and those of nearby slices. The weight of
/// other slices decays with distance, to 1/e at `reach` slices. Returns `None` if no error is expected.
///
/// A single bad slice may be hard for its own reasons. Outlining one of several bad slices helps all of them.
///
/// # Errors
/// [`ConfigError`] if the reach is not above 0.
pub fn suggest_next(ranked: &[RankedSlice], reach: f32) -> Result<Option<usize>, ConfigError> {
    ConfigError::check(reach > 0.0, "reach", || format!("{reach} slices"), "more than 0")?;
    let gain = |at: &RankedSlice| -> f32 {
        let share = |other: &RankedSlice| (-(at.slice.abs_diff(other.slice) as f32) / reach).exp();
        ranked.iter().map(|other| (1.0 - other.trust) * share(other)).sum()
    };
    let gains = ranked.iter().map(|slice| (slice.slice, gain(slice))).filter(|&(_, gain)| gain > 0.0);
    Ok(gains.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(slice, _)| slice))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume() -> impl Strategy<Value = BTreeMap<usize, TrustSignals>> {
        let values = proptest::collection::vec(0.0_f32..=1.0, Signal::EVERY.len());
        let slice = (any::<bool>(), values).prop_map(|(found, values)| {
            let each = Signal::EVERY.into_iter().zip(values);
            each.fold(TrustSignals::new(found), |signals, (signal, value)| signals.with(signal, value))
        });
        proptest::collection::btree_map(0_usize..60, slice, 0..12)
    }

    proptest! {
        #[test]
        fn every_slice_is_ranked_once_by_rising_trust(slices in volume()) {
            let ranked = rank(&TrustModel::default(), &slices);
            prop_assert!(ranked.is_sorted_by(|a, b| a.trust <= b.trust));
            let mut places: Vec<_> = ranked.iter().map(|slice| slice.slice).collect();
            places.sort_unstable();
            prop_assert_eq!(places, slices.keys().copied().collect::<Vec<_>>());
            for slice in &ranked {
                prop_assert!((0.0..=1.0).contains(&slice.trust));
                prop_assert_eq!(slice.found, slices[&slice.slice].found());
                prop_assert_eq!(slice.reason.as_str(), slice.signal.reason(slice.found));
            }
        }

        #[test]
        fn what_a_slice_is_called_does_not_change_its_trust(slices in volume()) {
            // The volume in reverse order.
            let turned: BTreeMap<_, _> = slices.iter().map(|(&slice, signals)| (100 - slice, signals.clone())).collect();
            let trust = |slices| -> BTreeMap<usize, f32> {
                rank(&TrustModel::default(), slices).into_iter().map(|slice| (slice.slice, slice.trust)).collect()
            };
            let back: BTreeMap<_, _> = trust(&turned).into_iter().map(|(slice, trust)| (100 - slice, trust)).collect();
            prop_assert_eq!(trust(&slices), back);
        }

        #[test]
        fn suggestions_are_slices_of_the_volume(slices in volume(), reach in 0.1_f32..20.0) {
            let suggested = suggest_next(&rank(&TrustModel::default(), &slices), reach).expect("a reach");
            prop_assert_eq!(suggested.is_none(), slices.is_empty());
            prop_assert!(suggested.is_none_or(|slice| slices.contains_key(&slice)));
        }
    }

    fn ranked(slice: usize, trust: f32) -> RankedSlice {
        RankedSlice { slice, found: true, trust, signal: Signal::Area, reason: String::new() }
    }

    #[test]
    fn a_slice_among_others_that_are_wrong_is_suggested() {
        let volume: Vec<_> = (0..20).map(|slice| ranked(slice, if slice == 3 { 0.1 } else { 0.95 })).collect();
        let suggest = |volume: &[RankedSlice], reach| suggest_next(volume, reach).expect("a reach");
        assert_eq!(suggest(&volume, 0.5), Some(3));
        let poor_end = |slice: usize| {
            if slice == 3 {
                0.3
            } else if slice > 14 {
                0.5
            } else {
                1.0
            }
        };
        let volume: Vec<_> = (0..20).map(|slice| ranked(slice, poor_end(slice))).collect();
        assert_eq!(suggest(&volume, 3.0), Some(17));
        assert_eq!(suggest(&[ranked(4, 1.0)], 3.0), None);
        assert!(suggest_next(&volume, 0.0).is_err());
    }

    #[test]
    fn the_reason_is_what_is_worse_than_usual() {
        let usual = TrustSignals::new(true).with(Signal::Neighbours, 0.5).with(Signal::Jitter, 0.9);
        let odd = TrustSignals::new(true).with(Signal::Neighbours, 0.5).with(Signal::Jitter, 0.2);
        let one_each = Signal::EVERY.map(|signal| (signal, 1.0)).into();
        let found = super::super::LinearTrust { bias: 0.0, weights: one_each };
        let model = TrustModel { found, ..TrustModel::default() };
        let slices = [(1, usual.clone()), (2, usual.clone()), (3, usual), (4, odd)].into();
        let first = &rank(&model, &slices)[0];
        assert_eq!((first.slice, first.reason.as_str()), (4, "the mask changes with its box"));
    }
}
