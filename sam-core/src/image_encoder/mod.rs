//! Image encoders: the heavy, frozen part, run once for each image.

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

/// Turns a prepared image into the embedding that the mask decoder reads.
///
/// [`Sam`](crate::Sam) takes any encoder, also one of your own: its output needs as many channels as the prompt encoder embeds in, and
/// the side of the prompt encoder's grid.
///
/// The trait is object-safe. To look inside an encoder, cast it to [`Any`] and down to its type.
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
    /// - images: `[n, 3, size, size]`, prepared by [`Preprocess::apply`](crate::Preprocess::apply); output: `[n, channels, h, w]`
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4>;

    /// Number of parameters.
    fn parameter_count(&self) -> usize;

    /// This encoder with its weights in another precision; this one stays as it is.
    ///
    /// The input of the new encoder comes in that precision.
    ///
    /// # Errors
    /// [`CoreError::PrecisionUnsupported`] if it has no other precision than f32, as by default.
    fn with_precision(&self, precision: Precision) -> Result<Arc<dyn ImageEncoder<B>>, CoreError> {
        Err(CoreError::PrecisionUnsupported { wanted: precision })
    }
}

/// Implements [`ImageEncoder`] for a module that has a method `embed`.
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

/// The encoders whose weights a [`Checkpoint`](crate::Checkpoint) may hold.
#[derive(Module, Debug)]
#[non_exhaustive]
pub enum AnyImageEncoder<B: Backend> {
    /// SAM's own: ViT-B, L, H or any other size.
    Vit(ImageEncoderViT<B>),
    /// `LiteMedSAM`'s and `MobileSAM`'s.
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
