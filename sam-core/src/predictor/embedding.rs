//! An embedded image.

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::{CoreError, transform::Frame};

/// An embedded image: all that prediction needs to know of it.
///
/// There is no "image not set" state, and a cache is a map of these. Clones share the features.
#[derive(Debug, Clone)]
pub struct ImageEmbedding<B: Backend> {
    features: Tensor<B, 4>,
    frame: Frame,
}

impl<B: Backend> ImageEmbedding<B> {
    /// Joins the features of one image and its place in the model's input. Whether they belong to a model is checked when it predicts.
    ///
    /// # Shapes
    /// - features: `[1, channels, h, w]`
    ///
    /// # Errors
    /// [`CoreError::Embedding`] if the features are not those of one image, or the frame is none: it needs pixels, and the resized
    /// image must lie in the padded one.
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
        Ok(Self { features, frame })
    }

    /// What an encoder made of one image in this frame.
    pub(super) fn of_encoder(features: Tensor<B, 4>, frame: Frame) -> Self {
        Self { features, frame }
    }

    /// The encoder's features: `[1, channels, h, w]`.
    pub fn features(&self) -> &Tensor<B, 4> {
        &self.features
    }

    /// Where the image lies in the model's input.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// This embedding with its features rounded to f16 and kept in f32, as an [`EmbeddingStore`](crate::EmbeddingStore) gives them.
    #[must_use]
    pub fn rounded_to_f16(self) -> Self {
        let device = self.features.device();
        // Not by the backend: burn-ndarray has no f16. Channels together, as the decoder reads them.
        let data = self.features.permute([0, 2, 3, 1]).into_data().convert_dtype(DType::F16).convert_dtype(DType::F32);
        Self { features: Tensor::from_data(data, &device).permute([0, 3, 1, 2]), frame: self.frame }
    }
}
