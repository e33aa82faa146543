//! Prediction: embed an image once, prompt it many times.

mod batch;
mod embedding;
mod prediction;

use std::sync::Arc;

use burn::tensor::{FloatDType, Tensor, TensorData, backend::Backend};
use ndarray::{Array3, ArrayView3, Axis};
use sam_prompt::{PromptEncoder, PromptError, Prompts};

use crate::{
    CoreError, Sam, SamConfig,
    finite::is_tensor_finite,
    mask_decoder::{DecoderPositions, MaskDecoder, MaskOutput},
    precision::{Precision, between_products},
    transform::{Frame, Preprocess},
};

pub use embedding::ImageEmbedding;
pub use prediction::MaskPrediction;

/// A [`Sam`] with its preprocessing.
///
/// Clones share the weights; changing a clone does not change the original. Several threads may call one predictor at the same time.
///
/// Source: `SamPredictor` in segment-anything's `predictor.py`.
#[derive(Debug, Clone)]
pub struct SamPredictor<B: Backend> {
    sam: Sam<B>,
    preprocess: Preprocess,
    /// Precision of the image encoder.
    precision: Precision,
    /// Projected position encodings. They depend only on the prompt encoder's fixed frequencies and the decoder, so they are computed once.
    positions: DecoderPositions<B>,
    /// Tokens appended to those of every prompt: `[tokens, embed_dim]`.
    tokens: Option<Tensor<B, 2>>,
    /// The other ensemble members; predictions are the mean of all members' logits.
    ensemble: Vec<Self>,
    /// SHA-256 of the checkpoint, in hexadecimal.
    weights_sha256: Option<Arc<str>>,
    /// Config of the checkpoint.
    config: Option<Arc<SamConfig>>,
}

impl<B: Backend> SamPredictor<B> {
    /// Joins a model and its preprocessing.
    pub fn new(sam: Sam<B>, preprocess: Preprocess) -> Self {
        let positions = sam.mask_decoder.project_positions(sam.prompt_encoder.dense_pe());
        Self {
            sam,
            preprocess,
            precision: Precision::F32,
            positions,
            tokens: None,
            ensemble: Vec::new(),
            weights_sha256: None,
            config: None,
        }
    }

    /// The decoder's projections of the position encoding, computed once for all images and prompts.
    pub fn positions(&self) -> &DecoderPositions<B> {
        &self.positions
    }

    /// The model.
    pub fn sam(&self) -> &Sam<B> {
        &self.sam
    }

    /// How images are preprocessed.
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// SHA-256 of the checkpoint that the model was loaded from, in hexadecimal; `None` if that is unknown.
    ///
    /// It does not change when another part of the model is replaced by a learned one: it identifies the image encoder.
    pub fn weights_sha256(&self) -> Option<&str> {
        self.weights_sha256.as_deref()
    }

    /// Sets the SHA-256 of the weights. [`Checkpoint::predictor`](crate::Checkpoint::predictor) does this by itself.
    ///
    /// It is the key of embeddings on disk, so two models must not share one hash. This is not checked.
    #[must_use]
    pub fn with_weights_sha256(self, sha256: &str) -> Self {
        Self { weights_sha256: Some(sha256.into()), ..self }
    }

    /// Config of the checkpoint that the model was loaded from; `None` if that is unknown.
    pub fn config(&self) -> Option<&SamConfig> {
        self.config.as_deref()
    }

    /// Sets the config. [`Checkpoint::predictor`](crate::Checkpoint::predictor) does this by itself.
    #[must_use]
    pub fn with_config(self, config: SamConfig) -> Self {
        Self { config: Some(config.into()), ..self }
    }

    /// This model with another prompt encoder, for instance a learned one. Weights are shared, not copied.
    #[must_use]
    pub fn with_prompt_encoder(&self, prompt_encoder: PromptEncoder<B>) -> Self {
        self.with_sam(Sam { prompt_encoder, ..self.sam.clone() })
    }

    /// This model with another mask decoder, for instance a tuned one. Weights are shared, not copied.
    #[must_use]
    pub fn with_mask_decoder(&self, mask_decoder: MaskDecoder<B>) -> Self {
        self.with_sam(Sam { mask_decoder, ..self.sam.clone() })
    }

    /// This model with another prompt encoder, and a mask decoder of which only the token branch was trained.
    ///
    /// The token branch is the part of the two-way transformer that works on tokens. The decoder's projections of the position encoding are
    /// shared, not computed again. So the new prompt encoder must have the same position frequencies as this one, and the new decoder must
    /// project images in the same way. This is not checked. The ensemble is dropped.
    #[must_use]
    pub fn with_token_branch(&self, prompt_encoder: PromptEncoder<B>, mask_decoder: MaskDecoder<B>) -> Self {
        let sam = Sam { prompt_encoder, mask_decoder, ..self.sam.clone() };
        Self { sam, ensemble: Vec::new(), ..self.clone() }
    }

    /// Appends tokens to those of every prompt. They replace tokens from an earlier call.
    ///
    /// # Shapes
    /// - tokens: `[tokens, embed_dim]`
    ///
    /// # Errors
    /// [`CoreError::Prompt`] if the tokens are not as wide as the prompt encoder's.
    pub fn with_tokens(&self, tokens: Tensor<B, 2>) -> Result<Self, CoreError> {
        let (expected, [_, found]) = (self.sam.prompt_encoder.embed_dim(), tokens.dims());
        if found != expected {
            return Err(PromptError::TokenWidth { expected, found }.into());
        }
        Ok(Self { tokens: Some(tokens), ..self.clone() })
    }

    /// An ensemble of this model and others: predictions are the mean of their logits and of their predicted qualities.
    ///
    /// Only this model embeds images, so the others must have the same image encoder and preprocessing. This is not checked. The time of a
    /// prediction grows with the number of members.
    #[must_use]
    pub fn with_ensemble(&self, others: Vec<Self>) -> Self {
        Self { ensemble: others, ..self.clone() }
    }

    /// The other ensemble members; empty by default.
    pub fn ensemble(&self) -> &[Self] {
        &self.ensemble
    }

    /// Another model with this one's preprocessing, precision, tokens and metadata. The ensemble is dropped.
    fn with_sam(&self, sam: Sam<B>) -> Self {
        Self {
            precision: self.precision,
            tokens: self.tokens.clone(),
            weights_sha256: self.weights_sha256.clone(),
            config: self.config.clone(),
            ..Self::new(sam, self.preprocess)
        }
    }

    /// This model with its image encoder in another precision; prompts and masks stay in f32. Clones of this model do not change.
    ///
    /// It is faster where the backend computes in that precision: on CUDA, and on `burn_flex::Flex` with the feature `flex` in bf16 (see
    /// [`Precision::Bf16`]) if the processor has AMX or AVX512-BF16. Elsewhere it halves the memory and takes longer.
    ///
    /// # Errors
    /// [`CoreError::Rounded`] if the encoder is already in another half precision, because the lost bits cannot be restored.
    /// [`CoreError::PrecisionUnsupported`] if the image encoder is your own and supports no other precision.
    pub fn with_encoder_precision(mut self, precision: Precision) -> Result<Self, CoreError> {
        if precision != self.precision {
            if self.precision != Precision::F32 {
                return Err(CoreError::Rounded { found: self.precision, wanted: precision });
            }
            self.sam.image_encoder = self.sam.image_encoder.with_precision(precision)?;
        }
        self.precision = precision;
        Ok(self)
    }

    /// The precision of the image encoder.
    pub fn encoder_precision(&self) -> Precision {
        self.precision
    }

    /// The device of the model.
    pub fn device(&self) -> B::Device {
        self.positions.device()
    }

    /// Embeds an image. This is the slow step; it is needed once for each image.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]`, one channel or three, 8-bit levels; see [`Preprocess::apply`]
    ///
    /// Intensities in HU or scaled to 0 to 1 have another type, so they do not compile:
    ///
    /// ```compile_fail,E0308
    /// # use sam_core::{CoreError, ImageEmbedding, SamPredictor, burn::tensor::backend::Backend, ndarray::Array3};
    /// fn embed<B: Backend>(predictor: &SamPredictor<B>, scaled: &Array3<f32>) -> Result<ImageEmbedding<B>, CoreError> {
    ///     predictor.embed(scaled.view())
    /// }
    /// ```
    ///
    /// Convert them to 8-bit levels first; sam-data's `Window` does this for CT and MR:
    ///
    /// ```
    /// # use sam_core::{CoreError, ImageEmbedding, SamPredictor, burn::tensor::backend::Backend, ndarray::Array3};
    /// fn embed<B: Backend>(predictor: &SamPredictor<B>, scaled: &Array3<f32>) -> Result<ImageEmbedding<B>, CoreError> {
    ///     predictor.embed(scaled.mapv(|value| (255.0 * value).round() as u8).view())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image has another shape, or a side below 4 pixels; [`CoreError::OutputNotFinite`] if the encoder gives NaN
    /// or infinity.
    pub fn embed(&self, image: ArrayView3<'_, u8>) -> Result<ImageEmbedding<B>, CoreError> {
        self.embed_prepared(self.preprocess.apply(image)?)
    }

    /// Embeds the output of [`Preprocess::apply`].
    pub(crate) fn embed_prepared(&self, (input, frame): (Array3<f32>, Frame)) -> Result<ImageEmbedding<B>, CoreError> {
        Ok(ImageEmbedding::of_encoder(self.encode(&[input])?, frame))
    }

    /// Embeds images of any sizes in one pass of the encoder.
    ///
    /// # Shapes
    /// - images: each as in [`SamPredictor::embed`]
    ///
    /// # Errors
    /// [`CoreError::Image`] for the first invalid image; [`CoreError::OutputNotFinite`] as [`SamPredictor::embed`].
    pub fn embed_batch(&self, images: &[ArrayView3<'_, u8>]) -> Result<Vec<ImageEmbedding<B>>, CoreError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let prepared: Vec<_> = images.iter().map(|image| self.preprocess.apply(*image)).collect::<Result<_, _>>()?;
        let (inputs, frames): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let features = self.encode(&inputs)?.split(1, 0);
        Ok(features
            .into_iter()
            .zip(frames)
            .map(|(features, frame)| ImageEmbedding::of_encoder(features, frame))
            .collect())
    }

    /// The encoder's features of preprocessed inputs.
    fn encode(&self, inputs: &[Array3<f32>]) -> Result<Tensor<B, 4>, CoreError> {
        let side = self.preprocess.image_size;
        let pixels: Vec<f32> = inputs.iter().flatten().copied().collect();
        let input: Tensor<B, 4> =
            Tensor::from_data(TensorData::new(pixels, [inputs.len(), 3, side, side]), &self.device());
        let input = input.cast(between_products::<B>(self.precision).float());
        let features = channels_together(self.sam.image_encoder.forward(input).cast(FloatDType::F32));
        if is_tensor_finite(&features) { Ok(features) } else { Err(self.not_finite("features")) }
    }

    /// The error for an output that is NaN or infinite.
    fn not_finite(&self, what: &'static str) -> CoreError {
        let weights = self.weights_sha256().map(str::to_owned);
        CoreError::OutputNotFinite { what, weights, precision: self.precision }
    }

    /// Predicts one mask, for unambiguous or learned prompts.
    ///
    /// Several boxes are parts of one object: each box is decoded by itself, and the result is the maximum of their logits.
    ///
    /// # Errors
    /// [`CoreError::NoPrompt`]; [`CoreError::Prompt`] if a coordinate is outside the image or a mask prompt has the wrong size;
    /// [`CoreError::OutputNotFinite`] if the decoder gives NaN or infinity, which would otherwise be taken for background.
    pub fn predict(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_one(embedding, prompts, MaskOutput::Single)
    }

    /// Predicts several masks for an ambiguous prompt, each with its predicted quality.
    ///
    /// With several boxes, each is decoded by itself as in [`SamPredictor::predict`], and the best masks of all boxes are joined into one
    /// mask.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`].
    pub fn predict_multi(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_one(embedding, prompts, MaskOutput::Multi)
    }

    /// Predicts again with the best mask of an earlier prediction as mask prompt, and with more prompts if there are any.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`].
    pub fn refine(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        earlier: &MaskPrediction,
    ) -> Result<MaskPrediction, CoreError> {
        let mask = Some(earlier.low_res.index_axis(Axis(0), earlier.best()).to_owned());
        self.predict(embedding, &Prompts { mask, ..prompts.clone() })
    }
}

/// The same maps with each pixel's channels contiguous in memory.
///
/// The decoder reads pixel by pixel. In this layout it does not have to copy the features for each prompt.
fn channels_together<B: Backend>(features: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, channels, height, width] = features.dims();
    // Only a reshape of a permuted tensor moves the values.
    let by_pixel = features.permute([0, 2, 3, 1]).reshape([n, height * width, channels]);
    by_pixel.reshape([n, height, width, channels]).permute([0, 3, 1, 2])
}
