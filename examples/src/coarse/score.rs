//! Coarse masks held against the truth.

use anyhow::Result;
use sam_eval::{Confusion, EmptyPolicy};
use sam_prompt::ndarray::Array2;
use serde::Serialize;

use super::Variant;

/// What one variant reached in one repeat.
#[derive(Debug, Clone, Serialize)]
pub struct CoarseScore {
    /// Case and structure.
    pub subject: String,
    /// What was tested.
    pub variant: Variant,
    /// Seed of the repeat.
    pub seed: u64,
    /// Dice of each test slice that shows the structure.
    pub slices: Vec<f64>,
    /// Dice of all test slices together, empty ones included.
    pub pooled: f64,
    /// Empty test slices on which something was found.
    pub false_positive_slices: usize,
    /// Empty test slices.
    pub empty_slices: usize,
    /// How long fitting took.
    pub fit_seconds: f64,
}

impl CoarseScore {
    /// Compares the masks of all test slices with their truths.
    pub(super) fn of(
        subject: String,
        variant: Variant,
        seed: u64,
        fit_seconds: f64,
        masks: &[Array2<bool>],
        truths: &[Array2<bool>],
    ) -> Result<Self> {
        let count = |(mask, truth): (&Array2<bool>, &Array2<bool>)| Confusion::count(mask, truth);
        let counts = masks.iter().zip(truths).map(count).collect::<Result<Vec<_>, _>>()?;
        let pooled: Confusion = counts.iter().copied().sum();
        let (shown, empty): (Vec<Confusion>, Vec<Confusion>) =
            counts.into_iter().partition(|count| count.true_positive + count.false_negative > 0);
        Ok(Self {
            subject,
            variant,
            seed,
            slices: shown.iter().map(|count| count.dice(EmptyPolicy::Nan)).collect(),
            pooled: pooled.dice(EmptyPolicy::Nan),
            false_positive_slices: empty.iter().filter(|count| count.false_positive > 0).count(),
            empty_slices: empty.len(),
            fit_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_slices_count_in_the_pooled_dice_alone() {
        let mask = |pixels: usize| Array2::from_shape_fn((1, 4), |(_, column)| column < pixels);
        let (masks, truths) = ([mask(2), mask(1), mask(0)], [mask(2), mask(0), mask(0)]);
        let score = CoarseScore::of(String::new(), Variant::Panet, 0, 1.0, &masks, &truths).expect("same sizes");
        assert_eq!((score.slices, score.pooled), (vec![1.0], 0.8));
        assert_eq!((score.false_positive_slices, score.empty_slices), (1, 2));
    }
}
