//! Frozen mask decoder, which passes gradients on to the prompt encoder.

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    tensor::{Tensor, backend::Backend},
};
use sam_core::{CoreError, DecoderPositions, MaskDecoder, MaskLogits, MaskOutput, ProjectedImage, Sam};
use sam_prompt::{PromptBatch, PromptEmbeddings, PromptEncoder};

/// Frozen mask decoder. It passes gradients on to the prompt encoder and has no gradients of its own.
#[derive(Debug)]
pub struct FrozenDecoder<B: Backend> {
    decoder: MaskDecoder<Autodiff<B>>,
    /// Computed once, because they depend only on fixed frequencies and frozen weights.
    positions: DecoderPositions<B>,
    tracked_positions: DecoderPositions<Autodiff<B>>,
    untracked: MaskDecoder<B>,
}

impl<B: Backend> FrozenDecoder<B> {
    /// Freezes a model's decoder. Weights are shared, not copied.
    pub fn new(sam: &Sam<B>) -> Self {
        Self::from_parts(sam.mask_decoder.clone(), &sam.prompt_encoder)
    }

    /// Freezes a decoder; the prompt encoder only provides the image's position encoding.
    pub fn from_parts(decoder: MaskDecoder<B>, prompt_encoder: &PromptEncoder<B>) -> Self {
        let positions = decoder.project_positions(prompt_encoder.dense_pe());
        Self {
            decoder: MaskDecoder::from_inner(decoder.clone()).no_grad(),
            tracked_positions: positions.clone().map(Tensor::from_inner),
            positions,
            untracked: decoder,
        }
    }

    /// Projects an image once for all prompts and all steps.
    ///
    /// # Shapes
    /// - features: `[n, channels, h, w]`
    pub fn project(&self, features: Tensor<B, 4>) -> ProjectedImage<B> {
        self.untracked.project(features, &self.positions)
    }

    /// Decodes one mask for each prompt, differentiable with respect to the prompt encoder.
    ///
    /// # Shapes
    /// - image: one, or one for each prompt; output: see [`MaskDecoder::forward`]
    ///
    /// # Errors
    /// [`CoreError::Prompt`] if the batch's mask prompts have the wrong size.
    pub fn forward(
        &self,
        prompt_encoder: &PromptEncoder<Autodiff<B>>,
        image: ProjectedImage<B>,
        prompts: &PromptBatch<Autodiff<B>>,
    ) -> Result<MaskLogits<Autodiff<B>>, CoreError> {
        Ok(self.decode(image, prompt_encoder.forward(prompts)?))
    }

    /// Like [`FrozenDecoder::forward`], for prompts that are already embedded.
    ///
    /// # Panics
    /// If the number of images is neither one nor the number of prompts.
    pub fn decode(&self, image: ProjectedImage<B>, prompts: PromptEmbeddings<Autodiff<B>>) -> MaskLogits<Autodiff<B>> {
        self.decode_with(&self.decoder, image, prompts)
    }

    /// Like [`FrozenDecoder::decode`], with a decoder that differs from this one only in its token branch.
    pub(crate) fn decode_with(
        &self,
        decoder: &MaskDecoder<Autodiff<B>>,
        image: ProjectedImage<B>,
        prompts: PromptEmbeddings<Autodiff<B>>,
    ) -> MaskLogits<Autodiff<B>> {
        decoder.decode(image.map(Tensor::from_inner), &self.tracked_positions, prompts, MaskOutput::Single)
    }

    /// The decoder itself.
    pub(crate) fn decoder(&self) -> &MaskDecoder<Autodiff<B>> {
        &self.decoder
    }
}
