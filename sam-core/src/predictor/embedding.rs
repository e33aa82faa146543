//! The image embedding.

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::{CoreError, finite::is_tensor_finite, transform::Frame};

/// An image embedding: the encoder's features and the image's position in the model's input.
///
/// Prediction needs nothing else of the image, so there is no "image not set" state. Clones share the features.
#[derive(Debug, Clone)]
pub struct ImageEmbedding<B: Backend> {
    features: Tensor<B, 4>,
    frame: Frame,
}

impl<B: Backend> ImageEmbedding<B> {
    /// Joins the features of one image and its frame. Whether they fit a model is checked at prediction.
    ///
    /// # Shapes
    /// - features: `[1, channels, h, w]`
    ///
    /// # Errors
    /// [`CoreError::Embedding`] if the features are not those of one image, or NaN or infinite, or the frame is invalid: it must contain
    /// pixels, and the resized image must fit into the padded one.
    pub fn new(features: Tensor<B, 4>, frame: Frame) -> Result<Self, CoreError> {
        let found = features.dims();
        let refuse = |reason| Err(CoreError::Embedding { shape: found.to_vec(), reason });
        if found[0] != 1 || found.contains(&0) {
            return refuse("expected the features of one image, [1, channels, h, w]");
        }
        let Frame { original, resized, padded } = frame;
        let has_pixels = [original.0, original.1, resized.0, resized.1].iter().all(|&side| side > 0);
        if !has_pixels || resized.0.max(resized.1) > padded {
            return refuse("its frame has no pixels, or the resized image is larger than the padded one");
        }
        if !is_tensor_finite(&features) {
            return refuse(
                "they hold values that are NaN or infinite: check the weights of the encoder that made them",
            );
        }
        Ok(Self { features, frame })
    }

    /// Joins an encoder's features of one image, which were checked, and the image's frame.
    pub(super) fn of_encoder(features: Tensor<B, 4>, frame: Frame) -> Self {
        Self { features, frame }
    }

    /// The encoder's features: `[1, channels, h, w]`.
    pub fn features(&self) -> &Tensor<B, 4> {
        &self.features
    }

    /// Position of the image in the model's input.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// Rounds the features to f16 and stores them as f32, as an [`EmbeddingStore`](crate::EmbeddingStore) does.
    #[must_use]
    pub fn rounded_to_f16(self) -> Self {
        let device = self.features.device();
        // Not rounded by the backend, because burn-ndarray has no f16. Each pixel's channels are contiguous, as the decoder reads them.
        let data = self.features.permute([0, 2, 3, 1]).into_data().convert_dtype(DType::F16).convert_dtype(DType::F32);
        Self { features: Tensor::from_data(data, &device).permute([0, 3, 1, 2]), frame: self.frame }
    }
}
