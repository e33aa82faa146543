//! What the signals say together: the Dice to be expected of a slice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Signal, TrustSignals};
use crate::AutoError;

/// Rounds of the fit through all weights; far more than it takes.
const ROUNDS: usize = 400;
/// The logistic function is nowhere steeper than this.
const STEEPEST: f32 = 0.25;

/// A logistic model of Dice: a bias and a weight for each signal. No weight is below 0, so that more of any signal is never less trust.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearTrust {
    /// The logit of Dice where all signals are 0.
    pub bias: f32,
    /// By signal; 0 for those that are not named.
    pub weights: BTreeMap<Signal, f32>,
}

impl LinearTrust {
    /// Of slices with a mask. Set by hand, before any measurement, and not bettered by weights fitted to other data sets (the example
    /// `trust_ranking`, 17 structures): a slice whose signals are all 0.85 is expected to have a Dice of 0.96,
    /// one whose signals are all 0.4, of 0.16.
    fn found() -> Self {
        let weights = [
            (Signal::Agreement, 1.0),
            (Signal::PredictedIou, 1.0),
            (Signal::Stability, 0.8),
            (Signal::Jitter, 1.5),
            (Signal::Neighbours, 1.5),
            (Signal::Area, 0.8),
            (Signal::Gate, 0.5),
            (Signal::Nearness, 0.5),
            (Signal::Coarse, 1.5),
            (Signal::Prototype, 1.0),
            (Signal::Intensity, 0.7),
        ];
        Self { bias: -6.0, weights: weights.into() }
    }

    /// Of slices without, by hand as well: one between two with the structure, and that looks like them, is as likely wrong as right. The
    /// bias was raised from -2 after two spleens (of MSD and `TotalSegmentator`), where rightly empty slices came before poor masks.
    fn empty() -> Self {
        let weights = [(Signal::Neighbours, 2.0), (Signal::Gate, 2.0), (Signal::Coarse, 2.0)];
        Self { bias: 0.0, weights: weights.into() }
    }

    /// A weight, 0 if it is not named.
    pub fn weight(&self, signal: Signal) -> f32 {
        self.weights.get(&signal).copied().unwrap_or(0.0)
    }

    fn expected_dice(&self, signals: &TrustSignals) -> f32 {
        let weighted: f32 = self.weights.iter().map(|(&signal, weight)| weight * signals.get(signal)).sum();
        logistic(self.bias + weighted)
    }

    fn check(&self, name: &'static str) -> Result<(), AutoError> {
        let bias = self.bias;
        AutoError::check(bias.is_finite(), name, || format!("a bias of {bias}"), "a finite bias")?;
        let wrong = self.weights.iter().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0));
        let found = || wrong.map_or_else(String::new, |(signal, weight)| format!("a weight of {weight} of {signal:?}"));
        AutoError::check(wrong.is_none(), name, found, "finite weights of at least 0")
    }

    /// The same, moved towards some slices' true Dice: the least cross-entropy plus `strength` / 2 times the squared distance from
    /// here. Each weight goes in turn to the least of a parabola that lies above, so that no step ever makes it worse.
    fn fitted(&self, known: &[(&TrustSignals, f32)], strength: f32) -> Self {
        let mut fitted = self.clone();
        if known.is_empty() {
            return fitted;
        }
        let rows: Vec<_> = known.iter().map(|(signals, _)| Signal::ALL.map(|signal| signals.get(signal))).collect();
        let curvature = |values: &dyn Fn(usize) -> f32| {
            strength + STEEPEST * (0..rows.len()).map(|row| values(row).powi(2)).sum::<f32>()
        };
        let mut logits: Vec<f32> = known.iter().map(|(signals, _)| logit_of(&fitted, signals)).collect();
        let slope = |logits: &[f32], values: &dyn Fn(usize) -> f32, moved: f32| {
            let errors = logits.iter().zip(known).map(|(logit, (_, dice))| logistic(*logit) - dice);
            strength * moved + errors.enumerate().map(|(row, error)| error * values(row)).sum::<f32>()
        };
        for _ in 0..ROUNDS {
            let step = slope(&logits, &|_| 1.0, fitted.bias - self.bias) / curvature(&|_| 1.0);
            fitted.bias -= step;
            for logit in &mut logits {
                *logit -= step;
            }
            for (column, signal) in Signal::ALL.into_iter().enumerate() {
                let values = |row: usize| rows[row][column];
                let (before, start) = (fitted.weight(signal), self.weight(signal));
                let curvature = curvature(&values);
                if curvature <= 0.0 {
                    continue;
                }
                let after = (before - slope(&logits, &values, before - start) / curvature).max(0.0);
                if after > 0.0 || before > 0.0 {
                    fitted.weights.insert(signal, after);
                }
                logits.iter_mut().enumerate().for_each(|(row, logit)| *logit += (after - before) * values(row));
            }
        }
        fitted
    }
}

fn logit_of(model: &LinearTrust, signals: &TrustSignals) -> f32 {
    model.bias + model.weights.iter().map(|(&signal, weight)| weight * signals.get(signal)).sum::<f32>()
}

fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The Dice to be expected of a slice: one model of slices with a mask, one of slices that were judged empty.
///
/// Of an empty slice, the expected Dice is the probability that nothing is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustModel {
    /// Of slices with a mask.
    pub found: LinearTrust,
    /// Of slices without.
    pub empty: LinearTrust,
    /// How strongly [`TrustModel::fit`] holds on to these weights.
    pub strength: f32,
}

impl Default for TrustModel {
    fn default() -> Self {
        Self { found: LinearTrust::found(), empty: LinearTrust::empty(), strength: 10.0 }
    }
}

impl TrustModel {
    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        self.found.check("trust.found")?;
        self.empty.check("trust.empty")?;
        let strength = self.strength;
        let is_strength = strength.is_finite() && strength > 0.0;
        AutoError::check(is_strength, "trust.strength", || strength.to_string(), "a finite number above 0")
    }

    /// The Dice to be expected of a slice, in [0, 1].
    pub fn expected_dice(&self, signals: &TrustSignals) -> f32 {
        self.of(signals.found()).expected_dice(signals)
    }

    /// The model of slices with a mask, or of those without.
    pub fn of(&self, found: bool) -> &LinearTrust {
        if found { &self.found } else { &self.empty }
    }

    /// The same, moved towards slices whose Dice is known: the annotated ones, each segmented by what the others teach. Without any,
    /// nothing changes.
    #[must_use]
    pub fn fit(&self, known: &[(TrustSignals, f32)]) -> Self {
        let own = |found: bool| {
            let own = known.iter().filter(move |(signals, _)| signals.found() == found);
            own.map(|(signals, dice)| (signals, dice.clamp(0.0, 1.0))).collect::<Vec<_>>()
        };
        Self {
            found: self.found.fitted(&own(true), self.strength),
            empty: self.empty.fitted(&own(false), self.strength),
            strength: self.strength,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice() -> impl Strategy<Value = TrustSignals> {
        let values = proptest::collection::vec(0.0_f32..=1.0, Signal::ALL.len());
        (any::<bool>(), values).prop_map(|(found, values)| {
            let each = Signal::ALL.into_iter().zip(values);
            each.fold(TrustSignals::new(found), |signals, (signal, value)| signals.with(signal, value))
        })
    }

    proptest! {
        #[test]
        fn trust_is_a_share_and_no_signal_speaks_against_itself(signals in slice(), more in 0.0_f32..=1.0) {
            let model = TrustModel::default();
            let trust = model.expected_dice(&signals);
            prop_assert!((0.0..=1.0).contains(&trust));
            for signal in Signal::ALL {
                let better = signals.clone().with(signal, signals.get(signal) + more);
                prop_assert!(model.expected_dice(&better) >= trust, "{signal:?}");
            }
        }

        #[test]
        fn fitting_keeps_weights_from_falling_below_zero_and_comes_nearer(
            known in proptest::collection::vec((slice(), 0.0_f32..=1.0), 1..12),
        ) {
            let model = TrustModel { strength: 0.5, ..TrustModel::default() };
            let fitted = model.fit(&known);
            fitted.check().expect("a model");
            let loss = |model: &TrustModel| known.iter().map(|(signals, dice)| {
                let expected = f64::from(model.expected_dice(signals)).clamp(1e-6, 1.0 - 1e-6);
                let dice = f64::from(*dice);
                -dice * expected.ln() - (1.0 - dice) * (1.0 - expected).ln()
            }).sum::<f64>();
            prop_assert!(loss(&fitted) <= loss(&model) + 1e-3, "{} > {}", loss(&fitted), loss(&model));
        }
    }

    #[test]
    fn without_known_slices_nothing_changes() {
        assert_eq!(TrustModel::default().fit(&[]), TrustModel::default());
        TrustModel::default().check().expect("the defaults make sense");
    }

    #[test]
    fn much_is_learned_from_many_slices_and_little_from_few() {
        // Dice follows one signal alone.
        let known = |count: usize| -> Vec<_> {
            let value = |at: usize| at as f32 / (count - 1) as f32;
            let slice = |at| TrustSignals::new(true).with(Signal::Gate, 0.5).with(Signal::Neighbours, value(at));
            (0..count).map(|at| (slice(at), value(at))).collect()
        };
        let untaught = TrustModel { found: LinearTrust::default(), ..TrustModel::default() };
        let (few, many) = (untaught.fit(&known(4)).found, untaught.fit(&known(1000)).found);
        assert!(many.weight(Signal::Neighbours) > 2.0, "{many:?}");
        assert!(few.weight(Signal::Neighbours) < 0.5 * many.weight(Signal::Neighbours), "{few:?}");
        // Nothing was said of slices without a mask.
        assert_eq!(untaught.fit(&known(4)).empty, untaught.empty);
    }

    #[test]
    fn weights_that_turn_a_signal_round_are_refused() {
        for weight in [-0.1, f32::NAN] {
            let found = LinearTrust { bias: 0.0, weights: [(Signal::Area, weight)].into() };
            let error = TrustModel { found, ..TrustModel::default() }.check().expect_err("no weight");
            assert!(error.to_string().contains("Area"), "{error}");
        }
        assert!(TrustModel { strength: 0.0, ..TrustModel::default() }.check().is_err());
    }
}
