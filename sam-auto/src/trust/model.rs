//! Trust model: combines the signals into the expected Dice of a slice.

use std::collections::BTreeMap;

use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use super::{Signal, TrustSignals};

/// Rounds of the coordinate descent over all weights. It needs far fewer.
const ROUNDS: usize = 400;
/// Default of [`TrustModel::strength`].
const STRENGTH: f32 = 10.0;
/// Maximum slope of the logistic function.
const STEEPEST: f32 = 0.25;

/// A logistic model of Dice: a bias and a weight for each signal. Weights are not negative, so that a higher signal never lowers trust.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LinearTrust {
    /// Logit of the expected Dice if all signals are 0.
    pub bias: f32,
    /// Weight of each signal; 0 for those that are missing.
    pub weights: BTreeMap<Signal, f32>,
}

impl LinearTrust {
    /// A model with a bias and the weights of some signals.
    pub fn new(bias: f32, weights: impl IntoIterator<Item = (Signal, f32)>) -> Self {
        Self { bias, weights: weights.into_iter().collect() }
    }

    /// Model for slices with a mask: [`LinearTrust::found_by_hand`] fitted to slices of known Dice, see [`TrustModel::default`].
    fn found() -> Self {
        let weights = [
            (Signal::Agreement, 0.96),
            (Signal::PredictedIou, 0.95),
            (Signal::Stability, 0.69),
            (Signal::Jitter, 1.42),
            (Signal::Neighbours, 1.42),
            (Signal::Area, 0.73),
            (Signal::Gate, 0.45),
            (Signal::Nearness, 0.5),
            (Signal::Coarse, 1.46),
            (Signal::Prototype, 0.96),
            (Signal::Intensity, 0.62),
        ];
        Self { bias: -6.06, weights: weights.into() }
    }

    /// Model for slices without a mask: [`LinearTrust::empty_by_hand`] fitted in the same way.
    fn empty() -> Self {
        let weights = [(Signal::Neighbours, 2.06), (Signal::Gate, 2.06), (Signal::Coarse, 1.98)];
        Self { bias: -0.02, weights: weights.into() }
    }

    /// Model for slices with a mask, by hand. If all signals are 0.85, the expected Dice is 0.96; if all are 0.4, it is 0.16.
    fn found_by_hand() -> Self {
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

    /// Model for slices without a mask, by hand: an empty slice between two slices with the structure that look like it is as likely wrong
    /// as right. The bias was raised from -2 after tests on two spleens (of MSD and `TotalSegmentator`), where correctly empty slices were
    /// ranked before poor masks.
    fn empty_by_hand() -> Self {
        let weights = [(Signal::Neighbours, 2.0), (Signal::Gate, 2.0), (Signal::Coarse, 2.0)];
        Self { bias: 0.0, weights: weights.into() }
    }

    /// The weight of a signal; 0 if it is missing.
    pub fn weight(&self, signal: Signal) -> f32 {
        self.weights.get(&signal).copied().unwrap_or(0.0)
    }

    fn expected_dice(&self, signals: &TrustSignals) -> f32 {
        let weighted: f32 = self.weights.iter().map(|(&signal, weight)| weight * signals.get(signal)).sum();
        logistic(self.bias + weighted)
    }

    fn check(&self, name: &'static str) -> Result<(), ConfigError> {
        let bias = self.bias;
        ConfigError::check(bias.is_finite(), name, || format!("a bias of {bias}"), "a finite bias")?;
        let wrong = self.weights.iter().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0));
        let found = || wrong.map_or_else(String::new, |(signal, weight)| format!("a weight of {weight} of {signal:?}"));
        ConfigError::check(wrong.is_none(), name, found, "finite weights of at least 0")
    }

    /// Fits the model to slices of known Dice: minimises the cross-entropy plus `strength` / 2 times the squared distance from the
    /// present weights.
    ///
    /// Coordinate descent: each weight in turn moves to the minimum of a parabola that bounds the loss from above, so that no step
    /// increases the loss.
    fn fitted(&self, known: &[(&TrustSignals, f32)], strength: f32) -> Self {
        let mut fitted = self.clone();
        if known.is_empty() {
            return fitted;
        }
        let rows: Vec<_> = known.iter().map(|(signals, _)| Signal::EVERY.map(|signal| signals.get(signal))).collect();
        let mut fit = Fit { known, strength, logits: known.iter().map(|(of, _)| logit_of(&fitted, of)).collect() };
        for _ in 0..ROUNDS {
            let step = fit.slope(&|_| 1.0, fitted.bias - self.bias) / fit.curvature(&|_| 1.0);
            fitted.bias -= step;
            for logit in &mut fit.logits {
                *logit -= step;
            }
            for (column, signal) in Signal::EVERY.into_iter().enumerate() {
                let values = |row: usize| rows[row][column];
                let (before, start) = (fitted.weight(signal), self.weight(signal));
                let curvature = fit.curvature(&values);
                if curvature <= 0.0 {
                    continue;
                }
                let after = (before - fit.slope(&values, before - start) / curvature).max(0.0);
                if after > 0.0 || before > 0.0 {
                    fitted.weights.insert(signal, after);
                }
                fit.logits.iter_mut().enumerate().for_each(|(row, logit)| *logit += (after - before) * values(row));
            }
        }
        fitted
    }
}

/// The state of a fit.
struct Fit<'a> {
    known: &'a [(&'a TrustSignals, f32)],
    strength: f32,
    /// Logits of the known slices under the present weights.
    logits: Vec<f32>,
}

impl Fit<'_> {
    /// Upper bound of the second derivative along one weight. `values` are the values of its signal.
    fn curvature(&self, values: &dyn Fn(usize) -> f32) -> f32 {
        self.strength + STEEPEST * (0..self.known.len()).map(|row| values(row).powi(2)).sum::<f32>()
    }

    /// Derivative along one weight. `moved` is its distance from its start.
    fn slope(&self, values: &dyn Fn(usize) -> f32, moved: f32) -> f32 {
        let errors = self.logits.iter().zip(self.known).map(|(logit, (_, dice))| logistic(*logit) - dice);
        self.strength * moved + errors.enumerate().map(|(row, error)| error * values(row)).sum::<f32>()
    }
}

fn logit_of(model: &LinearTrust, signals: &TrustSignals) -> f32 {
    model.bias + model.weights.iter().map(|(&signal, weight)| weight * signals.get(signal)).sum::<f32>()
}

fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Trust model: predicts the Dice of a slice, with one model for slices with a mask and one for slices without.
///
/// For an empty slice, the expected Dice is the probability that the structure is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustModel {
    /// For slices with a mask.
    pub found: LinearTrust,
    /// For slices without a mask.
    pub empty: LinearTrust,
    /// Strength of the prior in [`TrustModel::fit`], which keeps the weights near the present ones.
    pub strength: f32,
}

sam_assist::__setters!(TrustModel {
    with_found => found: LinearTrust,
    with_empty => empty: LinearTrust,
    with_strength => strength: f32,
});

impl Default for TrustModel {
    /// The model by hand, fitted to the masks that the default strategy makes of 3 and 5 outlines of 19 structures (example `trust_ranking`,
    /// whose report has these weights). Fitted without a data set, the expected calibration error on that data set's slices is 0.015, and 0.022
    /// on those with a mask. Masks of strategies without agreement ([`Segmentation::agreement`](crate::Segmentation)) are trusted a little more.
    fn default() -> Self {
        Self { found: LinearTrust::found(), empty: LinearTrust::empty(), strength: STRENGTH }
    }
}

impl TrustModel {
    /// A model whose weights were set by hand, to compare with. It ranks slices, but its values are not
    /// calibrated: see [`TrustModel::default`].
    pub fn by_hand() -> Self {
        Self { found: LinearTrust::found_by_hand(), empty: LinearTrust::empty_by_hand(), strength: STRENGTH }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.found.check("trust.found")?;
        self.empty.check("trust.empty")?;
        ConfigError::check_positive("trust.strength", self.strength)
    }

    /// The expected Dice of a slice, in [0, 1].
    pub fn expected_dice(&self, signals: &TrustSignals) -> f32 {
        self.of(signals.found()).expected_dice(signals)
    }

    /// The model for slices with a mask, or for slices without.
    pub fn of(&self, found: bool) -> &LinearTrust {
        if found { &self.found } else { &self.empty }
    }

    /// Fits the model to slices of known Dice, such as annotated slices that were left out in turn. Without known slices, nothing changes.
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
        let values = proptest::collection::vec(0.0_f32..=1.0, Signal::EVERY.len());
        (any::<bool>(), values).prop_map(|(found, values)| {
            let each = Signal::EVERY.into_iter().zip(values);
            each.fold(TrustSignals::new(found), |signals, (signal, value)| signals.with(signal, value))
        })
    }

    proptest! {
        #[test]
        fn trust_is_a_share_and_no_signal_speaks_against_itself(signals in slice(), more in 0.0_f32..=1.0) {
            let model = TrustModel::default();
            let trust = model.expected_dice(&signals);
            prop_assert!((0.0..=1.0).contains(&trust));
            for signal in Signal::EVERY {
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
        // Dice depends on one signal only.
        let known = |count: usize| -> Vec<_> {
            let value = |at: usize| at as f32 / (count - 1) as f32;
            let slice = |at| TrustSignals::new(true).with(Signal::Gate, 0.5).with(Signal::Neighbours, value(at));
            (0..count).map(|at| (slice(at), value(at))).collect()
        };
        let untaught = TrustModel { found: LinearTrust::default(), ..TrustModel::default() };
        let (few, many) = (untaught.fit(&known(4)).found, untaught.fit(&known(1000)).found);
        assert!(many.weight(Signal::Neighbours) > 2.0, "{many:?}");
        assert!(few.weight(Signal::Neighbours) < 0.5 * many.weight(Signal::Neighbours), "{few:?}");
        // There were no slices without a mask, so their model is unchanged.
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
