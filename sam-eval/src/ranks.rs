//! Ranks, percentiles and correlations of numbers.

/// The rank of each value, from 1; equal values share the mean of their ranks (`scipy.stats.rankdata`). Values are finite.
pub(crate) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let order = rising(values);
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&first, &second| is_equal(values[first], values[second])) {
        // Mean of before + 1 to before + len.
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        for &at in equal {
            ranks[at] = rank;
        }
        before += equal.len();
    }
    ranks
}

/// How many values are equal to each other, for each distinct value.
pub(crate) fn tie_sizes(values: &[f64]) -> Vec<usize> {
    let order = rising(values);
    order.chunk_by(|&first, &second| is_equal(values[first], values[second])).map(<[usize]>::len).collect()
}

fn rising(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&first, &second| values[first].total_cmp(&values[second]));
    order
}

/// Whether two values are exactly equal (-0 and 0 are). Only then are they tied.
#[expect(clippy::float_cmp, reason = "ties are values that are exactly equal")]
fn is_equal(first: f64, second: f64) -> bool {
    first == second
}

/// Pearson's correlation of pairs of finite numbers; `None` if either side does not vary.
pub(crate) fn correlation(first: &[f64], second: &[f64]) -> Option<f64> {
    let varies = |values: &[f64]| values.iter().any(|&value| !is_equal(value, values[0]));
    if !varies(first) || !varies(second) {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (first_mean, second_mean) = (mean(first), mean(second));
    let (mut product, mut first_square, mut second_square) = (0.0, 0.0, 0.0);
    for (first, second) in first.iter().zip(second) {
        let (first, second) = (first - first_mean, second - second_mean);
        product += first * second;
        first_square += first * first;
        second_square += second * second;
    }
    let scale = first_square.sqrt() * second_square.sqrt();
    // Rounding may give a value slightly outside [-1, 1].
    (scale > 0.0).then(|| (product / scale).clamp(-1.0, 1.0))
}

/// A percentile of ascending values (at least one), for a `share` in [0, 1]; interpolated linearly, as numpy does.
pub(crate) fn percentile(rising: &[f64], share: f64) -> f64 {
    let place = share * (rising.len() - 1) as f64;
    let (below, above) = (rising[place.floor() as usize], rising[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_ranks() {
        // scipy 1.17.1: rankdata([3, 1, 3, 2, 3, 0.0, -0.0])
        assert_eq!(average_ranks(&[3.0, 1.0, 3.0, 2.0, 3.0, 0.0, -0.0]), [6.0, 3.0, 6.0, 4.0, 6.0, 1.5, 1.5]);
        assert_eq!(tie_sizes(&[3.0, 1.0, 3.0, 2.0, 3.0]), [1, 1, 3]);
        assert!(average_ranks(&[]).is_empty());
    }

    #[test]
    fn what_does_not_vary_correlates_with_nothing() {
        assert_eq!(correlation(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]), None);
        assert_eq!(correlation(&[], &[]), None);
        assert!(correlation(&[1.0, 2.0], &[5.0, 3.0]).is_some_and(|opposite| (opposite + 1.0).abs() < 1e-12));
    }
}
