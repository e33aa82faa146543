//! Annotated slices that segment other slices, and the check that these would segment them back.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::loss::two_class_cross_entropy;
use crate::prototype::AREA_EPSILON;
use crate::{BilinearResize, SapnetError, cosine_logits, masked_average};

/// How prototypes are compared with pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupportConfig {
    /// Factor of the cosine similarity, the paper's "weight factor" alpha (Eq. 4). The paper does not give it; 20 is
    /// PANet's (`calDist`, `scaler=20`).
    pub scale: f64,
}

impl Default for SupportConfig {
    fn default() -> Self {
        Self { scale: 20.0 }
    }
}

/// The annotated images of an N-way, K-shot episode: for each of N classes (ways) K images (shots) with their masks.
///
/// # Source
/// Paper, Eq. 3 and 4; PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`.
#[derive(Debug, Clone)]
pub struct Support<B: Backend> {
    scale: f64,
    features: Tensor<B, 5>,
    foreground: Tensor<B, 4, Bool>,
    background: Tensor<B, 4, Bool>,
    to_image: BilinearResize<B>,
}

/// What [`Support::segment`] says of a batch of images.
#[derive(Debug, Clone)]
pub struct Segmentation<B: Backend> {
    /// Logits at the features' size, `[n, 1 + ways, height, width]`, class 0 the background.
    pub coarse: Tensor<B, 4>,
    /// The same logits resized bilinearly to the masks' size, `[n, 1 + ways, image_height, image_width]`.
    pub logits: Tensor<B, 4>,
}

impl<B: Backend> Segmentation<B> {
    /// The likeliest class of every pixel of the images.
    ///
    /// # Shapes
    /// - output: `[n, image_height, image_width]`, 0 the background, `1 + way` the classes
    pub fn classes(&self) -> Tensor<B, 3, Int> {
        self.logits.clone().argmax(1).squeeze_dim(1)
    }
}

impl<B: Backend> Support<B> {
    /// Puts annotated images together.
    ///
    /// Pixels in neither mask count nowhere; pixels in both are background to the alignment loss, as in PANet. A mask
    /// may be empty (a slice without the object): it adds a zero vector to the mean over the shots, which the cosine
    /// does not see.
    ///
    /// # Shapes
    /// - features: `[ways, shots, channels, height, width]`
    /// - foreground, background: `[ways, shots, image_height, image_width]`
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if these do not fit or lack elements;
    /// [`SapnetError::Parameter`] if the configured scale is not positive.
    pub fn new(
        config: &SupportConfig,
        features: Tensor<B, 5>,
        foreground: Tensor<B, 4, Bool>,
        background: Tensor<B, 4, Bool>,
    ) -> Result<Self, SapnetError> {
        SapnetError::check_positive("scale", config.scale)?;
        let [ways, shots, _, height, width] = features.dims();
        let [_, _, image_height, image_width] = foreground.dims();
        let masks = [ways, shots, image_height, image_width];
        SapnetError::check_filled("support features", &features.dims())?;
        SapnetError::check_shape("foreground", &masks, &foreground.dims())?;
        SapnetError::check_shape("background", &masks, &background.dims())?;
        let to_image = BilinearResize::new([height, width], [image_height, image_width], &features.device());
        Ok(Self { scale: config.scale, features, foreground, background, to_image })
    }

    /// One vector per class: per image by [`masked_average`], then the mean over the shots; that of the background over
    /// the ways as well.
    ///
    /// # Shapes
    /// - output: `[1 + ways, channels]`, the background first
    pub fn prototypes(&self) -> Tensor<B, 2> {
        let [ways, shots, channels, height, width] = self.features.dims();
        let [_, _, image_height, image_width] = self.foreground.dims();
        let average = |masks: &Tensor<B, 4, Bool>| {
            let features = self.features.clone().reshape([ways * shots, channels, height, width]);
            masked_average(features, masks.clone().float().reshape([ways * shots, image_height, image_width]))
        };
        let foreground = average(&self.foreground).reshape([ways, shots, channels]).mean_dim(1).squeeze_dim(1);
        let background = average(&self.background).mean_dim(0);
        Tensor::cat(vec![background, foreground], 0)
    }

    /// Segments other images by their features' likeness to the [prototypes](Self::prototypes).
    ///
    /// # Shapes
    /// - query: `[n, channels, height, width]`, channels and size those of the support
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if the query does not fit.
    pub fn segment(&self, query: Tensor<B, 4>) -> Result<Segmentation<B>, SapnetError> {
        let coarse = self.coarse(query)?;
        Ok(Segmentation { logits: self.to_image.forward(coarse.clone()), coarse })
    }

    /// [`Segmentation::coarse`] alone.
    pub(crate) fn coarse(&self, query: Tensor<B, 4>) -> Result<Tensor<B, 4>, SapnetError> {
        let [.., channels, height, width] = self.features.dims();
        let [n, ..] = query.dims();
        SapnetError::check_shape("query features", &[n, channels, height, width], &query.dims())?;
        Ok(cosine_logits(query, self.prototypes(), self.scale))
    }

    /// Resizes maps of the features' size to that of the masks.
    pub(crate) fn to_image(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        self.to_image.forward(maps)
    }

    /// The paper's `L_align`: the query's *predicted* mask gives prototypes, and these have to segment the support.
    ///
    /// The predicted mask is the likeliest class at the features' size; no gradient runs through it, but through the
    /// features it selects. Every image of way w is scored on background and w alone, by the cross-entropy over its
    /// annotated pixels; the loss is the sum of these over ways and shots, divided by their number. A way that the query
    /// shows nowhere adds nothing.
    ///
    /// # Shapes
    /// - query: `[n, channels, height, width]`
    /// - coarse: `[n, 1 + ways, height, width]`, from [`Segmentation::coarse`] of the same query
    /// - output: `[1]`
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if these do not fit the support.
    ///
    /// # Source
    /// Paper, Eq. 3; PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`, `alignLoss`.
    pub fn alignment_loss(&self, query: Tensor<B, 4>, coarse: &Tensor<B, 4>) -> Result<Tensor<B, 1>, SapnetError> {
        let [ways, shots, channels, height, width] = self.features.dims();
        let [n, ..] = query.dims();
        SapnetError::check_shape("query features", &[n, channels, height, width], &query.dims())?;
        SapnetError::check_shape("coarse logits", &[n, 1 + ways, height, width], &coarse.dims())?;

        let (prototypes, area) = predicted_prototypes(query, coarse);
        let present = area.greater_elem(0.0).float();
        let (object, annotated) = self.annotations();
        let mut total = Tensor::zeros([1], &self.features.device());
        for way in 0..ways {
            let pair =
                Tensor::cat(vec![prototypes.clone().narrow(0, 0, 1), prototypes.clone().narrow(0, way + 1, 1)], 0);
            let images = self.features.clone().narrow(0, way, 1).squeeze_dim(0);
            let margins = self.to_image.forward(margins(cosine_logits(images, pair, self.scale)));
            let of_way = |maps: &Tensor<B, 4>| maps.clone().narrow(0, way, 1).squeeze_dim::<3>(0).flatten(1, 2);
            let losses = two_class_cross_entropy(margins.flatten(1, 3), of_way(&object), of_way(&annotated));
            total = total + losses.sum() * present.clone().narrow(0, way + 1, 1);
        }
        Ok(total / (ways * shots) as f64)
    }

    /// Where foreground was annotated, and where anything was: 0 and 1, `[ways, shots, image_height, image_width]`.
    fn annotations(&self) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let object = self.foreground.clone().bool_and(self.background.clone().bool_not());
        let annotated = self.foreground.clone().bool_or(self.background.clone());
        (object.float(), annotated.float())
    }
}

/// How much likelier the object is than the background: two logits to their difference, before anything is resized.
///
/// # Shapes
/// - coarse: `[n, 2, height, width]`
/// - output: `[n, 1, height, width]`
pub(crate) fn margins<B: Backend>(coarse: Tensor<B, 4>) -> Tensor<B, 4> {
    coarse.clone().narrow(1, 1, 1) - coarse.narrow(1, 0, 1)
}

/// Prototypes of all classes from the mask that the logits predict, over all images together, and the area of each.
///
/// # Shapes
/// - query: `[n, channels, height, width]`
/// - coarse: `[n, classes, height, width]`
/// - output: `[classes, channels]`, `[classes]`
fn predicted_prototypes<B: Backend>(query: Tensor<B, 4>, coarse: &Tensor<B, 4>) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let [n, channels, height, width] = query.dims();
    let [_, classes, ..] = coarse.dims();
    let pixels = height * width;
    let predicted: Tensor<B, 3, Int> = coarse.clone().detach().argmax(1).reshape([n, 1, pixels]);
    let every_class = Tensor::arange(0..classes as i64, &query.device()).reshape([1, classes, 1]);
    let shape = [n, classes, pixels];
    let masks = predicted.expand(shape).equal(every_class.expand(shape)).float();
    let area: Tensor<B, 2> = masks.clone().sum_dim(2).sum_dim(0).squeeze_dim(0);
    let sums = masks.matmul(query.reshape([n, channels, pixels]).swap_dims(1, 2)).sum_dim(0).squeeze_dim(0);
    (sums / (area.clone() + AREA_EPSILON), area.squeeze_dim(1))
}
