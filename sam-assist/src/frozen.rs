//! The part of SAM that gradients pass through and that stays as it is.

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    tensor::{Tensor, backend::Backend},
};
use sam_core::{CoreError, MaskDecoder, MaskLogits, MaskOutput, Sam};
use sam_prompt::{PromptBatch, PromptEncoder};

/// A mask decoder that passes gradients on to the prompt encoder and keeps none for itself.
#[derive(Debug)]
pub struct FrozenDecoder<B: Backend> {
    decoder: MaskDecoder<Autodiff<B>>,
    /// Depends on fixed frequencies only, so it is computed once.
    image_pe: Tensor<Autodiff<B>, 4>,
}

impl<B: Backend> FrozenDecoder<B> {
    /// Freezes a model's decoder. Weights are shared, not copied.
    pub fn new(sam: &Sam<B>) -> Self {
        Self::from_parts(sam.mask_decoder.clone(), &sam.prompt_encoder)
    }

    /// Freezes a decoder; the prompt encoder gives the image's position encoding only.
    pub fn from_parts(decoder: MaskDecoder<B>, prompt_encoder: &PromptEncoder<B>) -> Self {
        Self {
            decoder: MaskDecoder::from_inner(decoder).no_grad(),
            image_pe: Tensor::from_inner(prompt_encoder.dense_pe()),
        }
    }

    /// Decodes one mask for each prompt, to be differentiated with respect to the prompt encoder.
    ///
    /// # Shapes
    /// - features: `[1, channels, h, w]`, or one for each prompt; output: see [`MaskDecoder::forward`]
    ///
    /// # Errors
    /// [`CoreError::Prompt`] if the batch's mask prompts have the wrong size.
    pub fn forward(
        &self,
        prompt_encoder: &PromptEncoder<Autodiff<B>>,
        features: Tensor<B, 4>,
        prompts: &PromptBatch<Autodiff<B>>,
    ) -> Result<MaskLogits<Autodiff<B>>, CoreError> {
        let embedded = prompt_encoder.forward(prompts)?;
        Ok(self.decoder.forward(Tensor::from_inner(features), self.image_pe.clone(), embedded, MaskOutput::Single))
    }
}
