//! Prediction: embed an image once, prompt it many times.

use std::collections::BTreeMap;

use burn::tensor::{DType, FloatDType, Tensor, TensorData, backend::Backend};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip, s};
use sam_prompt::{PromptBatch, PromptEncoder, Prompts};

use crate::{
    CoreError, Sam,
    image_encoder::ImageEncoder,
    mask_decoder::{DecoderPositions, MaskDecoder, MaskLogits, MaskOutput},
    precision::{self, Precision, between_products},
    resize::postprocess_masks,
    transform::{Frame, Preprocess},
};

/// An embedded image: all that prediction needs to know of it.
///
/// There is no "image not set" state, and a cache is a map of these.
#[derive(Debug, Clone)]
pub struct ImageEmbedding<B: Backend> {
    /// The encoder's features: `[1, channels, h, w]`.
    pub features: Tensor<B, 4>,
    /// Where the image lies in the model's input.
    pub frame: Frame,
}

impl<B: Backend> ImageEmbedding<B> {
    /// Features rounded to f16, in f32 still: what an [`EmbeddingCache`](crate::EmbeddingCache) gives back by default.
    #[must_use]
    pub fn rounded_to_f16(self) -> Self {
        let device = self.features.device();
        // Not by the backend: burn-ndarray has no f16. Channels together, as the decoder reads them.
        let data = self.features.permute([0, 2, 3, 1]).into_data().convert_dtype(DType::F16).convert_dtype(DType::F32);
        Self { features: Tensor::from_data(data, &device).permute([0, 3, 1, 2]), frame: self.frame }
    }
}

/// Predicted masks of one object, on the image's own grid.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskPrediction {
    /// Logits, positive inside: `[masks, rows, columns]`.
    pub logits: Array3<f32>,
    /// The decoder's logits, to be fed back as a mask prompt: `[masks, 4 h, 4 w]`.
    pub low_res: Array3<f32>,
    /// Predicted intersection over union of each mask.
    pub iou: Vec<f32>,
}

impl MaskPrediction {
    /// The mask of the highest predicted IoU.
    pub fn best(&self) -> usize {
        (0..self.iou.len()).max_by(|&a, &b| self.iou[a].total_cmp(&self.iou[b])).unwrap_or(0)
    }

    /// How little each mask depends on the threshold: the area above `offset` over the area above `-offset`.
    ///
    /// NaN where the mask is empty even at `-offset`. Source: `calculate_stability_score` in segment-anything's `utils/amg.py`.
    pub fn stability(&self, offset: f32) -> Vec<f32> {
        let area =
            |mask: ArrayView2<'_, f32>, threshold| mask.iter().filter(|&&logit| logit > threshold).count() as f32;
        self.logits.outer_iter().map(|mask| area(mask, offset) / area(mask, -offset)).collect()
    }

    /// The best mask, thresholded at logit 0: `[rows, columns]`.
    pub fn mask(&self) -> Array2<bool> {
        self.logits.index_axis(Axis(0), self.best()).mapv(|logit| logit > 0.0)
    }

    /// The best mask alone.
    fn best_alone(self) -> Self {
        let best = self.best();
        let only = |masks: Array3<f32>| masks.slice_move(s![best..=best, .., ..]);
        Self { logits: only(self.logits), low_res: only(self.low_res), iou: vec![self.iou[best]] }
    }

    /// Two parts of one object as one: the larger of their logits, the sum of their predicted qualities.
    fn joined(mut self, other: Self) -> Self {
        let keep_larger = |a: &mut f32, &b: &f32| *a = a.max(b);
        Zip::from(&mut self.logits).and(&other.logits).for_each(keep_larger);
        Zip::from(&mut self.low_res).and(&other.low_res).for_each(keep_larger);
        self.iou.iter_mut().zip(other.iou).for_each(|(sum, iou)| *sum += iou);
        self
    }

    /// Predicted qualities summed over parts as their mean.
    fn mean_iou(mut self, parts: usize) -> Self {
        self.iou.iter_mut().for_each(|sum| *sum /= parts as f32);
        self
    }
}

/// A [`Sam`] with its preprocessing.
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
    /// Asked too; the mean of all logits is the answer.
    peers: Vec<Self>,
}

impl<B: Backend> SamPredictor<B> {
    /// Joins a model and its preprocessing.
    pub fn new(sam: Sam<B>, preprocess: Preprocess) -> Self {
        let positions = sam.mask_decoder.project_positions(sam.prompt_encoder.dense_pe());
        Self { sam, preprocess, precision: Precision::F32, positions, tokens: None, peers: Vec::new() }
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

    /// The same model with another, learned prompt encoder. Weights are shared, not copied.
    #[must_use]
    pub fn with_prompt_encoder(&self, prompt_encoder: PromptEncoder<B>) -> Self {
        self.with_sam(Sam { prompt_encoder, ..self.sam.clone() })
    }

    /// The same model with another, tuned mask decoder. Weights are shared, not copied.
    #[must_use]
    pub fn with_mask_decoder(&self, mask_decoder: MaskDecoder<B>) -> Self {
        self.with_sam(Sam { mask_decoder, ..self.sam.clone() })
    }

    /// The same model with another prompt encoder and another decoder that work on tokens differently and on images alike.
    ///
    /// What the decoder computes of the image's positions is shared too, not computed again. So the prompt encoder must have this
    /// one's position frequencies, and the decoder must project images as this one does; nothing checks it.
    #[must_use]
    pub fn with_token_side(&self, prompt_encoder: PromptEncoder<B>, mask_decoder: MaskDecoder<B>) -> Self {
        let sam = Sam { prompt_encoder, mask_decoder, ..self.sam.clone() };
        Self { sam, peers: Vec::new(), ..self.clone() }
    }

    /// The same model with further tokens behind those of every prompt, in place of any that were put there before.
    ///
    /// # Shapes
    /// - tokens: `[tokens, embed_dim]`
    ///
    /// # Panics
    /// Prediction does, if the tokens are not as wide as the prompt encoder's.
    #[must_use]
    pub fn with_tokens(&self, tokens: Tensor<B, 2>) -> Self {
        Self { tokens: Some(tokens), ..self.clone() }
    }

    /// The same model, asked together with others: the mean of their logits and of their predicted qualities is the answer.
    ///
    /// Images are embedded by this one alone, so the others must have its image encoder and its preprocessing; nothing checks it. A
    /// prediction takes as much longer as there are more of them.
    #[must_use]
    pub fn with_peers(&self, peers: Vec<Self>) -> Self {
        Self { peers, ..self.clone() }
    }

    /// Another model, prepared and prompted as this one.
    fn with_sam(&self, sam: Sam<B>) -> Self {
        Self { precision: self.precision, tokens: self.tokens.clone(), ..Self::new(sam, self.preprocess) }
    }

    /// The same model with its image encoder in another precision; prompts and masks stay in f32.
    ///
    /// Worth its while where the backend computes in it, as CUDA does, and `burn_flex::Flex` with the feature `flex` in bf16 (see
    /// [`Precision::Bf16`]) on a processor with AMX or AVX512-BF16; elsewhere it halves the memory and takes longer.
    ///
    /// # Errors
    /// [`CoreError::Rounded`] if the encoder is in another half precision already: what was rounded away does not come back.
    pub fn with_encoder_precision(mut self, precision: Precision) -> Result<Self, CoreError> {
        if precision != self.precision {
            if self.precision != Precision::F32 {
                return Err(CoreError::Rounded { found: self.precision, wanted: precision });
            }
            self.sam.image_encoder = precision::cast(self.sam.image_encoder, precision);
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
    /// # Errors
    /// [`CoreError::Image`] if the image cannot be read.
    pub fn embed(&self, image: ArrayView3<'_, f32>) -> Result<ImageEmbedding<B>, CoreError> {
        Ok(self.embed_prepared(self.preprocess.apply(image)?))
    }

    /// Embeds what [`Preprocess::apply`] made of an image.
    pub(crate) fn embed_prepared(&self, (input, frame): (Array3<f32>, Frame)) -> ImageEmbedding<B> {
        ImageEmbedding { features: self.encode(&[input]), frame }
    }

    /// Embeds images of any sizes in one pass of the encoder.
    ///
    /// # Shapes
    /// - images: each as in [`SamPredictor::embed`]
    ///
    /// # Errors
    /// [`CoreError::Image`] for the first image that cannot be read.
    pub fn embed_batch(&self, images: &[ArrayView3<'_, f32>]) -> Result<Vec<ImageEmbedding<B>>, CoreError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let prepared: Vec<_> = images.iter().map(|image| self.preprocess.apply(*image)).collect::<Result<_, _>>()?;
        let (inputs, frames): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let features = self.encode(&inputs).split(1, 0);
        Ok(features.into_iter().zip(frames).map(|(features, frame)| ImageEmbedding { features, frame }).collect())
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

    fn predict_one(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        Ok(self.predict_batch(&[(embedding, prompts)], output)?.remove(0))
    }

    /// Predicts many objects, on one image or on images of any sizes; the answers come in the order of the requests.
    ///
    /// Prompts of equal make-up are decoded together.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`], for the first request that is at fault.
    pub fn predict_batch(
        &self,
        requests: &[(&ImageEmbedding<B>, &Prompts)],
        output: MaskOutput,
    ) -> Result<Vec<MaskPrediction>, CoreError> {
        let mut parts = Vec::new();
        for (request, (embedding, prompts)) in requests.iter().enumerate() {
            if prompts.is_empty() {
                return Err(CoreError::NoPrompt);
            }
            let (height, width) = embedding.frame.original;
            prompts.check(height, width)?;
            parts.extend(prompts.parts().into_iter().map(|prompts| Part { request, embedding: *embedding, prompts }));
        }
        let mut alike: BTreeMap<_, Vec<&Part<'_, B>>> = BTreeMap::new();
        for part in &parts {
            alike.entry(part.make_up()).or_default().push(part);
        }
        let mut predictions: Vec<Option<MaskPrediction>> = vec![None; requests.len()];
        for group in alike.values().flat_map(|group| group.chunks(PARTS_AT_ONCE)) {
            for (part, prediction) in group.iter().zip(self.decode(group, output)?) {
                // The masks of two parts do not come in a common order.
                let is_one_of_several = requests[part.request].1.boxes.len() > 1;
                let prediction = if is_one_of_several { prediction.best_alone() } else { prediction };
                let known = &mut predictions[part.request];
                *known = Some(match known.take() {
                    Some(known) => known.joined(prediction),
                    None => prediction,
                });
            }
        }
        let counts = requests.iter().map(|(_, prompts)| prompts.boxes.len().max(1));
        Ok(predictions
            .into_iter()
            .flatten()
            .zip(counts)
            .map(|(prediction, parts)| prediction.mean_iou(parts))
            .collect())
    }

    /// The mean answer to parts of equal make-up.
    fn decode(&self, parts: &[&Part<'_, B>], output: MaskOutput) -> Result<Vec<MaskPrediction>, CoreError> {
        let first = parts[0].embedding;
        let features = if parts.iter().all(|part| std::ptr::eq(part.embedding, first)) {
            first.features.clone()
        } else {
            Tensor::cat(parts.iter().map(|part| part.embedding.features.clone()).collect(), 0)
        };
        let mut masks = self.answer(parts, features.clone(), output)?;
        for peer in &self.peers {
            let more = peer.answer(parts, features.clone(), output)?;
            masks = MaskLogits { low_res: masks.low_res + more.low_res, iou: masks.iou + more.iou };
        }
        if !self.peers.is_empty() {
            let members = 1.0 + self.peers.len() as f64;
            masks = MaskLogits { low_res: masks.low_res / members, iou: masks.iou / members };
        }
        let iou = masks.iou.into_data().convert::<f32>();
        let iou = iou.as_slice::<f32>().expect("the data was converted to f32");
        let logits = to_arrays(postprocess_masks(masks.low_res.clone(), &first.frame));
        let answers = logits.into_iter().zip(to_arrays(masks.low_res)).zip(iou.chunks_exact(iou.len() / parts.len()));
        Ok(answers.map(|((logits, low_res), iou)| MaskPrediction { logits, low_res, iou: iou.to_vec() }).collect())
    }

    /// This model's own answer, its peers not asked.
    fn answer(
        &self,
        parts: &[&Part<'_, B>],
        features: Tensor<B, 4>,
        output: MaskOutput,
    ) -> Result<MaskLogits<B>, CoreError> {
        let prompts: Vec<_> = parts.iter().map(|part| (&part.prompts, part.embedding.frame.scale())).collect();
        let embedded = self.sam.prompt_encoder.forward(&PromptBatch::new(&prompts, &self.device())?)?;
        let embedded = match &self.tokens {
            Some(tokens) => embedded.with_tokens(tokens.clone()),
            None => embedded,
        };
        let decoder = &self.sam.mask_decoder;
        let image = decoder.project(features, &self.positions);
        Ok(decoder.decode(image, &self.positions, embedded, output))
    }
}

/// At most this many prompts are decoded at once: more need more memory and gain no speed.
const PARTS_AT_ONCE: usize = 64;

/// What one pass of the decoder answers: one box at most, on one image.
struct Part<'a, B: Backend> {
    /// The request that it belongs to.
    request: usize,
    embedding: &'a ImageEmbedding<B>,
    prompts: Prompts,
}

/// Parts that are alike in this fit into one batch.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct MakeUp {
    points: usize,
    boxes: usize,
    mask: Option<(usize, usize)>,
    tokens: Option<(usize, usize)>,
    frame: Frame,
}

impl<B: Backend> Part<'_, B> {
    fn make_up(&self) -> MakeUp {
        let Prompts { points, boxes, mask, tokens } = &self.prompts;
        let size = |values: &Option<Array2<f32>>| values.as_ref().map(Array2::dim);
        MakeUp {
            points: points.len(),
            boxes: boxes.len(),
            mask: size(mask),
            tokens: size(tokens),
            frame: self.embedding.frame,
        }
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

/// `[n, masks, rows, columns]` to `n` arrays.
fn to_arrays<B: Backend>(masks: Tensor<B, 4>) -> Vec<Array3<f32>> {
    let [_, count, rows, columns] = masks.dims();
    let values = masks.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("the data was converted to f32");
    values
        .chunks_exact(count * rows * columns)
        .map(|one| Array3::from_shape_vec((count, rows, columns), one.to_vec()).expect("a chunk is one array long"))
        .collect()
}
