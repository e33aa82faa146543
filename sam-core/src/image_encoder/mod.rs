//! Image encoders: the heavy, frozen part, run once for each image.

mod neck;
mod tiny_vit;
mod vit;
mod window;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};

pub use neck::Neck;
pub use tiny_vit::{TinyVit, TinyVitConfig, TinyVitLayer, TinyVitPatchEmbed};
pub use vit::{Attention, Block, ImageEncoderViT, PatchEmbed, ViTConfig, relative_positions};
pub(crate) use window::window_partition_with;
pub use window::{window_partition, window_unpartition};

/// Whatever turns a pre-processed image into the embedding that the mask decoder reads.
pub trait ImageEncoder<B: Backend>: Module<B> {
    /// # Shapes
    /// - images: `[n, 3, size, size]`, pre-processed; output: `[n, channels, h, w]`
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4>;
}

/// The encoders whose weights a checkpoint may hold.
#[derive(Module, Debug)]
pub enum AnyImageEncoder<B: Backend> {
    /// SAM's own: ViT-B, L, H or any other size.
    Vit(ImageEncoderViT<B>),
    /// `LiteMedSAM`'s and `MobileSAM`'s.
    TinyVit(TinyVit<B>),
}

impl<B: Backend> ImageEncoder<B> for AnyImageEncoder<B> {
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Vit(encoder) => encoder.forward(images),
            Self::TinyVit(encoder) => encoder.forward(images),
        }
    }
}
