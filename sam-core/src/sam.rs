//! The whole model.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::{PromptBatch, PromptEncoder};

use crate::{
    CoreError,
    image_encoder::AnyImageEncoder,
    mask_decoder::{MaskDecoder, MaskLogits, MaskOutput},
};

/// The Segment Anything Model: an image encoder, a prompt encoder and a mask decoder.
///
/// Source: `Sam` in segment-anything's `modeling/sam.py`. Built by [`SamConfig::init`](crate::SamConfig::init) or
/// [`Checkpoint::load`](crate::Checkpoint::load).
#[derive(Module, Debug)]
pub struct Sam<B: Backend> {
    /// Images to embeddings; the heavy part.
    pub image_encoder: AnyImageEncoder<B>,
    /// Prompts to tokens; the part that SAM^assist learns.
    pub prompt_encoder: PromptEncoder<B>,
    /// Embeddings and tokens to masks.
    pub mask_decoder: MaskDecoder<B>,
}

impl<B: Backend> Sam<B> {
    /// Decodes prompts on images that are embedded already.
    ///
    /// # Shapes
    /// - features: `[1, channels, h, w]` or one for each prompt; output: see [`MaskDecoder::forward`]
    ///
    /// # Errors
    /// [`CoreError::Prompt`] if the batch's mask prompts have the wrong size.
    pub fn decode(
        &self,
        features: Tensor<B, 4>,
        prompts: &PromptBatch<B>,
        output: MaskOutput,
    ) -> Result<MaskLogits<B>, CoreError> {
        let embedded = self.prompt_encoder.forward(prompts)?;
        Ok(self.mask_decoder.forward(features, self.prompt_encoder.dense_pe(), embedded, output))
    }
}
