//! A paired test of two methods on the same cases.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::ranks::{average_ranks, tie_sizes};

/// Wilcoxon's signed-rank test of paired scores, two-sided: are the differences symmetric about 0?
///
/// A pair with a NaN or infinite score is left out and counted. A pair without a difference is dropped, as Wilcoxon did, and counted; equal
/// differences share their mean rank.
///
/// # Example
///
/// ```
/// use sam_eval::Wilcoxon;
///
/// let assist = [0.91, 0.88, 0.75, 0.95, 0.82, 0.7];
/// let original = [0.85, 0.8, 0.77, 0.85, 0.7, 0.55];
/// let test = Wilcoxon::of(assist.into_iter().zip(original));
/// assert_eq!((test.positive_ranks, test.negative_ranks), (20.0, 1.0)); // the first is higher
/// assert_eq!(test.p_value, Some(0.0625)); // but six cases are few
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Wilcoxon {
    /// Sum of the ranks of the pairs whose first score is higher.
    pub positive_ranks: f64,
    /// Sum of the ranks of the pairs whose second score is higher. The smaller of the two sums is the test's statistic.
    pub negative_ranks: f64,
    /// Two-sided p-value; `None` without a pair that differs.
    pub p_value: Option<f64>,
    /// Distribution of the p-value.
    pub method: WilcoxonMethod,
    /// Number of pairs that differ, from which the p-value is computed.
    pub n: usize,
    /// Number of pairs without a difference, dropped.
    pub zeros: usize,
    /// Number of pairs left out because a score was not finite.
    pub undefined: usize,
}

/// The distribution from which a p-value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WilcoxonMethod {
    /// The exact distribution over all sign patterns.
    Exact,
    /// The normal distribution of the same mean and variance, with corrections for ties and for continuity.
    Normal,
}

impl Wilcoxon {
    /// The largest number of pairs for the exact distribution without ties.
    pub const EXACT: usize = 50;
    /// The largest number of pairs for the exact distribution with ties.
    pub const EXACT_WITH_TIES: usize = 13;

    /// Tests pairs of scores (of the first method, of the second). Differences are tied only if they are equal to the last bit.
    ///
    /// # Source
    /// F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945. The limits of the exact distribution are
    /// those of `scipy.stats.wilcoxon` 1.17; beyond them the result is that of `wilcoxon(x, y, correction=True, method="asymptotic")`. (By
    /// default scipy omits the continuity correction, and it counts pairs without a difference towards its limits.)
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (mut differences, mut zeros, mut undefined) = (Vec::new(), 0, 0);
        for (first, second) in pairs {
            let difference = first - second;
            if !difference.is_finite() {
                undefined += 1;
            } else if difference == 0.0 {
                zeros += 1;
            } else {
                differences.push(difference);
            }
        }
        let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
        let ranks = average_ranks(&sizes);
        let sum_of = |is_counted: fn(f64) -> bool| -> f64 {
            ranks
                .iter()
                .zip(&differences)
                .filter(|&(_, &difference)| is_counted(difference))
                .map(|(rank, _)| rank)
                .sum()
        };
        let (positive_ranks, negative_ranks) =
            (sum_of(|difference| difference > 0.0), sum_of(|difference| difference < 0.0));
        let n = differences.len();
        let ties = tie_sizes(&sizes);
        let limit = if ties.len() == n { Self::EXACT } else { Self::EXACT_WITH_TIES };
        let smaller = positive_ranks.min(negative_ranks);
        let (method, p_value) = if n <= limit {
            (WilcoxonMethod::Exact, exact(&ranks, smaller))
        } else {
            (WilcoxonMethod::Normal, normal(&ties, n as f64, smaller))
        };
        let p_value = (n > 0).then_some(p_value);
        Self { positive_ranks, negative_ranks, p_value, method, n, zeros, undefined }
    }

    /// The smaller sum of ranks, the test's statistic.
    pub fn statistic(&self) -> f64 {
        self.positive_ranks.min(self.negative_ranks)
    }
}

/// Twice the share of all sign patterns whose sum of positive ranks is no larger than `smaller`; at most 1.
fn exact(ranks: &[f64], smaller: f64) -> f64 {
    // A mean rank is a multiple of one half.
    let doubled = |rank: f64| (2.0 * rank).round() as usize;
    let mut patterns = vec![1.0];
    for &rank in ranks {
        let rank = doubled(rank);
        let mut more = patterns.clone();
        more.resize(patterns.len() + rank, 0.0);
        for (sum, count) in patterns.iter().enumerate() {
            more[sum + rank] += count;
        }
        patterns = more;
    }
    // There are at most 2^50 patterns, so the counts are exact.
    let all: f64 = patterns.iter().sum();
    let extreme: f64 = patterns.iter().take(doubled(smaller) + 1).sum();
    (2.0 * extreme / all).min(1.0)
}

fn normal(ties: &[usize], n: f64, smaller: f64) -> f64 {
    let mean = n * (n + 1.0) / 4.0;
    let correction: f64 = ties.iter().map(|&size| (size as f64).powi(3) - size as f64).sum();
    let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - correction / 2.0) / 24.0).sqrt();
    // Continuity correction: half a rank towards the mean, but never beyond it.
    let distance = if smaller < mean { mean - smaller - 0.5 } else { 0.0 };
    2.0 * Normal::standard().sf(distance.abs() / deviation)
}
