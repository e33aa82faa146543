//! Summaries of scores.

use serde::{Deserialize, Serialize};

/// Mean, spread and median of the scores of a set of slices.
///
/// Scores that are not finite are undefined (for example because both masks are empty, see
/// [`EmptyPolicy`](crate::EmptyPolicy)): they are left out and counted. Without a defined score, mean, deviation and median are
/// `None`, in JSON `null`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Population standard deviation of the scores: divides by `n` (`ddof = 0`, NumPy's default); 0 for one score. The paper does not
    /// define its "±".
    pub std: Option<f64>,
    /// Median; of an even number of scores, the mean of the middle two.
    pub median: Option<f64>,
    /// Number of defined scores.
    pub n: usize,
    /// Number of undefined scores, left out. `n + undefined` is the number of slices tested.
    #[serde(default)]
    pub undefined: usize,
}

impl Summary {
    /// Summarises scores, in any order.
    pub fn of(scores: impl IntoIterator<Item = f64>) -> Self {
        let (mut defined, undefined): (Vec<f64>, Vec<f64>) = scores.into_iter().partition(|score| score.is_finite());
        defined.sort_by(f64::total_cmp);
        let moments = mean_and_std(&defined);
        Self {
            mean: moments.map(|(mean, _)| mean),
            std: moments.map(|(_, std)| std),
            median: median(&defined),
            n: defined.len(),
            undefined: undefined.len(),
        }
    }
}

fn mean_and_std(scores: &[f64]) -> Option<(f64, f64)> {
    if scores.is_empty() {
        return None;
    }
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / n;
    Some((mean, variance.sqrt()))
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

/// Exact mean and deviation of the pooled scores of several summaries: the variance within plus the variance between them.
pub(crate) fn pooled(summaries: &[Summary]) -> Option<(f64, f64)> {
    let parts: Vec<(f64, f64, f64)> = summaries
        .iter()
        .filter_map(|summary| Some((summary.n as f64, summary.mean?, summary.std?)))
        .filter(|&(n, ..)| n > 0.0)
        .collect();
    let n: f64 = parts.iter().map(|&(n, ..)| n).sum();
    if n == 0.0 {
        return None;
    }
    let mean = parts.iter().map(|(n, mean, _)| n * mean).sum::<f64>() / n;
    let variance = parts.iter().map(|(n, m, std)| n * (std.powi(2) + (m - mean).powi(2))).sum::<f64>() / n;
    Some((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_what_is_defined_and_counts_the_rest() {
        let summary = Summary::of([4.0, f64::NAN, 1.0, 1.0, 2.0, f64::INFINITY]);
        assert_eq!((summary.n, summary.undefined), (4, 2));
        assert_eq!((summary.mean, summary.median), (Some(2.0), Some(1.5)));
        assert_eq!(summary.std, Some(1.5_f64.sqrt())); // numpy.std([4, 1, 1, 2])
    }

    #[test]
    fn one_score_has_no_spread() {
        let summary = Summary::of([0.7]);
        assert_eq!((summary.mean, summary.std, summary.median), (Some(0.7), Some(0.0), Some(0.7)));
    }

    #[test]
    fn without_a_defined_score_there_is_nothing_to_say() {
        assert_eq!(Summary::of([]), Summary::default());
        assert_eq!(Summary::of([f64::NAN; 3]), Summary { undefined: 3, ..Summary::default() });
    }
}
