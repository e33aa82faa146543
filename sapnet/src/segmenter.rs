//! Coarse masks from prototypes: the trait, and PANet, which needs no training.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use crate::prototype::PixelVectors;
use crate::{AnnotatedFeatures, BilinearResize, SapnetError, Support, SupportConfig};

/// Coarse segmenter: a method that was fitted to annotated slices and segments other slices.
///
/// The trait is object-safe, and fitted segmenters can be shared between threads.
pub trait CoarseSegmenter<B: Backend>: Send + Sync {
    /// Predicts the probability of the object for every pixel, at any output size.
    ///
    /// # Shapes
    /// - features: `[n, channels, height, width]`, channels and size those of the annotated slices
    /// - size: rows and columns of the output, over the same area as the features
    /// - output: `[n, size[0], size[1]]`, in [0, 1]
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if the features do not fit or the size has no pixel;
    /// [`SapnetError::NotFinite`] if a feature or a logit is NaN or infinite.
    fn predict(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3>, SapnetError>;

    /// Predicts like [`CoarseSegmenter::predict`], but annotated slices count by these shares, in the order in which the method was fitted to them.
    /// In a volume, the annotated slices near a slice show the object as it is there.
    ///
    /// This default ignores the shares, for methods that cannot tell their annotated slices apart.
    ///
    /// # Errors
    /// As [`CoarseSegmenter::predict`]; [`SapnetError::ShapeMismatch`] if there are more or fewer shares than annotated slices.
    fn predict_with_shares(
        &self,
        features: Tensor<B, 4>,
        size: [usize; 2],
        shares: &[f32],
    ) -> Result<Tensor<B, 3>, SapnetError> {
        let _ = shares;
        self.predict(features, size)
    }

    /// Segments: returns the mask of the pixels where the object is more likely than the background.
    ///
    /// # Errors
    /// As [`CoarseSegmenter::predict`].
    fn segment(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3, Bool>, SapnetError> {
        Ok(self.predict(features, size)?.greater_elem(0.5))
    }
}

/// Prototypes of background and object, and the scale for comparing them with pixels.
#[derive(Debug, Clone)]
pub(crate) struct Prototypes<B: Backend> {
    /// `[2, channels]`, the background first.
    vectors: Tensor<B, 2>,
    /// The vectors of each annotated slice: `[slices, 2, channels]`.
    of_slices: Tensor<B, 3>,
    scale: f64,
}

impl<B: Backend> Prototypes<B> {
    /// The prototypes of annotated images.
    pub(crate) fn of(support: &Support<B>, config: SupportConfig) -> Self {
        let of_slices = support.averages();
        Self { vectors: support.mean_of(of_slices.clone()), of_slices, scale: config.scale }
    }

    /// `[2, channels]`, the background first.
    pub(crate) fn vectors(&self) -> &Tensor<B, 2> {
        &self.vectors
    }

    /// The prototypes if annotated slices count by these shares.
    pub(crate) fn with_shares(&self, shares: &[f32]) -> Result<Self, SapnetError> {
        let [slices, ..] = self.of_slices.dims();
        SapnetError::check_shape("shares", &[slices], &[shares.len()])?;
        let shares = Tensor::<B, 1>::from_data(shares, &self.of_slices.device()).reshape([slices, 1, 1]);
        let vectors = (self.of_slices.clone() * shares).sum_dim(0).squeeze_dim(0);
        Ok(Self { vectors, ..self.clone() })
    }

    /// The probability of the object.
    ///
    /// # Shapes
    /// - from: height and width of the features, to: rows and columns of the output
    /// - output: `[n, to[0], to[1]]`
    ///
    /// # Errors
    /// [`SapnetError::NotFinite`] if a logit is NaN or infinite, which would otherwise be taken for background.
    pub(crate) fn predict(
        &self,
        features: &PixelVectors<B>,
        from: [usize; 2],
        to: [usize; 2],
    ) -> Result<Tensor<B, 3>, SapnetError> {
        let logits = features.logits(self.vectors.clone(), self.scale);
        let logits = logits.reshape([features.count(), 2, from[0], from[1]]);
        SapnetError::check_finite("coarse logits", &logits)?;
        let resized = BilinearResize::new(from, to, &logits.device()).forward(logits);
        Ok(softmax(resized, 1).narrow(1, 1, 1).squeeze_dim(1))
    }
}

/// Checks that the features of a query fit those of the annotated slices. Every [`CoarseSegmenter`] calls it first.
///
/// # Shapes
/// - features: `[n, channels, height, width]`
/// - expected: channels, height and width of the annotated slices' features
/// - size: rows and columns of the output
///
/// # Errors
/// As [`CoarseSegmenter::predict`].
pub fn check_query<B: Backend>(
    features: &Tensor<B, 4>,
    expected: [usize; 3],
    size: [usize; 2],
) -> Result<(), SapnetError> {
    let [channels, height, width] = expected;
    SapnetError::check_shape("features", &[features.dims()[0], channels, height, width], &features.dims())?;
    SapnetError::check_filled("coarse mask", &size)?;
    SapnetError::check_finite("features", features)
}

/// PANet without training: prototypes of the frozen features.
///
/// # Source
/// Wang et al. 2019, "PANet: Few-Shot Image Semantic Segmentation with Prototype Alignment".
#[derive(Debug, Clone)]
pub struct PaNet<B: Backend> {
    prototypes: Prototypes<B>,
    expected: [usize; 3],
}

impl<B: Backend> PaNet<B> {
    /// Computes the prototypes from the features of all annotated slices.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if the configured scale is not positive.
    pub fn fit(slices: &AnnotatedFeatures<B>, config: &SupportConfig) -> Result<Self, SapnetError> {
        let features = slices.features();
        let [_, channels, height, width] = features.dims();
        let mask = |masks: &Tensor<B, 3, Bool>| masks.clone().unsqueeze::<4>();
        let (foreground, background) = (mask(slices.foreground()), mask(slices.background()));
        let support = Support::new(config, features.clone().unsqueeze(), foreground, background)?;
        let prototypes = Prototypes::of(&support, *config);
        Ok(Self { prototypes, expected: [channels, height, width] })
    }
}

impl<B: Backend> CoarseSegmenter<B> for PaNet<B> {
    fn predict(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3>, SapnetError> {
        check_query(&features, self.expected, size)?;
        let [_, height, width] = self.expected;
        self.prototypes.predict(&PixelVectors::of_maps(features), [height, width], size)
    }

    fn predict_with_shares(
        &self,
        features: Tensor<B, 4>,
        size: [usize; 2],
        shares: &[f32],
    ) -> Result<Tensor<B, 3>, SapnetError> {
        Self { prototypes: self.prototypes.with_shares(shares)?, expected: self.expected }.predict(features, size)
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn logits_of_nan_are_an_error_and_no_background() {
        let features = PixelVectors::of_maps(Tensor::<Flex, 4>::ones([1, 3, 4, 4], &FlexDevice));
        for (value, is_sound) in [(1.0, true), (f32::NAN, false), (f32::INFINITY, false)] {
            let of_slices = Tensor::full([1, 2, 3], value, &FlexDevice);
            let prototypes = Prototypes { vectors: of_slices.clone().squeeze_dim(0), of_slices, scale: 20.0 };
            let found = prototypes.predict(&features, [4, 4], [8, 8]);
            match found {
                Ok(map) => assert!(is_sound && map.is_finite().all().into_scalar(), "{value}"),
                Err(error) => assert!(!is_sound && matches!(error, SapnetError::NotFinite { .. }), "{value}: {error}"),
            }
        }
    }
}
