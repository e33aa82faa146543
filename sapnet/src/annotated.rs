//! Annotated slices: features and masks.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, ElementConversion, Tensor};

use crate::SapnetError;

/// Feature maps of annotated slices with masks of the object and the background.
///
/// Slices without the object are useful: they show more background. At least one slice must show the object.
#[derive(Debug, Clone)]
pub struct AnnotatedFeatures<B: Backend> {
    features: Tensor<B, 4>,
    foreground: Tensor<B, 3, Bool>,
    background: Tensor<B, 3, Bool>,
}

impl<B: Backend> AnnotatedFeatures<B> {
    /// Combines features and masks. Pixels in neither mask, such as padding, are ignored.
    ///
    /// # Shapes
    /// - features: `[slices, channels, height, width]`
    /// - foreground, background: `[slices, mask_height, mask_width]`, a finer grid over the same area
    ///
    /// # Errors
    /// [`SapnetError::ShapeMismatch`] or [`SapnetError::Empty`] if shapes do not fit or have no elements;
    /// [`SapnetError::NotFinite`] if a feature is NaN or infinite; [`SapnetError::ClassAbsent`] if no pixel is the object, or none is
    /// background.
    pub fn new(
        features: Tensor<B, 4>,
        foreground: Tensor<B, 3, Bool>,
        background: Tensor<B, 3, Bool>,
    ) -> Result<Self, SapnetError> {
        SapnetError::check_filled("annotated features", &features.dims())?;
        let [_, height, width] = foreground.dims();
        let masks = [features.dims()[0], height, width];
        SapnetError::check_shape("foreground", &masks, &foreground.dims())?;
        SapnetError::check_shape("background", &masks, &background.dims())?;
        SapnetError::check_finite("annotated features", &features)?;
        for (class, mask) in [("object", &foreground), ("background", &background)] {
            if !is_any(mask.clone()) {
                return Err(SapnetError::ClassAbsent { class });
            }
        }
        Ok(Self { features, foreground, background })
    }

    /// The feature maps, `[slices, channels, height, width]`.
    pub fn features(&self) -> &Tensor<B, 4> {
        &self.features
    }

    /// The object, `[slices, mask_height, mask_width]`.
    pub fn foreground(&self) -> &Tensor<B, 3, Bool> {
        &self.foreground
    }

    /// The background, `[slices, mask_height, mask_width]`.
    pub fn background(&self) -> &Tensor<B, 3, Bool> {
        &self.background
    }

    /// Number of slices.
    pub fn count(&self) -> usize {
        self.features.dims()[0]
    }

    /// For each slice, whether it shows the object.
    pub(crate) fn shows_object(&self) -> Vec<bool> {
        (0..self.count()).map(|slice| is_any(self.foreground.clone().narrow(0, slice, 1))).collect()
    }
}

fn is_any<B: Backend>(mask: Tensor<B, 3, Bool>) -> bool {
    mask.int().max().into_scalar().elem::<i64>() > 0
}
