//! Prototypes of classes, and the similarity of pixels to them.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::BilinearResize;

/// Added to the area of a mask, so that an empty mask gives a zero vector (PANet, `models/fewshot.py`, `getFeatures`).
pub(crate) const AREA_EPSILON: f64 = 1e-5;

/// Floor of squared lengths: a vector shorter than 1e-8 (`torch.nn.functional.cosine_similarity`'s `eps`) counts as
/// that long. Applied under the root, it keeps the gradient of a zero vector finite.
const SQUARED_LENGTH_FLOOR: f64 = 1e-16;

/// Masked average pooling: the mean of a feature map under a mask, one vector per image.
///
/// The result is the weighted mean of the features resized bilinearly to the mask's size, so that fine masks keep their detail.
/// It is computed at the features' size, with the mask carried back by [`BilinearResize::adjoint`], which gives the same sum.
/// The denominator is the mask's area plus 1e-5; an empty mask gives the zero vector.
///
/// # Shapes
/// - features: `[n, channels, height, width]`
/// - masks: `[n, mask_height, mask_width]`, weights of the pixels, usually 0 and 1
/// - output: `[n, channels]`
///
/// # Panics
/// If the numbers of feature maps and masks differ.
///
/// # Source
/// Paper, Eq. 4 ("masked global average pooling"); PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`, `getFeatures`.
pub fn masked_average<B: Backend>(features: Tensor<B, 4>, masks: Tensor<B, 3>) -> Tensor<B, 2> {
    let [.., height, width] = features.dims();
    let [_, mask_height, mask_width] = masks.dims();
    let resize = BilinearResize::new([height, width], [mask_height, mask_width], &features.device());
    PixelVectors::of_maps(features).sums(averaging_weights(masks, &resize)).squeeze_dim(1)
}

/// The weights of a feature map's pixels in the mean under a mask.
///
/// # Shapes
/// - masks: `[n, mask_height, mask_width]`, the size that `resize` leads to
/// - output: `[n, 1, pixels]`, of the features
pub(crate) fn averaging_weights<B: Backend>(masks: Tensor<B, 3>, resize: &BilinearResize<B>) -> Tensor<B, 3> {
    let area = masks.clone().flatten::<2>(1, 2).sum_dim(1).unsqueeze_dim::<3>(1) + AREA_EPSILON;
    resize.adjoint(masks.unsqueeze_dim(1)).flatten::<3>(2, 3) / area
}

/// Logits of every pixel for every prototype: cosine similarity times a scale.
///
/// The softmax of these over the classes is the paper's predicted mask, `softmax_j(-alpha d_cos(F(u), p_j))` with
/// `d_cos = 1 - cos`, where the constant cancels.
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
    let [n, _, height, width] = features.dims();
    let [classes, _] = prototypes.dims();
    PixelVectors::of_maps(features).logits(prototypes, scale).reshape([n, classes, height, width])
}

/// Vectors of all pixels of some images. Prototypes are averages of them, and are compared with them.
///
/// Scaling and position encoding are not applied pixel by pixel, but to sums over pixels and to products with prototypes. The result is the
/// same. There are fewer classes than channels, so this saves memory traffic in training.
#[derive(Debug, Clone)]
pub(crate) struct PixelVectors<B: Backend> {
    /// `[n, pixels, channels]`.
    vectors: Tensor<B, 3>,
    /// One over the length of each vector, `[n, pixels, 1]`.
    shares: Tensor<B, 3>,
    position: Option<Position<B>>,
}

/// The position half of all vectors. Both halves are scaled to fixed lengths, so that neither dominates the cosine.
#[derive(Module, Debug)]
pub(crate) struct Position<B: Backend> {
    /// `[1, pixels, channels]`, all of length 1.
    pub(crate) vectors: Tensor<B, 3>,
    /// The length of this half.
    pub(crate) weight: f64,
    /// The length of the feature half.
    pub(crate) feature_weight: f64,
}

impl<B: Backend> PixelVectors<B> {
    /// The vectors of feature maps, unchanged. The maps are `[n, channels, height, width]`.
    pub(crate) fn of_maps(maps: Tensor<B, 4>) -> Self {
        Self::new(maps.flatten(2, 3).swap_dims(1, 2), None)
    }

    /// Vectors, `[n, pixels, channels]`. With a position, they are scaled to a fixed length and followed by the position; without, they are
    /// unchanged.
    pub(crate) fn new(vectors: Tensor<B, 3>, position: Option<Position<B>>) -> Self {
        Self { shares: lengths(&vectors).recip(), vectors, position }
    }

    /// Number of images.
    pub(crate) fn count(&self) -> usize {
        self.vectors.dims()[0]
    }

    /// Weighted sums over the pixels of each image, for any number of classes.
    ///
    /// # Shapes
    /// - weights: `[n, classes, pixels]`
    /// - output: `[n, classes, channels]`; the channels of the position are last
    pub(crate) fn sums(&self, weights: Tensor<B, 3>) -> Tensor<B, 3> {
        let Some(position) = &self.position else { return weights.matmul(self.vectors.clone()) };
        let scaled = weights.clone() * self.shares.clone().swap_dims(1, 2) * position.feature_weight;
        let of_position = (weights * position.weight).matmul(position.vectors.clone());
        Tensor::cat(vec![scaled.matmul(self.vectors.clone()), of_position], 2)
    }

    /// Cosine similarity of every pixel to every prototype, times a scale.
    ///
    /// # Shapes
    /// - prototypes: `[classes, channels]`; the channels of the position are last
    /// - output: `[n, classes, pixels]`
    pub(crate) fn logits(&self, prototypes: Tensor<B, 2>, scale: f64) -> Tensor<B, 3> {
        let length = prototypes.clone().square().sum_dim(1).clamp_min(SQUARED_LENGTH_FLOOR).sqrt();
        // `[channels, classes]`.
        let directions = (prototypes / length).transpose();
        let [_, _, own] = self.vectors.dims();
        let likeness =
            |vectors: &Tensor<B, 3>, directions: Tensor<B, 2>| vectors.clone().matmul(directions.unsqueeze());
        let logits = match &self.position {
            None => likeness(&self.vectors, directions * scale) * self.shares.clone(),
            Some(position) => {
                let scale = scale / position.feature_weight.hypot(position.weight);
                let [_, _, more] = position.vectors.dims();
                let of_features = directions.clone().narrow(0, 0, own) * (scale * position.feature_weight);
                let of_position = directions.narrow(0, own, more) * (scale * position.weight);
                likeness(&self.vectors, of_features) * self.shares.clone() + likeness(&position.vectors, of_position)
            }
        };
        logits.swap_dims(1, 2)
    }
}

/// The lengths of all pixels' vectors: `[n, pixels, channels]` to `[n, pixels, 1]`.
///
/// Uses a matrix product, because the gradient of a sum is a broadcast, which is slow on CPU backends.
fn lengths<B: Backend>(vectors: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [_, _, channels] = vectors.dims();
    let squares = vectors.clone() * vectors.clone();
    squares.matmul(Tensor::ones([1, channels, 1], &vectors.device())).clamp_min(SQUARED_LENGTH_FLOOR).sqrt()
}
