//! Few-shot episodes: annotated slices (support) segment other slices (query), and the alignment loss checks the reverse direction.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::loss::two_class_cross_entropy;
use crate::prototype::{AREA_EPSILON, PixelVectors, averaging_weights};
use crate::setters::setters;
use crate::{BilinearResize, SapnetError};

/// Configuration of the comparison of prototypes with pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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

impl SupportConfig {
    /// Checks every hyperparameter. [`Support::new`] and [`PaNet::fit`](crate::PaNet::fit) do it first.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if the scale is not finite and greater than 0.
    pub fn check(&self) -> Result<(), SapnetError> {
        Ok(ConfigError::check_positive("support.scale", self.scale)?)
    }
}

setters!(SupportConfig { with_scale: scale: f64 });

/// An annotated image, prepared once for all episodes: the weights of its pixels in prototypes and in losses.
#[derive(Debug, Clone)]
pub(crate) struct Shot<B: Backend> {
    /// Weights of the features' pixels in the means of background and object, `[1, 2, pixels]`.
    weights: Tensor<B, 3>,
    /// 1 on the object, `[1, mask_pixels]`.
    pub(crate) object: Tensor<B, 2>,
    /// 1 on object and background, `[1, mask_pixels]`.
    pub(crate) annotated: Tensor<B, 2>,
}

impl<B: Backend> Shot<B> {
    /// Prepares an image. Pixels in neither mask are ignored; pixels in both are background in the losses, as in PANet.
    ///
    /// # Shapes
    /// - foreground, background: `[1, mask_height, mask_width]`, the size that `to_image` leads to
    pub(crate) fn new(
        foreground: Tensor<B, 3, Bool>,
        background: Tensor<B, 3, Bool>,
        to_image: &BilinearResize<B>,
    ) -> Self {
        let weights = |mask: &Tensor<B, 3, Bool>| averaging_weights(mask.clone().float(), to_image);
        let flat = |mask: Tensor<B, 3, Bool>| mask.float().flatten(1, 2);
        Self {
            weights: Tensor::cat(vec![weights(&background), weights(&foreground)], 1),
            object: flat(foreground.clone().bool_and(background.clone().bool_not())),
            annotated: flat(foreground.bool_or(background)),
        }
    }

    /// This image on the autodiff backend.
    pub(crate) fn tracked(self) -> Shot<Autodiff<B>> {
        Shot {
            weights: Tensor::from_inner(self.weights),
            object: Tensor::from_inner(self.object),
            annotated: Tensor::from_inner(self.annotated),
        }
    }
}

impl<B: Backend> Shot<Autodiff<B>> {
    /// This image on the inner backend, without an autodiff graph.
    pub(crate) fn valid(&self) -> Shot<B> {
        Shot {
            weights: self.weights.clone().inner(),
            object: self.object.clone().inner(),
            annotated: self.annotated.clone().inner(),
        }
    }
}

/// The annotated images of an N-way, K-shot episode: for each of N classes (ways) K images (shots) with their masks.
///
/// # Source
/// Paper, Eq. 3 and 4; PANet (kaixin96/PANet 1695bf3), `models/fewshot.py`.
#[derive(Debug, Clone)]
pub struct Support<B: Backend> {
    scale: f64,
    ways: usize,
    /// Images way by way, with the same number of shots each.
    images: Vec<(PixelVectors<B>, Shot<B>)>,
    /// Channels, height and width of the features.
    expected: [usize; 3],
    to_image: BilinearResize<B>,
}

/// The result of [`Support::segment`] for a batch of images.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Segmentation<B: Backend> {
    /// Logits at the features' size, `[n, 1 + ways, height, width]`, class 0 the background.
    pub coarse: Tensor<B, 4>,
    /// The same logits resized bilinearly to the masks' size, `[n, 1 + ways, image_height, image_width]`.
    pub logits: Tensor<B, 4>,
}

impl<B: Backend> Segmentation<B> {
    /// The most likely class of every pixel of the images.
    ///
    /// # Shapes
    /// - output: `[n, image_height, image_width]`, 0 the background, `1 + way` the classes
    pub fn classes(&self) -> Tensor<B, 3, Int> {
        self.logits.clone().argmax(1).squeeze_dim(1)
    }
}

impl<B: Backend> Support<B> {
    /// Makes a support from annotated images.
    ///
    /// Pixels in neither mask are ignored; pixels in both are background in the alignment loss, as in PANet. A mask may be
    /// empty (a slice without the object): it adds a zero vector to the mean over the shots, which does not change the cosine.
    ///
    /// # Shapes
    /// - features: `[ways, shots, channels, height, width]`
    /// - foreground, background: `[ways, shots, image_height, image_width]`
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if shapes do not fit or have no elements;
    /// [`SapnetError::Config`] if the configured scale is not positive.
    pub fn new(
        config: &SupportConfig,
        features: Tensor<B, 5>,
        foreground: Tensor<B, 4, Bool>,
        background: Tensor<B, 4, Bool>,
    ) -> Result<Self, SapnetError> {
        config.check()?;
        let [ways, shots, channels, height, width] = features.dims();
        let [_, _, image_height, image_width] = foreground.dims();
        let masks = [ways, shots, image_height, image_width];
        SapnetError::check_filled("support features", &features.dims())?;
        SapnetError::check_shape("foreground", &masks, &foreground.dims())?;
        SapnetError::check_shape("background", &masks, &background.dims())?;
        let to_image = BilinearResize::new([height, width], [image_height, image_width], &features.device());
        let maps: Tensor<B, 4> = features.reshape([ways * shots, channels, height, width]);
        let flat = |masks: Tensor<B, 4, Bool>| masks.reshape([ways * shots, image_height, image_width]);
        let (foreground, background) = (flat(foreground), flat(background));
        let image = |index: usize| {
            let mask = |masks: &Tensor<B, 3, Bool>| masks.clone().narrow(0, index, 1);
            let shot = Shot::new(mask(&foreground), mask(&background), &to_image);
            (PixelVectors::of_maps(maps.clone().narrow(0, index, 1)), shot)
        };
        let images = (0..ways * shots).map(image).collect();
        Ok(Self { scale: config.scale, ways, images, expected: [channels, height, width], to_image })
    }

    /// Makes the support of one class from prepared images.
    pub(crate) fn of_shots(
        config: SupportConfig,
        images: Vec<(PixelVectors<B>, Shot<B>)>,
        expected: [usize; 3],
        to_image: BilinearResize<B>,
    ) -> Self {
        Self { scale: config.scale, ways: 1, images, expected, to_image }
    }

    /// One vector per class: [`masked_average`](crate::masked_average) of each image, then the mean over the shots, and for the
    /// background also over the ways.
    ///
    /// # Shapes
    /// - output: `[1 + ways, channels]`, the background first
    pub fn prototypes(&self) -> Tensor<B, 2> {
        self.mean_of(self.averages())
    }

    /// The prototypes, from the vectors of each image.
    pub(crate) fn mean_of(&self, averages: Tensor<B, 3>) -> Tensor<B, 2> {
        let [images, _, channels] = averages.dims();
        let background: Tensor<B, 2> = averages.clone().narrow(1, 0, 1).mean_dim(0).squeeze_dim(1);
        let foreground = averages.narrow(1, 1, 1).reshape([self.ways, images / self.ways, channels]);
        Tensor::cat(vec![background, foreground.mean_dim(1).squeeze_dim(1)], 0)
    }

    /// The vectors of each image, the background first: `[images, 2, channels]`.
    pub(crate) fn averages(&self) -> Tensor<B, 3> {
        let averages = self.images.iter().map(|(vectors, shot)| vectors.sums(shot.weights.clone()));
        Tensor::cat(averages.collect(), 0)
    }

    /// Segments other images by the similarity of their features to the [prototypes](Self::prototypes).
    ///
    /// # Shapes
    /// - query: `[n, channels, height, width]`, channels and size those of the support
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if the query does not fit.
    pub fn segment(&self, query: Tensor<B, 4>) -> Result<Segmentation<B>, SapnetError> {
        let coarse = self.coarse(&[self.query(query)?]);
        Ok(Segmentation { logits: self.to_image.forward(coarse.clone()), coarse })
    }

    /// Computes only [`Segmentation::coarse`], image by image.
    pub(crate) fn coarse(&self, query: &[PixelVectors<B>]) -> Tensor<B, 4> {
        let prototypes = self.prototypes();
        let logits = query.iter().map(|vectors| self.as_maps(vectors.logits(prototypes.clone(), self.scale)));
        Tensor::cat(logits.collect(), 0)
    }

    /// Resizes maps of the features' size to that of the masks.
    pub(crate) fn to_image(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        self.to_image.forward(maps)
    }

    /// The alignment loss, `L_align` in the paper: the query's *predicted* mask gives prototypes, and the loss is that of segmenting the
    /// support with them.
    ///
    /// The predicted mask is the most likely class at the features' size. It has no gradient, but the features that it selects have one.
    /// Every image of way w is scored on background and w only, by the cross-entropy over its annotated pixels. The loss is the mean over
    /// all ways and shots. A way that is not predicted anywhere in the query adds 0.
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
        let ([n, ..], [_, height, width]) = (query.dims(), self.expected);
        SapnetError::check_shape("coarse logits", &[n, 1 + self.ways, height, width], &coarse.dims())?;
        Ok(self.alignment(&[self.query(query)?], coarse))
    }

    /// [`Support::alignment_loss`], image by image.
    pub(crate) fn alignment(&self, query: &[PixelVectors<B>], coarse: &Tensor<B, 4>) -> Tensor<B, 1> {
        let (prototypes, area) = predicted_prototypes(query, coarse);
        let present = area.greater_elem(0.0).float();
        let mut total = Tensor::zeros([1], &coarse.device());
        for (index, (vectors, shot)) in self.images.iter().enumerate() {
            let way = 1 + index * self.ways / self.images.len();
            let pair = Tensor::cat(vec![prototypes.clone().narrow(0, 0, 1), prototypes.clone().narrow(0, way, 1)], 0);
            let margins = self.to_image.forward(margins(self.as_maps(vectors.logits(pair, self.scale))));
            let loss = two_class_cross_entropy(margins.flatten(1, 3), shot.object.clone(), shot.annotated.clone());
            total = total + loss * present.clone().narrow(0, way, 1);
        }
        total / self.images.len() as f64
    }

    /// Vectors of a query, if its shape fits the support.
    fn query(&self, query: Tensor<B, 4>) -> Result<PixelVectors<B>, SapnetError> {
        let ([n, ..], [channels, height, width]) = (query.dims(), self.expected);
        SapnetError::check_shape("query features", &[n, channels, height, width], &query.dims())?;
        Ok(PixelVectors::of_maps(query))
    }

    /// `[n, classes, pixels]` to `[n, classes, height, width]`.
    fn as_maps(&self, logits: Tensor<B, 3>) -> Tensor<B, 4> {
        let ([n, classes, _], [_, height, width]) = (logits.dims(), self.expected);
        logits.reshape([n, classes, height, width])
    }
}

/// Margins: the object's logit minus that of the background, before resizing.
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
/// - coarse: `[n, classes, height, width]`, of the query's n images together
/// - output: `[classes, channels]`, `[classes]`
fn predicted_prototypes<B: Backend>(query: &[PixelVectors<B>], coarse: &Tensor<B, 4>) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let [n, classes, height, width] = coarse.dims();
    let pixels = height * width;
    let predicted: Tensor<B, 3, Int> = coarse.clone().detach().argmax(1).reshape([n, 1, pixels]);
    let every_class = Tensor::arange(0..classes as i64, &coarse.device()).reshape([1, classes, 1]);
    let shape = [n, classes, pixels];
    let masks = predicted.expand(shape).equal(every_class.expand(shape)).float();
    let area: Tensor<B, 2> = masks.clone().sum_dim(2).sum_dim(0).squeeze_dim(0);
    let mut from = 0;
    let sums = query.iter().map(|vectors| {
        let images = vectors.count();
        from += images;
        vectors.sums(masks.clone().narrow(0, from - images, images))
    });
    let sums: Tensor<B, 2> = Tensor::cat(sums.collect(), 0).sum_dim(0).squeeze_dim(0);
    (sums / (area.clone() + AREA_EPSILON), area.squeeze_dim(1))
}
