//! Lists of failures, which a mean would hide.

use serde::{Deserialize, Serialize};

/// The slices or cases whose score is below a threshold, and those without a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failures<Id> {
    /// The threshold: a lower score is a failure.
    pub below: f64,
    /// The failures with their scores, lowest first; equal scores in the given order.
    pub failed: Vec<(Id, f64)>,
    /// Those without a score (NaN), in the given order. They are neither failures nor successes.
    pub undefined: Vec<Id>,
    /// Number of scores, including the undefined ones.
    pub tested: usize,
}

/// Lists the scores below a threshold, for example a Dice of 0.5.
///
/// # Example
///
/// ```
/// use sam_eval::failures;
///
/// let found = failures([("a", 0.9), ("b", 0.4), ("c", f64::NAN), ("d", 0.0)], 0.5);
/// assert_eq!(found.failed, [("d", 0.0), ("b", 0.4)]);
/// assert_eq!((found.undefined, found.tested), (vec!["c"], 4));
/// ```
pub fn failures<Id>(scores: impl IntoIterator<Item = (Id, f64)>, below: f64) -> Failures<Id> {
    let mut found = Failures { below, failed: Vec::new(), undefined: Vec::new(), tested: 0 };
    for (id, score) in scores {
        found.tested += 1;
        if score.is_nan() {
            found.undefined.push(id);
        } else if score < below {
            found.failed.push((id, score));
        }
    }
    found.failed.sort_by(|(_, first), (_, second)| first.total_cmp(second));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_itself_is_no_failure() {
        let found = failures([(1, 0.5), (2, 0.25), (3, 0.49), (4, 0.25)], 0.5);
        assert_eq!(found.failed, [(2, 0.25), (4, 0.25), (3, 0.49)]);
        assert_eq!(failures::<u8>([], 0.5).tested, 0);
    }
}
