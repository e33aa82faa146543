//! What speaks for a slice's mask, and what against it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that can be known of a segmented slice without its truth. Each is measured in [0, 1]: 1 where nothing speaks against the
/// slice, 0 where all does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// How far several generators agree on the slice: [`Agreement`](crate::Agreement)'s mean.
    Agreement,
    /// The model's own estimate of its mask's intersection over union.
    PredictedIou,
    /// How little the mask depends on the threshold of its logits: the area above 1 over the area above -1.
    Stability,
    /// The mean overlap of the mask with what the model answers to its own boxes, as they are and jittered.
    Jitter,
    /// The overlap of the mask with what the masks of the two neighbours lead to expect between them. Of an empty slice, the share of
    /// its neighbours that are empty.
    Neighbours,
    /// How near the mask's area is to the mean of its neighbours': the smaller over the larger.
    Area,
    /// How clearly the whole slice looks like those with the structure, as the [`Gate`](crate::Gate) sees it; of an empty slice, like
    /// those without.
    Gate,
    /// How near an annotated slice lies: 1 beside it, a half at a quarter of the annotated extent.
    Nearness,
    /// The overlap of the mask with a coarse map that knows nothing of it. Of an empty slice, how little the map claims there.
    Coarse,
    /// How much more the features within the mask are like those within the outlines than like those around them.
    Prototype,
    /// How much of the mask's histogram of levels is that of the outlines.
    Intensity,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 11] = [
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

    /// What a low value means, in words for the person who looks; `found` says whether anything was found on the slice.
    pub const fn reason(self, found: bool) -> &'static str {
        match (self, found) {
            (Self::Agreement, _) => "generators disagree",
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

/// The signals of one slice that nobody annotated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustSignals {
    found: bool,
    values: BTreeMap<Signal, f32>,
}

impl TrustSignals {
    /// A slice on which something was found, or nothing. Nothing is measured so far.
    pub fn new(found: bool) -> Self {
        Self { found, values: BTreeMap::new() }
    }

    /// The same with a signal measured. What is no number is 0: it could not be measured on such a mask.
    #[must_use]
    pub fn with(mut self, signal: Signal, value: f32) -> Self {
        self.set(signal, value);
        self
    }

    pub(super) fn set(&mut self, signal: Signal, value: f32) {
        self.values.insert(signal, if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) });
    }

    /// Whether anything was found on the slice: "no object here" is an answer, too, and can be wrong.
    pub fn found(&self) -> bool {
        self.found
    }

    /// A signal in [0, 1]; 1 where it was not measured, as nothing speaks against the slice.
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
