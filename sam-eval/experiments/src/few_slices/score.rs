//! How the masks of the slices that are not outlined are scored.

use sam_eval::{EmptyPolicy, EvalError, Summary, dice};
use sam_prompt::ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The score of a volume without its outlined slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FewSlicesScore {
    /// Dice of all slices together; 1 if there is neither a structure nor a mask.
    pub volume: f64,
    /// Mean Dice of the slices that show the structure; `None` if there are none.
    pub slices: Option<f64>,
    /// Mean Dice of those between the outermost outlines; `None` if there are none.
    pub inner: Option<f64>,
    /// Number of slices without the structure that have a mask.
    pub false_slices: usize,
    /// Number of slices without the structure.
    pub empty_slices: usize,
}

impl FewSlicesScore {
    /// Scores the masks of all slices of a volume. Outlined slices do not count.
    ///
    /// # Shapes
    /// - masks, truths: `[rows, columns]` each, one for each slice
    ///
    /// # Errors
    /// [`EvalError::SliceCount`] and [`EvalError::ShapeMismatch`] if masks and truths do not fit.
    pub fn of(masks: &[Array2<bool>], truths: &[Array2<bool>], outlined: &[usize]) -> Result<Self> {
        if masks.len() != truths.len() {
            return Err(EvalError::SliceCount { masks: masks.len(), truths: truths.len() }.into());
        }
        let (first, last) = (outlined.iter().min().copied(), outlined.iter().max().copied());
        let (mut slices, mut inner, mut tested) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
        let (mut false_slices, mut empty_slices) = (0, 0);
        for (index, (mask, truth)) in masks.iter().zip(truths).enumerate() {
            if outlined.contains(&index) {
                continue;
            }
            if truth.iter().any(|&inside| inside) {
                let dice = dice(mask, truth, EmptyPolicy::Nan)?;
                slices.push(dice);
                inner.extend((first < Some(index) && last > Some(index)).then_some(dice));
            } else {
                empty_slices += 1;
                false_slices += usize::from(mask.iter().any(|&inside| inside));
            }
            tested.0.push(mask.view());
            tested.1.push(truth.view());
        }
        let mean = |scores: Vec<f64>| Summary::of(scores).mean;
        let volume = match (concatenate(Axis(0), &tested.0), concatenate(Axis(0), &tested.1)) {
            (Ok(mask), Ok(truth)) => dice(&mask, &truth, EmptyPolicy::One)?,
            // Every slice is outlined, so that none is wrong.
            _ => 1.0,
        };
        Ok(Self { volume, slices: mean(slices), inner: mean(inner), false_slices, empty_slices })
    }
}
