//! Trust signals: evidence for and against the mask of a slice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Evidence about a segmented slice that needs no ground truth, from 0 (the slice is probably wrong) to 1 (nothing is wrong with it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// Agreement of several generators, or of the parts of a fusion, on the slice: see [`Segmentation::agreement`](crate::Segmentation). Where it
    /// is missing, the mean of the other slices.
    Agreement,
    /// The model's own estimate of its mask's intersection over union.
    PredictedIou,
    /// Stability of the mask against the threshold of its logits: the area above 1 over the area above -1.
    Stability,
    /// Mean overlap of the mask with the predictions from its own boxes, exact and jittered.
    Jitter,
    /// Overlap of the mask with the shape interpolated between the masks of its two neighbours. For an empty slice, the fraction of its
    /// neighbours that are empty.
    Neighbours,
    /// Ratio of the mask's area to the mean area of its neighbours, the smaller over the larger.
    Area,
    /// Similarity of the whole slice to slices with the structure, from the score of the [`Gate`](crate::Gate); for an empty slice, to
    /// slices without it.
    Gate,
    /// Nearness of an annotated slice: 1 next to it, 0.5 at a quarter of the annotated extent.
    Nearness,
    /// Overlap of the mask with a coarse map that does not depend on it. For an empty slice, how little the map marks there.
    Coarse,
    /// How much more similar the features inside the mask are to those inside the outlines than to those around them.
    Prototype,
    /// Overlap of the histogram of levels inside the mask with that inside the outlines.
    Intensity,
}

impl Signal {
    /// Every signal.
    pub const ALL: &'static [Self] = &Self::EVERY;

    /// Every signal, as an array for tables of values.
    pub(super) const EVERY: [Self; 11] = [
        Self::Agreement,
        Self::PredictedIou,
        Self::Stability,
        Self::Jitter,
        Self::Neighbours,
        Self::Area,
        Self::Gate,
        Self::Nearness,
        Self::Coarse,
        Self::Prototype,
        Self::Intensity,
    ];

    /// What a low value means, as text for the person. `found` is whether the slice has a mask.
    pub const fn reason(self, found: bool) -> &'static str {
        match (self, found) {
            (Self::Agreement, _) => "the methods disagree",
            (Self::PredictedIou, _) => "the model itself expects a poor mask",
            (Self::Stability, _) => "the border is vague",
            (Self::Jitter, _) => "the mask changes with its box",
            (Self::Neighbours, true) => "neighbours disagree",
            (Self::Neighbours, false) => "empty beside slices with the structure",
            (Self::Area, _) => "the area jumps",
            (Self::Gate, true) => "the slice looks as if the structure were not there",
            (Self::Gate, false) => "the slice looks as if the structure were there",
            (Self::Nearness, _) => "far from any annotated slice",
            (Self::Coarse, true) => "the coarse map disagrees",
            (Self::Coarse, false) => "the coarse map sees the structure",
            (Self::Prototype, _) => "inside looks unlike the outlined structure",
            (Self::Intensity, _) => "brightness differs from the outlined slices",
        }
    }
}

/// The signals of one slice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustSignals {
    found: bool,
    values: BTreeMap<Signal, f32>,
}

impl TrustSignals {
    /// No signal yet, for a slice with a mask or without one.
    pub fn new(found: bool) -> Self {
        Self { found, values: BTreeMap::new() }
    }

    /// Sets a signal, clamped to [0, 1]. NaN is stored as 0 (the signal is undefined for this mask).
    #[must_use]
    pub fn with(mut self, signal: Signal, value: f32) -> Self {
        self.set(signal, value);
        self
    }

    pub(super) fn set(&mut self, signal: Signal, value: f32) {
        self.values.insert(signal, if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) });
    }

    /// Whether a signal was measured.
    pub(super) fn is_measured(&self, signal: Signal) -> bool {
        self.values.contains_key(&signal)
    }

    /// Whether the slice has a mask. A slice without a mask is also a result, and can be wrong.
    pub fn found(&self) -> bool {
        self.found
    }

    /// A signal in [0, 1]; 1 if it was not measured.
    pub fn get(&self, signal: Signal) -> f32 {
        self.values.get(&signal).map_or(1.0, |value| value.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shares_and_what_was_not_measured_speaks_for_the_slice() {
        let signals = TrustSignals::new(true)
            .with(Signal::PredictedIou, 1.2)
            .with(Signal::Area, -1.0)
            .with(Signal::Stability, f32::NAN)
            .with(Signal::Gate, 0.25);
        let expected =
            [(Signal::PredictedIou, 1.0), (Signal::Area, 0.0), (Signal::Stability, 0.0), (Signal::Gate, 0.25)];
        for (signal, value) in expected {
            assert!((signals.get(signal) - value).abs() < f32::EPSILON, "{signal:?}");
        }
        assert!((signals.get(Signal::Coarse) - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn all_signals_are_listed_once() {
        let mut listed = Signal::ALL.to_vec();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), Signal::ALL.len());
    }
}
