//! Confidence intervals by resampling.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ranks::percentile;
use crate::{ConfigError, EvalError};

/// Settings of the resampling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapConfig {
    /// Number of resamples, each as large as the sample.
    pub resamples: usize,
    /// Share of the resamples that the interval spans, in (0, 1).
    pub level: f64,
    /// Seed of the resampling. The same seed gives the same interval.
    pub seed: u64,
}

impl BootstrapConfig {
    /// Enough resamples that the second digit of a bound does not depend on the seed (also scipy's default).
    pub const DEFAULT_RESAMPLES: usize = 9_999;
    /// The usual 95 %.
    pub const DEFAULT_LEVEL: f64 = 0.95;
    /// An arbitrary seed.
    pub const DEFAULT_SEED: u64 = 0;

    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_count("number of resamples", self.resamples)?;
        let is_level = self.level > 0.0 && self.level < 1.0;
        ConfigError::check(is_level, "level of confidence", || self.level.to_string(), "a number in (0, 1)")
    }
}

impl Default for BootstrapConfig {
    fn default() -> Self {
        Self { resamples: Self::DEFAULT_RESAMPLES, level: Self::DEFAULT_LEVEL, seed: Self::DEFAULT_SEED }
    }
}

/// A statistic of a sample with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfidenceInterval {
    /// The statistic of the sample itself; `None` if it is undefined.
    pub estimate: Option<f64>,
    /// Lower bound; `None` for fewer than two items, or if no resample had a defined statistic.
    pub low: Option<f64>,
    /// Upper bound; `None` under the same conditions as the lower bound.
    pub high: Option<f64>,
    /// Share of the resamples between the bounds.
    pub level: f64,
    /// Number of items in the sample.
    pub n: usize,
    /// Number of items left out because their score is not finite.
    pub undefined: usize,
    /// Number of resamples whose statistic was not finite; they are left out of the bounds.
    pub undefined_resamples: usize,
}

/// The percentile bootstrap interval of a statistic: the sample's items are resampled with replacement, and the interval spans the
/// middle share of the statistics.
///
/// The items must be independent. Slices of one scan are not: resample the means of scans, or the intervals are too narrow. They are
/// also too narrow for very small samples.
///
/// # Errors
/// [`EvalError::Config`] if there are no resamples, or the level is not in (0, 1).
///
/// # Source
/// B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; bounds interpolated as by `numpy.percentile`, as
/// `scipy.stats.bootstrap(method="percentile")` does.
pub fn bootstrap<T: Copy>(
    sample: &[T],
    statistic: impl Fn(&[T]) -> f64,
    config: &BootstrapConfig,
) -> Result<ConfidenceInterval, EvalError> {
    config.check()?;
    let n = sample.len();
    let defined = |value: f64| value.is_finite().then_some(value);
    let mut interval = ConfidenceInterval {
        estimate: defined(statistic(sample)),
        low: None,
        high: None,
        level: config.level,
        n,
        undefined: 0,
        undefined_resamples: 0,
    };
    if n < 2 {
        return Ok(interval);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut drawn = Vec::with_capacity(n);
    let mut found: Vec<f64> = Vec::with_capacity(config.resamples);
    for _ in 0..config.resamples {
        drawn.clear();
        drawn.extend((0..n).map(|_| sample[rng.random_range(0..n)]));
        found.extend(defined(statistic(&drawn)));
    }
    interval.undefined_resamples = config.resamples - found.len();
    if !found.is_empty() {
        found.sort_unstable_by(f64::total_cmp);
        let outside = (1.0 - config.level) / 2.0;
        interval.low = Some(percentile(&found, outside));
        interval.high = Some(percentile(&found, 1.0 - outside));
    }
    Ok(interval)
}

/// [`bootstrap`] of the mean of scores; those that are not finite are left out and counted.
///
/// # Errors
/// As [`bootstrap`].
///
/// # Example
///
/// ```
/// use sam_eval::{BootstrapConfig, bootstrap_mean};
///
/// let interval = bootstrap_mean([0.81, 0.85, 0.9, 0.78, f64::NAN, 0.88], &BootstrapConfig::default())?;
/// assert_eq!((interval.n, interval.undefined), (5, 1));
/// assert!(interval.low < interval.estimate && interval.estimate < interval.high);
/// # Ok::<(), sam_eval::EvalError>(())
/// ```
pub fn bootstrap_mean(
    scores: impl IntoIterator<Item = f64>,
    config: &BootstrapConfig,
) -> Result<ConfidenceInterval, EvalError> {
    let (defined, undefined): (Vec<f64>, Vec<f64>) = scores.into_iter().partition(|score| score.is_finite());
    // The mean of no scores is 0 / 0, which is NaN as intended.
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    Ok(ConfidenceInterval { undefined: undefined.len(), ..bootstrap(&defined, mean, config)? })
}
