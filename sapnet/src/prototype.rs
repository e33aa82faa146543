//! A class as one vector, and how alike every pixel is to it.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::BilinearResize;

/// Added to the area of a mask, so that an empty one gives a zero vector (PANet, `models/fewshot.py`, `getFeatures`).
pub(crate) const AREA_EPSILON: f64 = 1e-5;

/// Floor of squared lengths: a vector shorter than 1e-8 (`torch.nn.functional.cosine_similarity`'s `eps`) is taken to
/// be that long. Applied under the root, it keeps the gradient of a zero vector finite.
const SQUARED_LENGTH_FLOOR: f64 = 1e-16;

/// Masked average pooling: the mean of a feature map under a mask, one vector per image.
///
/// The features count as resized bilinearly to the mask's size, and the weighted mean is taken there: fine masks keep
/// their detail. (Computed the other way round, with the mask carried back to the features' size by
/// [`BilinearResize::adjoint`], which is the same sum.) The denominator is the mask's area plus 1e-5; an empty mask
/// gives the zero vector.
///
/// # Shapes
/// - features: `[n, channels, height, width]`
/// - masks: `[n, mask_height, mask_width]`, weights of the pixels, 0 and 1 as a rule
/// - output: `[n, channels]`
///
/// # Panics
/// If the numbers of feature maps and masks differ.
///
/// # Source
/// Paper, Eq. 4 ("masked global average pooling"); PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`, `getFeatures`.
pub fn masked_average<B: Backend>(features: Tensor<B, 4>, masks: Tensor<B, 3>) -> Tensor<B, 2> {
    let [n, channels, height, width] = features.dims();
    let [_, mask_height, mask_width] = masks.dims();
    let resize = BilinearResize::new([height, width], [mask_height, mask_width], &features.device());
    let area: Tensor<B, 2> = masks.clone().reshape([n, mask_height * mask_width]).sum_dim(1) + AREA_EPSILON;
    weighted_sum(features.reshape([n, channels, height * width]), resize.adjoint(masks.unsqueeze_dim(1))) / area
}

/// Sum of features under weights of their own size.
///
/// # Shapes
/// - features: `[n, channels, pixels]`
/// - weights: `[n, 1, height, width]`
/// - output: `[n, channels]`
fn weighted_sum<B: Backend>(features: Tensor<B, 3>, weights: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n, _, pixels] = features.dims();
    features.matmul(weights.reshape([n, pixels, 1])).squeeze_dim(2)
}

/// Logits of every pixel for every prototype: cosine similarity times a scale.
///
/// The softmax of these over the classes is the paper's predicted mask, `softmax_j(-alpha d_cos(F(u), p_j))` with
/// `d_cos = 1 - cos`: the constant drops out.
///
/// # Shapes
/// - features: `[n, channels, height, width]`
/// - prototypes: `[classes, channels]`
/// - output: `[n, classes, height, width]`, in [-scale, scale]; 0 where a feature or a prototype is zero
///
/// # Panics
/// If features and prototypes differ in their number of channels.
///
/// # Source
/// Paper, Eq. 4; PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`, `calDist`, whose scale is 20.
pub fn cosine_logits<B: Backend>(features: Tensor<B, 4>, prototypes: Tensor<B, 2>, scale: f64) -> Tensor<B, 4> {
    let [n, channels, height, width] = features.dims();
    let [classes, _] = prototypes.dims();
    let features = features.reshape([n, channels, height * width]);
    let lengths = lengths(&features);
    let length = prototypes.clone().square().sum_dim(1).clamp_min(SQUARED_LENGTH_FLOOR).sqrt();
    let prototypes = prototypes / length * scale;
    // Divided behind the product: classes are fewer than channels.
    (prototypes.unsqueeze::<3>().matmul(features) / lengths).reshape([n, classes, height, width])
}

/// The vectors of all pixels, divided by their lengths.
///
/// # Shapes
/// - maps: `[n, channels, pixels]`
/// - output: the same
pub(crate) fn unit<B: Backend>(maps: Tensor<B, 3>) -> Tensor<B, 3> {
    let [_, channels, _] = maps.dims();
    let shares = lengths(&maps).recip();
    maps.clone() * Tensor::ones([1, channels, 1], &maps.device()).matmul(shares)
}

/// The lengths of all pixels' vectors: `[n, channels, pixels]` to `[n, 1, pixels]`.
///
/// Summed by a matrix product, since the gradient of a sum is a broadcast, which CPU backends walk element by element.
fn lengths<B: Backend>(maps: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [_, channels, _] = maps.dims();
    let squares = maps.clone() * maps.clone();
    Tensor::ones([1, 1, channels], &maps.device()).matmul(squares).clamp_min(SQUARED_LENGTH_FLOOR).sqrt()
}
