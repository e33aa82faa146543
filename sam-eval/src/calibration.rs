//! Calibration of a model's estimate of its intersection over union.

use serde::{Deserialize, Serialize};

use crate::ranks::{average_ranks, correlation};
use crate::{ConfigError, EvalError};

/// The calibration of a model that predicts the intersection over union of its masks.
///
/// A pair with a NaN or infinite value is undefined: it is left out and counted. Undefined statistics are `None` (`null` in JSON).
///
/// # Example
///
/// ```
/// use sam_eval::Calibration;
///
/// let pairs = [(0.9, 0.8), (0.95, 0.9), (0.5, 0.55), (0.7, f64::NAN)];
/// let calibration = Calibration::of(pairs, Calibration::DEFAULT_BINS)?;
/// assert_eq!((calibration.n, calibration.undefined), (3, 1));
/// assert!(calibration.bias.is_some_and(|bias| bias > 0.0)); // too optimistic
/// # Ok::<(), sam_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Number of defined pairs.
    pub n: usize,
    /// Number of pairs left out because a value was not finite.
    pub undefined: usize,
    /// Mean of predicted minus true: above 0 if the model is too optimistic.
    pub bias: Option<f64>,
    /// Mean of the absolute differences.
    pub mean_absolute_error: Option<f64>,
    /// Expected calibration error (ECE): the absolute difference of a bin's two means, averaged over the bins by their counts. It
    /// grows with the number of bins, so report that too.
    pub expected_calibration_error: Option<f64>,
    /// Pearson's correlation; `None` if either side does not vary.
    pub pearson: Option<f64>,
    /// Spearman's rank correlation, equal values sharing their mean rank; `None` if either side does not vary.
    pub spearman: Option<f64>,
    /// Bins of equal width over [0, 1], by the predicted value: the points of a reliability diagram.
    pub bins: Vec<CalibrationBin>,
}

/// One bin of a reliability diagram: the pairs whose predicted value is between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// Lower bound, included. The first bin also takes predictions below 0.
    pub from: f64,
    /// Upper bound, excluded. The last bin also takes predictions of 1 and above: SAM's head is not bounded.
    pub to: f64,
    /// Number of pairs.
    pub count: usize,
    /// Mean of the predicted values; `None` for an empty bin.
    pub mean_predicted: Option<f64>,
    /// Mean of the true values; `None` for an empty bin.
    pub mean_true: Option<f64>,
}

impl Calibration {
    /// The usual number of bins.
    pub const DEFAULT_BINS: usize = 10;

    /// Compares pairs of (predicted, true).
    ///
    /// # Errors
    /// [`EvalError::Config`] if there are no bins.
    ///
    /// # Source
    /// C. Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3. Here the true intersection over union replaces the
    /// accuracy, and each bin includes its lower bound instead of its upper one.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>, bins: usize) -> Result<Self, EvalError> {
        ConfigError::check_count("number of bins", bins)?;
        let (defined, undefined): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(predicted, truth)| predicted.is_finite() && truth.is_finite());
        let (predicted, truth): (Vec<f64>, Vec<f64>) = defined.iter().copied().unzip();
        let n = defined.len();
        let mean_of = |difference: fn(f64, f64) -> f64| {
            mean(defined.iter().map(|&(predicted, truth)| difference(predicted, truth)).sum(), n)
        };
        let bins = CalibrationBin::fill(&defined, bins);
        let gaps = bins.iter().filter_map(|bin| Some(bin.count as f64 * (bin.mean_predicted? - bin.mean_true?).abs()));
        Ok(Self {
            n,
            undefined: undefined.len(),
            bias: mean_of(|predicted, truth| predicted - truth),
            mean_absolute_error: mean_of(|predicted, truth| (predicted - truth).abs()),
            expected_calibration_error: mean(gaps.sum(), n),
            pearson: correlation(&predicted, &truth),
            spearman: correlation(&average_ranks(&predicted), &average_ranks(&truth)),
            bins,
        })
    }
}

impl CalibrationBin {
    fn fill(pairs: &[(f64, f64)], count: usize) -> Vec<Self> {
        let mut sums = vec![(0, 0.0, 0.0); count];
        for &(predicted, truth) in pairs {
            // The cast saturates: a negative value becomes 0.
            let bin = &mut sums[((predicted * count as f64) as usize).min(count - 1)];
            *bin = (bin.0 + 1, bin.1 + predicted, bin.2 + truth);
        }
        let bound = |at: usize| at as f64 / count as f64;
        let bins = sums.into_iter().enumerate().map(|(at, (count, predicted, truth))| Self {
            from: bound(at),
            to: bound(at + 1),
            count,
            mean_predicted: mean(predicted, count),
            mean_true: mean(truth, count),
        });
        bins.collect()
    }
}

fn mean(sum: f64, count: usize) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(got: Option<f64>, expected: f64) -> bool {
        got.is_some_and(|got| (got - expected).abs() < 1e-12)
    }

    #[test]
    fn compares_what_was_promised_with_what_was_kept() -> Result<(), EvalError> {
        let pairs = [(0.1, 0.3), (0.3, 0.1), (0.6, 0.5), (1.1, 0.8), (0.9, f64::NAN), (f64::INFINITY, 0.5)];
        let calibration = Calibration::of(pairs, 2)?;
        assert_eq!((calibration.n, calibration.undefined), (4, 2));
        assert!(is(calibration.bias, 0.1) && is(calibration.mean_absolute_error, 0.2));
        // The two errors in the first bin have opposite signs and cancel.
        assert!(is(calibration.expected_calibration_error, 0.5 * 0.2));
        assert!(is(calibration.spearman, 0.8));
        let [low, high] = calibration.bins[..] else { panic!("two bins") };
        assert_eq!((low.count, high.count, low.to.to_bits()), (2, 2, 0.5_f64.to_bits()));
        assert!(is(low.mean_predicted, 0.2) && is(high.mean_true, 0.65));
        Ok(())
    }

    #[test]
    fn without_pairs_or_without_change_there_is_nothing_to_say() -> Result<(), EvalError> {
        let nothing = Calibration::of([(f64::NAN, 0.5)], 3)?;
        assert_eq!((nothing.n, nothing.undefined, nothing.bias, nothing.pearson), (0, 1, None, None));
        assert_eq!(nothing.bins.iter().map(|bin| bin.count).sum::<usize>(), 0);
        let constant = Calibration::of([(0.9, 0.1), (0.9, 0.8)], 3)?;
        assert_eq!((constant.pearson, constant.spearman), (None, None));
        let refused = Calibration::of([], 0);
        assert_eq!(refused, Err(EvalError::Config(ConfigError::new("number of bins", "0", "at least 1"))));
        Ok(())
    }
}
