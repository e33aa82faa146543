//! Config of a whole SAM: the shape of the model and the preprocessing of images.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::PromptEncoderConfig;
use serde::{Deserialize, Serialize};

use crate::{
    Sam,
    image_encoder::{AnyImageEncoder, TinyVitConfig, ViTConfig},
    mask_decoder::MaskDecoderConfig,
    sam::SamModule,
    transform::Preprocess,
    transformer::TwoWayTransformerConfig,
};

/// The shape of the image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EncoderConfig {
    /// SAM's vision transformer.
    Vit(ViTConfig),
    /// The small encoder of `LiteMedSAM` and `MobileSAM`.
    TinyVit(TinyVitConfig),
}

impl EncoderConfig {
    /// Creates an image encoder with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> AnyImageEncoder<B> {
        match self {
            Self::Vit(encoder) => AnyImageEncoder::Vit(encoder.init(device)),
            Self::TinyVit(encoder) => AnyImageEncoder::TinyVit(encoder.init(device)),
        }
    }
}

/// The shape of a [`Sam`] and the preprocessing of its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SamConfig {
    /// The image encoder's shape.
    pub encoder: EncoderConfig,
    /// The mask decoder's shape.
    pub decoder: MaskDecoderConfig,
    /// Hidden channels of the prompt encoder's mask downscaling.
    pub mask_in_chans: usize,
    /// How images are resized, normalised and padded.
    pub preprocess: Preprocess,
}

impl SamConfig {
    /// SAM with a vision transformer of any size and SAM's own preprocessing.
    pub fn vit(encoder: ViTConfig) -> Self {
        let preprocess = Preprocess::sam(encoder.image_size);
        Self::around(EncoderConfig::Vit(encoder), preprocess)
    }

    /// SAM with `TinyViT`. The preprocessing is `LiteMedSAM`'s if the patch stride is 1, and SAM's otherwise.
    pub fn tiny_vit(encoder: TinyVitConfig) -> Self {
        let preprocess = if encoder.patch_stride == 1 {
            Preprocess::lite_medsam(encoder.image_size)
        } else {
            Preprocess::sam(encoder.image_size)
        };
        Self::around(EncoderConfig::TinyVit(encoder), preprocess)
    }

    fn around(encoder: EncoderConfig, preprocess: Preprocess) -> Self {
        let channels = match &encoder {
            EncoderConfig::Vit(encoder) => encoder.out_chans,
            EncoderConfig::TinyVit(encoder) => encoder.out_chans,
        };
        let transformer = TwoWayTransformerConfig::new().with_embedding_dim(channels);
        Self { encoder, decoder: MaskDecoderConfig::new().with_transformer(transformer), mask_in_chans: 16, preprocess }
    }

    /// This config with another mask decoder, whose width must be that of the encoder's embedding.
    #[must_use]
    pub fn with_decoder(self, decoder: MaskDecoderConfig) -> Self {
        Self { decoder, ..self }
    }

    /// This config with another number of hidden channels in the prompt encoder's mask downscaling.
    #[must_use]
    pub fn with_mask_in_chans(self, mask_in_chans: usize) -> Self {
        Self { mask_in_chans, ..self }
    }

    /// This config with another preprocessing.
    #[must_use]
    pub fn with_preprocess(self, preprocess: Preprocess) -> Self {
        Self { preprocess, ..self }
    }

    /// SAM ViT-B.
    pub fn vit_b() -> Self {
        Self::vit(ViTConfig::base())
    }

    /// SAM ViT-L.
    pub fn vit_l() -> Self {
        Self::vit(ViTConfig::large())
    }

    /// SAM ViT-H.
    pub fn vit_h() -> Self {
        Self::vit(ViTConfig::huge())
    }

    /// `LiteMedSAM`: `TinyViT` at 256 pixels.
    pub fn lite_medsam() -> Self {
        Self::tiny_vit(TinyVitConfig::lite_medsam())
    }

    /// `MobileSAM`: `TinyViT` at 1024 pixels.
    pub fn mobile_sam() -> Self {
        Self::tiny_vit(TinyVitConfig::mobile_sam())
    }

    /// The prompt encoder's shape, which follows from the other values.
    pub fn prompt_encoder(&self) -> PromptEncoderConfig {
        let (image_size, embedding_size) = match &self.encoder {
            EncoderConfig::Vit(encoder) => (encoder.image_size, encoder.grid()),
            EncoderConfig::TinyVit(encoder) => (encoder.image_size, encoder.grid()),
        };
        PromptEncoderConfig::new()
            .with_embed_dim(self.decoder.transformer.embedding_dim)
            .with_embedding_size(embedding_size)
            .with_image_size(image_size)
            .with_mask_in_chans(self.mask_in_chans)
    }

    /// Creates a model with random weights. They are drawn at once: burn draws lazily, so a clone made earlier would draw different
    /// weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Sam<B> {
        let sam = self.undrawn(device);
        sam.visit(&mut DrawNow);
        sam.into()
    }

    /// Creates a model whose weights are not drawn yet, to be filled with loaded weights.
    pub(crate) fn undrawn<B: Backend>(&self, device: &B::Device) -> SamModule<B> {
        SamModule {
            image_encoder: self.encoder.init(device),
            prompt_encoder: self.prompt_encoder().init(device),
            mask_decoder: self.decoder.init(device),
        }
    }
}

/// Reads every parameter, which draws its value.
struct DrawNow;

impl<B: Backend> ModuleVisitor<B> for DrawNow {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        drop(parameter.val());
    }
}

/// Counts the parameters of a model without drawing them.
pub(crate) fn parameters<B: Backend>(sam: &SamModule<B>) -> usize {
    let mut count = Count(0);
    sam.visit(&mut count);
    count.0
}

struct Count(usize);

impl<B: Backend> ModuleVisitor<B> for Count {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let sizes = parameter.lazy_shape();
        self.0 = self.0.saturating_add(sizes.iter().fold(1, |product, &size| product.saturating_mul(size)));
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn small_encoders_keep_the_embedding_at_64_cells() {
        for (config, side) in [(SamConfig::lite_medsam(), 256), (SamConfig::mobile_sam(), 1024)] {
            let prompts = config.prompt_encoder();
            assert_eq!((prompts.embedding_size, prompts.image_size), (64, side));
        }
    }

    #[test]
    fn published_sizes_have_their_published_number_of_parameters() {
        // segment-anything 1.0, `sum(p.numel() for p in sam_model_registry[...]().parameters())`; there the 256 frequencies of
        // the position encoding are a buffer, here they are a parameter that is never trained.
        let frequencies = 256;
        for (config, expected) in
            [(SamConfig::vit_b(), 93_735_472), (SamConfig::vit_l(), 312_342_832), (SamConfig::vit_h(), 641_090_608)]
        {
            assert_eq!(parameters(&config.undrawn::<Flex>(&FlexDevice)), expected + frequencies, "{config:?}");
        }
    }
}
