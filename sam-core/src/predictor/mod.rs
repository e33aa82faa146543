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
    mask_decoder::{DecoderPositions, MaskDecoder, MaskOutput},
    precision::{Precision, between_products},
    transform::{Frame, Preprocess},
};

pub use embedding::ImageEmbedding;
pub use prediction::MaskPrediction;

/// A [`Sam`] with its preprocessing.
///
/// Clones share the weights, and nothing that is done to a clone changes the original. One predictor may answer many threads at once.
///
/// Source: `SamPredictor` in segment-anything's `predictor.py`.
#[derive(Debug, Clone)]
pub struct SamPredictor<B: Backend> {
    sam: Sam<B>,
    preprocess: Preprocess,
    /// The image encoder's.
    precision: Precision,
    /// Computed once: they depend on the prompt encoder's fixed frequencies and the decoder only.
    positions: DecoderPositions<B>,
    /// Put behind the tokens of every prompt: `[tokens, embed_dim]`.
    tokens: Option<Tensor<B, 2>>,
    /// The other members of the ensemble; the mean of all logits is the answer.
    ensemble: Vec<Self>,
    /// Of the checkpoint, in hexadecimal.
    weights_sha256: Option<Arc<str>>,
    /// Of the checkpoint.
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

    /// What the decoder computes of the image's positions, once for all images and prompts.
    pub fn positions(&self) -> &DecoderPositions<B> {
        &self.positions
    }

    /// The model.
    pub fn sam(&self) -> &Sam<B> {
        &self.sam
    }

    /// How images are prepared.
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// SHA-256 of the checkpoint that the model was loaded from, in hexadecimal; `None` if that is unknown.
    ///
    /// It stays the same when a part of the model is replaced by a learned one: it tells which image encoder embeds.
    pub fn weights_sha256(&self) -> Option<&str> {
        self.weights_sha256.as_deref()
    }

    /// This predictor, told the SHA-256 of its weights. [`Checkpoint::predictor`](crate::Checkpoint::predictor) does this by itself.
    ///
    /// Embeddings on disk are kept under it, so two models must not have one hash; nothing checks it.
    #[must_use]
    pub fn with_weights_sha256(self, sha256: &str) -> Self {
        Self { weights_sha256: Some(sha256.into()), ..self }
    }

    /// Configuration of the checkpoint that the model was loaded from; `None` if that is unknown.
    pub fn config(&self) -> Option<&SamConfig> {
        self.config.as_deref()
    }

    /// This predictor, told its configuration. [`Checkpoint::predictor`](crate::Checkpoint::predictor) does this by itself.
    #[must_use]
    pub fn with_config(self, config: SamConfig) -> Self {
        Self { config: Some(config.into()), ..self }
    }

    /// This model with another, learned prompt encoder. Weights are shared, not copied.
    #[must_use]
    pub fn with_prompt_encoder(&self, prompt_encoder: PromptEncoder<B>) -> Self {
        self.with_sam(Sam { prompt_encoder, ..self.sam.clone() })
    }

    /// This model with another, tuned mask decoder. Weights are shared, not copied.
    #[must_use]
    pub fn with_mask_decoder(&self, mask_decoder: MaskDecoder<B>) -> Self {
        self.with_sam(Sam { mask_decoder, ..self.sam.clone() })
    }

    /// This model with another prompt encoder and a decoder whose token branch alone was trained.
    ///
    /// The token branch is all of the two-way transformer that works on tokens. What the decoder computes of the image's positions is
    /// shared and not computed again, so the prompt encoder must have this one's position frequencies, and the decoder must project
    /// images as this one does; nothing checks it. The ensemble is dropped.
    #[must_use]
    pub fn with_token_branch(&self, prompt_encoder: PromptEncoder<B>, mask_decoder: MaskDecoder<B>) -> Self {
        let sam = Sam { prompt_encoder, mask_decoder, ..self.sam.clone() };
        Self { sam, ensemble: Vec::new(), ..self.clone() }
    }

    /// This model with further tokens behind those of every prompt, in place of any that were put there before.
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

    /// An ensemble of this model and others: the mean of their logits and of their predicted qualities is the answer.
    ///
    /// Images are embedded by this one alone, so the others must have its image encoder and its preprocessing; nothing checks it. The
    /// time of a prediction grows with the number of members.
    #[must_use]
    pub fn with_ensemble(&self, others: Vec<Self>) -> Self {
        Self { ensemble: others, ..self.clone() }
    }

    /// The other members of the ensemble, none by default.
    pub fn ensemble(&self) -> &[Self] {
        &self.ensemble
    }

    /// Another model, prepared and prompted as this one.
    fn with_sam(&self, sam: Sam<B>) -> Self {
        Self {
            precision: self.precision,
            tokens: self.tokens.clone(),
            weights_sha256: self.weights_sha256.clone(),
            config: self.config.clone(),
            ..Self::new(sam, self.preprocess)
        }
    }

    /// This model with its image encoder in another precision; prompts and masks stay in f32. Clones of this model stay as they are.
    ///
    /// Worth its while where the backend computes in it, as CUDA does, and `burn_flex::Flex` with the feature `flex` in bf16 (see
    /// [`Precision::Bf16`]) on a processor with AMX or AVX512-BF16; elsewhere it halves the memory and takes longer.
    ///
    /// # Errors
    /// [`CoreError::Rounded`] if the encoder is in another half precision already: what was rounded away does not come back.
    /// [`CoreError::PrecisionUnsupported`] if the image encoder is one of your own that knows no other precision.
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

    /// What the image encoder computes in.
    pub fn encoder_precision(&self) -> Precision {
        self.precision
    }

    /// The device that the model lives on.
    pub fn device(&self) -> B::Device {
        self.positions.device()
    }

    /// Embeds an image: slow, once for each image.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]`, one channel or three, 8-bit levels; see [`Preprocess::apply`]
    ///
    /// Intensities in HU, or scaled to 0 to 1, are of another type and do not compile:
    ///
    /// ```compile_fail,E0308
    /// # use sam_core::{CoreError, ImageEmbedding, SamPredictor, burn::tensor::backend::Backend, ndarray::Array3};
    /// fn embed<B: Backend>(predictor: &SamPredictor<B>, scaled: &Array3<f32>) -> Result<ImageEmbedding<B>, CoreError> {
    ///     predictor.embed(scaled.view())
    /// }
    /// ```
    ///
    /// Bring them to levels first; sam-data's `Window` does it for CT and MR:
    ///
    /// ```
    /// # use sam_core::{CoreError, ImageEmbedding, SamPredictor, burn::tensor::backend::Backend, ndarray::Array3};
    /// fn embed<B: Backend>(predictor: &SamPredictor<B>, scaled: &Array3<f32>) -> Result<ImageEmbedding<B>, CoreError> {
    ///     predictor.embed(scaled.mapv(|value| (255.0 * value).round() as u8).view())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image has another shape, or a side below 4 pixels.
    pub fn embed(&self, image: ArrayView3<'_, u8>) -> Result<ImageEmbedding<B>, CoreError> {
        Ok(self.embed_prepared(self.preprocess.apply(image)?))
    }

    /// Embeds what [`Preprocess::apply`] made of an image.
    pub(crate) fn embed_prepared(&self, (input, frame): (Array3<f32>, Frame)) -> ImageEmbedding<B> {
        ImageEmbedding::of_encoder(self.encode(&[input]), frame)
    }

    /// Embeds images of any sizes in one pass of the encoder.
    ///
    /// # Shapes
    /// - images: each as in [`SamPredictor::embed`]
    ///
    /// # Errors
    /// [`CoreError::Image`] for the first image that cannot be read.
    pub fn embed_batch(&self, images: &[ArrayView3<'_, u8>]) -> Result<Vec<ImageEmbedding<B>>, CoreError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let prepared: Vec<_> = images.iter().map(|image| self.preprocess.apply(*image)).collect::<Result<_, _>>()?;
        let (inputs, frames): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let features = self.encode(&inputs).split(1, 0);
        Ok(features
            .into_iter()
            .zip(frames)
            .map(|(features, frame)| ImageEmbedding::of_encoder(features, frame))
            .collect())
    }

    /// The encoder's features of prepared inputs.
    fn encode(&self, inputs: &[Array3<f32>]) -> Tensor<B, 4> {
        let side = self.preprocess.image_size;
        let pixels: Vec<f32> = inputs.iter().flatten().copied().collect();
        let input: Tensor<B, 4> =
            Tensor::from_data(TensorData::new(pixels, [inputs.len(), 3, side, side]), &self.device());
        let input = input.cast(between_products::<B>(self.precision).float());
        channels_together(self.sam.image_encoder.forward(input).cast(FloatDType::F32))
    }

    /// Predicts one mask: what clear prompts and learned ones ask for.
    ///
    /// Several boxes are parts of one object: each is decoded by itself and the logits are joined by their maximum.
    ///
    /// # Errors
    /// [`CoreError::NoPrompt`]; [`CoreError::Prompt`] if a coordinate lies outside the image or a mask prompt has the wrong size.
    pub fn predict(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_one(embedding, prompts, MaskOutput::Single)
    }

    /// Predicts several masks for an ambiguous prompt, each with its predicted quality.
    ///
    /// Of several boxes, each is decoded by itself as in [`SamPredictor::predict`]; joined is the best mask of each, so that there
    /// is one answer.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`].
    pub fn predict_multi(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_one(embedding, prompts, MaskOutput::Multi)
    }

    /// Predicts once more with an earlier prediction's best mask fed back, and perhaps with more prompts.
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

/// The same maps with each pixel's channels side by side in memory.
///
/// The decoder reads pixel by pixel: laid out like this, no prompt has to copy the features again.
fn channels_together<B: Backend>(features: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, channels, height, width] = features.dims();
    // Only a reshape of a permuted tensor moves the values.
    let by_pixel = features.permute([0, 2, 3, 1]).reshape([n, height * width, channels]);
    by_pixel.reshape([n, height, width, channels]).permute([0, 3, 1, 2])
}
