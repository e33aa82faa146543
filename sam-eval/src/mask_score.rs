//! Scores of masks that were predicted without a person's prompts, on slices with and without the structure.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Confusion, EmptyPolicy, EvalError};

/// The scores of one method on the test slices of one structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MaskScore {
    /// Case and structure.
    pub subject: String,
    /// Name of the method.
    pub method: String,
    /// Seed of the repeat.
    pub seed: u64,
    /// Dice of each test slice that shows the structure.
    pub slices: Vec<f64>,
    /// Dice of all test slices together, empty ones included.
    pub pooled: f64,
    /// Volume of the prediction minus that of the truth, as a share of the truth.
    pub relative_volume_difference: f64,
    /// Test slices without the structure whose prediction is not empty.
    pub false_positive_slices: usize,
    /// Test slices without the structure.
    pub empty_slices: usize,
    /// Duration of the fit, in seconds.
    pub fit_seconds: f64,
}

impl MaskScore {
    /// Compares the masks of all test slices with their truths.
    ///
    /// # Shapes
    /// - masks, truths: `[rows, columns]` each, in the same order
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`] if a mask and its truth differ in size; [`EvalError::SliceCount`] if their numbers differ.
    pub fn of(
        subject: String,
        method: String,
        seed: u64,
        fit_seconds: f64,
        masks: &[Array2<bool>],
        truths: &[Array2<bool>],
    ) -> Result<Self, EvalError> {
        if masks.len() != truths.len() {
            return Err(EvalError::SliceCount { masks: masks.len(), truths: truths.len() });
        }
        let count = |(mask, truth): (&Array2<bool>, &Array2<bool>)| Confusion::count(mask, truth);
        let counts = masks.iter().zip(truths).map(count).collect::<Result<Vec<_>, _>>()?;
        let pooled: Confusion = counts.iter().copied().sum();
        let (shown, empty): (Vec<Confusion>, Vec<Confusion>) =
            counts.into_iter().partition(|count| count.true_positive + count.false_negative > 0);
        Ok(Self {
            subject,
            method,
            seed,
            slices: shown.iter().map(|count| count.dice(EmptyPolicy::Nan)).collect(),
            pooled: pooled.dice(EmptyPolicy::Nan),
            relative_volume_difference: pooled.relative_volume_difference(),
            false_positive_slices: empty.iter().filter(|count| count.false_positive > 0).count(),
            empty_slices: empty.len(),
            fit_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(masks: &[Array2<bool>], truths: &[Array2<bool>]) -> Result<MaskScore, EvalError> {
        MaskScore::of(String::new(), String::new(), 0, 1.0, masks, truths)
    }

    #[test]
    fn empty_slices_count_in_the_pooled_dice_only() {
        let mask = |pixels: usize| Array2::from_shape_fn((1, 4), |(_, column)| column < pixels);
        let (masks, truths) = ([mask(2), mask(1), mask(0)], [mask(2), mask(0), mask(0)]);
        let found = score(&masks, &truths).expect("same sizes");
        assert_eq!((&found.slices[..], found.pooled), (&[1.0][..], 0.8));
        assert_eq!((found.false_positive_slices, found.empty_slices), (1, 2));
        let text = serde_json::to_string(&found).expect("plain data");
        assert_eq!(serde_json::from_str::<MaskScore>(&text).expect("the same"), found);
    }

    #[test]
    fn every_mask_needs_its_truth() {
        let mask = Array2::from_elem((2, 2), true);
        assert_eq!(score(&[mask], &[]), Err(EvalError::SliceCount { masks: 1, truths: 0 }));
    }
}
