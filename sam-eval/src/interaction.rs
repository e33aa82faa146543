//! Series of interactions: a first prompt, then correcting clicks.

use serde::{Deserialize, Serialize};

use crate::Summary;

/// The number of interactions that a slice needed: the position, counted from 1, of the first score that reaches `target`, or
/// `None` if none does. Undefined scores (NaN) do not reach it.
///
/// # Source
/// NoC, the number of clicks, as in K. Sofiiuk et al., "Reviving iterative training with mask guidance for interactive
/// segmentation", 2022; there with intersection over union, here with any score.
pub fn number_of_clicks(scores: &[f64], target: f64) -> Option<usize> {
    scores.iter().position(|&score| score >= target).map(|at| at + 1)
}

/// The best score of a series; NaN if none is defined.
///
/// # Source
/// The paper's score of active sampling (section 4). Only an oracle can choose it, since a person does not know when to stop;
/// [`InteractionSummary::last`] is the score after all clicks.
pub fn best_score(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::NAN, f64::max)
}

/// The scores of series of interactions on the slices of a case.
///
/// A series ends before its limit if nothing is left to correct; its last score then counts for the remaining clicks. A series
/// without a defined score counts as undefined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InteractionSummary {
    /// The largest number of interactions of a slice. The first prompt counts as one, however many boxes it has.
    pub limit: usize,
    /// Dice after the last interaction.
    pub last: Summary,
    /// Dice after the first, the second, … interaction: the click curve.
    pub curve: Vec<Summary>,
    /// Interactions needed, for each target.
    pub noc: Vec<Noc>,
    /// Number of steps from one interaction to the next, of all slices.
    #[serde(default)]
    pub steps: usize,
    /// Steps after which the Dice was lower by more than 0.01.
    #[serde(default)]
    pub falls: usize,
}

/// A smaller fall of Dice after a click does not count.
const LEAST_FALL: f64 = 0.01;

/// The number of interactions (NoC, number of clicks) that the slices of a case needed to reach a Dice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Noc {
    /// The Dice to be reached.
    pub target: f64,
    /// Number of interactions. A slice that never reached the target counts as `limit`, so report this mean together with `failed`: alone
    /// it is too optimistic.
    pub clicks: Summary,
    /// Slices that never reached the target.
    pub failed: usize,
}

impl InteractionSummary {
    /// Summarises the scores of each slice, in the order of the interactions; scores beyond `limit` are left out.
    pub fn of<S: AsRef<[f64]>>(series: &[S], limit: usize, targets: &[f64]) -> Self {
        let series: Vec<&[f64]> = series.iter().map(|scores| within(scores.as_ref(), limit)).collect();
        let after = |clicks: usize| {
            let score = |scores: &&[f64]| scores.get(clicks).or(scores.last()).copied().unwrap_or(f64::NAN);
            Summary::of(series.iter().map(score))
        };
        let steps = || series.iter().flat_map(|scores| scores.windows(2));
        Self {
            limit,
            steps: steps().count(),
            falls: steps().filter(|step| step[1] < step[0] - LEAST_FALL).count(),
            last: after(limit.saturating_sub(1)),
            curve: (0..limit).map(after).collect(),
            noc: targets.iter().map(|&target| Noc::of(&series, limit, target)).collect(),
        }
    }
}

impl Noc {
    fn of(series: &[&[f64]], limit: usize, target: f64) -> Self {
        let needed = |scores: &&[f64]| number_of_clicks(scores, target);
        let defined = || series.iter().filter(|scores| !best_score(scores).is_nan());
        let undefined = series.len() - defined().count();
        let clicks = defined().map(|scores| needed(scores).unwrap_or(limit) as f64);
        Self {
            target,
            clicks: Summary::of(clicks.chain(std::iter::repeat_n(f64::NAN, undefined))),
            failed: defined().filter(|scores| needed(scores).is_none()).count(),
        }
    }

    /// The share of slices that never reached the target; `None` if no slice is defined.
    pub fn failed_share(&self) -> Option<f64> {
        (self.clicks.n > 0).then(|| self.failed as f64 / self.clicks.n as f64)
    }
}

fn within(scores: &[f64], limit: usize) -> &[f64] {
    &scores[..scores.len().min(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_to_the_first_score_that_reaches_the_target() {
        let scores = [0.2, f64::NAN, 0.9, 0.4, 0.95];
        assert_eq!(number_of_clicks(&scores, 0.1), Some(1));
        assert_eq!(number_of_clicks(&scores, 0.9), Some(3));
        assert_eq!(number_of_clicks(&scores, 0.96), None);
        assert_eq!(number_of_clicks(&[], 0.0), None);
        assert_eq!(best_score(&scores).to_bits(), 0.95_f64.to_bits());
        assert!(best_score(&[f64::NAN]).is_nan() && best_score(&[]).is_nan());
    }

    #[test]
    fn sums_up_slices_that_succeed_end_early_fail_and_say_nothing() {
        let slices = [vec![0.5, 0.875, 0.75], vec![1.0], vec![0.25, 0.5, 0.0], vec![f64::NAN; 3], vec![]];
        let summary = InteractionSummary::of(&slices, 3, &[0.85]);
        assert_eq!(summary.last, Summary::of([0.75, 1.0, 0.0, f64::NAN, f64::NAN]));
        assert_eq!(summary.curve.iter().map(|step| step.n).collect::<Vec<_>>(), [3, 3, 3]);
        assert_eq!(summary.curve[1], Summary::of([0.875, 1.0, 0.5, f64::NAN, f64::NAN]));
        let [noc] = summary.noc[..] else { panic!("one target") };
        assert_eq!(noc.clicks, Summary::of([2.0, 1.0, 3.0, f64::NAN, f64::NAN]));
        assert_eq!((noc.failed, noc.failed_share()), (1, Some(1.0 / 3.0)));
        assert_eq!((summary.steps, summary.falls), (6, 2));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let summary = InteractionSummary::of::<Vec<f64>>(&[], 2, &[0.9]);
        assert_eq!((summary.last, summary.noc[0].failed_share()), (Summary::default(), None));
        assert!(InteractionSummary::of(&[[0.5]], 0, &[]).curve.is_empty());
    }
}
