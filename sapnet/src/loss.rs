//! Losses of predicted masks.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::SapnetError;
use crate::setters::setters;

/// Hyperparameters of a [`BiasedDiceLoss`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BiasedDiceLossConfig {
    /// Weight of false positives, beta. 1 gives the plain soft Dice loss. The paper asks for a larger weight but gives no value. Our
    /// default is 2, close to the usual 0.7 to 0.3 of the Tversky loss.
    pub beta: f64,
    /// Added to numerator and denominator, so that the loss of two empty masks is 0.
    pub epsilon: f64,
}

setters!(BiasedDiceLossConfig { with_beta: beta: f64, with_epsilon: epsilon: f64 });

impl Default for BiasedDiceLossConfig {
    fn default() -> Self {
        Self { beta: 2.0, epsilon: 1e-5 }
    }
}

impl BiasedDiceLossConfig {
    /// Makes the loss.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if a hyperparameter is not finite and greater than 0.
    pub fn init(&self) -> Result<BiasedDiceLoss, SapnetError> {
        ConfigError::check_positive("dice.beta", self.beta)?;
        ConfigError::check_positive("dice.epsilon", self.epsilon)?;
        Ok(BiasedDiceLoss { beta: self.beta, epsilon: self.epsilon })
    }
}

/// Dice loss that weights false positives by `beta`: `1 - 2 TP / (2 TP + beta FP + FN)`, with epsilon in both places.
///
/// # Source
/// Paper, Eq. 7. Its symbols are illegible in our copy; the wording ("bias weight for the FP term") suggests this form. It is
/// a Tversky loss with weights beta/2 and 1/2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BiasedDiceLoss {
    beta: f64,
    epsilon: f64,
}

impl BiasedDiceLoss {
    /// The loss of one mask, or of several masks pooled: all elements are counted together.
    ///
    /// # Shapes
    /// - probabilities: any, of the foreground, in [0, 1]
    /// - truth: the same, 0 or 1
    /// - output: `[1]`
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn forward<B: Backend, const D: usize>(
        &self,
        probabilities: Tensor<B, D>,
        truth: Tensor<B, D>,
    ) -> Tensor<B, 1> {
        let count = truth.shape().num_elements();
        let (probabilities, truth) = (probabilities.reshape([1, count]), truth.reshape([1, count]));
        let hit = dot(probabilities.clone(), truth.clone()).squeeze_dim(1);
        let false_positive = dot(probabilities, -truth.clone() + 1.0).squeeze_dim(1);
        let false_negative = truth.sum() - hit.clone();
        let twice = hit * 2.0 + self.epsilon;
        -(twice.clone() / (twice + false_positive * self.beta + false_negative)) + 1.0
    }
}

/// Cross-entropy of the softmax over the classes, averaged over all labelled pixels; 0 if there are none.
///
/// # Shapes
/// - logits: `[n, classes, height, width]`
/// - labels: `[n, height, width]`; pixels with other labels (PANet writes 255) are ignored
/// - output: `[1]`
///
/// # Panics
/// If the shapes do not fit.
///
/// # Source
/// PANet (kaixin96/PANet 1695bf3), `train.py`: `CrossEntropyLoss(ignore_index=255)`.
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 4>, labels: Tensor<B, 3, Int>) -> Tensor<B, 1> {
    let [n, classes, height, width] = logits.dims();
    let every_class = Tensor::arange(0..classes as i64, &logits.device()).reshape([1, classes, 1, 1]);
    let all = [n, classes, height, width];
    let one_hot = labels.unsqueeze_dim::<4>(1).expand(all).equal(every_class.expand(all)).float();
    let counted = one_hot.clone().sum().clamp_min(1.0);
    -(log_softmax(logits, 1) * one_hot).sum() / counted
}

/// Cross-entropy of two classes for every image, averaged over its annotated pixels; 0 if there are none.
///
/// It equals the cross-entropy of the softmax over both logits, but needs only their difference.
///
/// # Shapes
/// - margins: `[n, pixels]`, the object's logit minus that of the background
/// - object: the same, 1 on the object
/// - annotated: the same, 1 on object and background
/// - output: `[n]`
pub(crate) fn two_class_cross_entropy<B: Backend>(
    margins: Tensor<B, 2>,
    object: Tensor<B, 2>,
    annotated: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let counted = annotated.clone().sum_dim(1).clamp_min(1.0);
    // softplus(m) for every annotated pixel, minus m on the object.
    let cost = -dot(log_sigmoid(-margins.clone()), annotated) - dot(margins, object);
    (cost / counted).squeeze_dim(1)
}

/// Sum of the products of each row: `[n, pixels]` twice to `[n, 1]`.
///
/// Uses a matrix product, because the gradient of a sum is a broadcast, which is slow on CPU backends.
fn dot<B: Backend>(first: Tensor<B, 2>, second: Tensor<B, 2>) -> Tensor<B, 2> {
    first.unsqueeze_dim::<3>(1).matmul(second.unsqueeze_dim::<3>(2)).squeeze_dim(2)
}
