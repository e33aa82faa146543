//! The whole SAM model.

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::{PromptBatch, PromptEncoder};

use crate::{
    CoreError,
    image_encoder::{AnyImageEncoder, ImageEncoder},
    mask_decoder::{MaskDecoder, MaskLogits, MaskOutput},
};

/// The Segment Anything Model: an image encoder, a prompt encoder and a mask decoder.
///
/// Built by [`SamConfig::init`](crate::SamConfig::init) or [`Checkpoint::load`](crate::Checkpoint::load), or from your own parts. Clones
/// share the weights; changing a clone does not change the original.
///
/// Source: `Sam` in segment-anything's `modeling/sam.py`.
#[derive(Debug, Clone)]
pub struct Sam<B: Backend> {
    /// Turns images into embeddings; the slow part.
    pub image_encoder: Arc<dyn ImageEncoder<B>>,
    /// Turns prompts into tokens; the part that SAM^assist learns.
    pub prompt_encoder: PromptEncoder<B>,
    /// Turns embeddings and tokens into masks.
    pub mask_decoder: MaskDecoder<B>,
}

impl<B: Backend> Sam<B> {
    /// Decodes prompts on embedded images.
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

    /// Number of parameters of all three parts.
    pub fn parameter_count(&self) -> usize {
        self.image_encoder.parameter_count() + self.prompt_encoder.num_params() + self.mask_decoder.num_params()
    }
}

/// A [`Sam`] as one burn module with the official parameter paths; used to initialise and to load weights.
#[derive(Module, Debug)]
pub(crate) struct SamModule<B: Backend> {
    pub(crate) image_encoder: AnyImageEncoder<B>,
    pub(crate) prompt_encoder: PromptEncoder<B>,
    pub(crate) mask_decoder: MaskDecoder<B>,
}

impl<B: Backend> From<SamModule<B>> for Sam<B> {
    fn from(SamModule { image_encoder, prompt_encoder, mask_decoder }: SamModule<B>) -> Self {
        Self { image_encoder: Arc::new(image_encoder), prompt_encoder, mask_decoder }
    }
}
