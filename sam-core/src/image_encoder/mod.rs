//! Image encoders: the large, frozen part of SAM, run once for each image.

mod neck;
mod tiny_vit;
mod vit;
mod window;

use std::{any::Any, fmt::Debug, sync::Arc};

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

use crate::{CoreError, Precision, precision};

pub use neck::Neck;
pub use tiny_vit::{TinyVit, TinyVitConfig, TinyVitLayer, TinyVitPatchEmbed};
#[doc(hidden)]
pub use vit::relative_positions;
pub use vit::{Attention, Block, ImageEncoderViT, PatchEmbed, ViTConfig};
pub(crate) use window::window_partition_with;
#[doc(hidden)]
pub use window::{window_partition, window_unpartition};

/// An image encoder: turns a preprocessed image into the embedding that the mask decoder reads.
///
/// [`Sam`](crate::Sam) accepts any encoder, also your own. Its output must have the prompt encoder's number of channels and the side of the
/// prompt encoder's grid.
///
/// The trait is object-safe. To access the parts of an encoder, cast it to [`Any`] and downcast it to its type.
///
/// ```
/// use std::sync::Arc;
///
/// use burn_flex::{Flex, FlexDevice};
/// use ndarray::Array3;
/// use sam_core::{ImageEncoder, Sam, SamConfig, SamPredictor, ViTConfig, burn::tensor::{Tensor, backend::Backend}};
///
/// /// Repeats the mean colour of each cell: no encoder to segment with.
/// #[derive(Debug)]
/// struct MeanColour {
///     channels: usize,
/// }
///
/// impl<B: Backend> ImageEncoder<B> for MeanColour {
///     fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
///         let [n, _, height, width] = images.dims();
///         let (rows, columns) = (height / 16, width / 16);
///         let cells = images.mean_dim(1).reshape([n, rows, 16, columns, 16]).mean_dim(2).mean_dim(4);
///         cells.reshape([n, 1, rows, columns]).expand([n, self.channels, rows, columns])
///     }
///
///     fn parameter_count(&self) -> usize {
///         0
///     }
/// }
///
/// let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
/// let sam = Sam { image_encoder: Arc::new(MeanColour { channels: 256 }), ..config.init::<Flex>(&FlexDevice) };
/// let embedding = SamPredictor::new(sam, config.preprocess).embed(Array3::from_elem((48, 64, 1), 9).view())?;
/// assert_eq!(embedding.features().dims(), [1, 256, 4, 4]);
/// # Ok::<(), sam_core::CoreError>(())
/// ```
pub trait ImageEncoder<B: Backend>: Any + Debug + Send + Sync {
    /// Embeds images.
    ///
    /// # Shapes
    /// - images: `[n, 3, size, size]`, preprocessed by [`Preprocess::apply`](crate::Preprocess::apply); output: `[n, channels, h, w]`
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4>;

    /// Number of parameters.
    fn parameter_count(&self) -> usize;

    /// Returns this encoder with its weights in another precision; `self` does not change.
    ///
    /// The input of the new encoder must have that precision.
    ///
    /// # Errors
    /// [`CoreError::PrecisionUnsupported`] if it supports f32 only, as the default implementation does.
    fn with_precision(&self, precision: Precision) -> Result<Arc<dyn ImageEncoder<B>>, CoreError> {
        Err(CoreError::PrecisionUnsupported { wanted: precision })
    }
}

/// Implements [`ImageEncoder`] for a module with a method `embed`.
macro_rules! encoder_of_module {
    ($encoder:ident) => {
        impl<B: Backend> ImageEncoder<B> for $encoder<B> {
            fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
                self.embed(images)
            }

            fn parameter_count(&self) -> usize {
                self.num_params()
            }

            fn with_precision(&self, precision: Precision) -> Result<Arc<dyn ImageEncoder<B>>, CoreError> {
                Ok(Arc::new(precision::cast(self.clone(), precision)))
            }
        }
    };
}

encoder_of_module!(ImageEncoderViT);
encoder_of_module!(TinyVit);
encoder_of_module!(AnyImageEncoder);

/// The encoders that a [`Checkpoint`](crate::Checkpoint) can contain.
#[derive(Module, Debug)]
#[non_exhaustive]
pub enum AnyImageEncoder<B: Backend> {
    /// SAM's vision transformer: ViT-B, L, H or any other size.
    Vit(ImageEncoderViT<B>),
    /// The encoder of `LiteMedSAM` and `MobileSAM`.
    TinyVit(TinyVit<B>),
}

impl<B: Backend> AnyImageEncoder<B> {
    fn embed(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Vit(encoder) => encoder.embed(images),
            Self::TinyVit(encoder) => encoder.embed(images),
        }
    }
}
