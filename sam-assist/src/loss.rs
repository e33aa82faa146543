//! The training loss: soft Dice and binary cross-entropy on low-res logits.

use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, sigmoid},
    backend::Backend,
};

/// Added to numerator and denominator of the Dice, so that it is defined for an empty target.
const DICE_SMOOTH: f64 = 1.0;

/// One minus the soft Dice of each sample, averaged over the batch.
///
/// # Shapes
/// - logits and target: `[n, 1, h, w]`; output: `[1]`
pub fn dice_loss<B: Backend>(logits: Tensor<B, 4>, target: Tensor<B, 4>) -> Tensor<B, 1> {
    let probability = sigmoid(logits).flatten::<2>(1, 3);
    let target = target.flatten::<2>(1, 3);
    let overlap = (probability.clone() * target.clone()).sum_dim(1);
    let total = probability.sum_dim(1) + target.sum_dim(1);
    let dice = (overlap * 2.0 + DICE_SMOOTH) / (total + DICE_SMOOTH);
    (dice.neg() + 1.0).mean()
}

/// Cross-entropy of logits and targets in [0, 1], averaged over all pixels.
///
/// # Shapes
/// - logits and target: `[n, 1, h, w]`; output: `[1]`
pub fn binary_cross_entropy<B: Backend>(logits: Tensor<B, 4>, target: Tensor<B, 4>) -> Tensor<B, 1> {
    // log(1 - sigmoid(x)) = log sigmoid(-x) = log sigmoid(x) - x
    let inside = log_sigmoid(logits.clone());
    (logits * (target.neg() + 1.0) - inside).mean()
}
