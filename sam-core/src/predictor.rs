//! Prediction: embed an image once, prompt it many times.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use ndarray::{Array2, Array3, ArrayView3, Axis, Zip};
use sam_prompt::{PromptBatch, PromptEncoder, Prompts};

use crate::{
    CoreError, Sam,
    image_encoder::ImageEncoder,
    mask_decoder::MaskOutput,
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

    /// The best mask, thresholded at logit 0: `[rows, columns]`.
    pub fn mask(&self) -> Array2<bool> {
        self.logits.index_axis(Axis(0), self.best()).mapv(|logit| logit > 0.0)
    }
}

/// A [`Sam`] with its preprocessing.
///
/// Source: `SamPredictor` in segment-anything's `predictor.py`.
#[derive(Debug, Clone)]
pub struct SamPredictor<B: Backend> {
    sam: Sam<B>,
    preprocess: Preprocess,
    /// Encoded once: it depends on the prompt encoder's fixed frequencies only.
    image_pe: Tensor<B, 4>,
}

impl<B: Backend> SamPredictor<B> {
    /// Joins a model and its preprocessing.
    pub fn new(sam: Sam<B>, preprocess: Preprocess) -> Self {
        let image_pe = sam.prompt_encoder.dense_pe();
        Self { sam, preprocess, image_pe }
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
        Self::new(Sam { prompt_encoder, ..self.sam.clone() }, self.preprocess)
    }

    /// The device that the model lives on.
    pub fn device(&self) -> B::Device {
        self.image_pe.device()
    }

    /// Embeds an image: slow, once for each image.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]`, one channel or three, 8-bit levels; see [`Preprocess::apply`]
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image cannot be read.
    pub fn embed(&self, image: ArrayView3<'_, f32>) -> Result<ImageEmbedding<B>, CoreError> {
        let (input, frame) = self.preprocess.apply(image)?;
        let side = self.preprocess.image_size;
        let pixels: Vec<f32> = input.iter().copied().collect();
        let input = Tensor::from_data(TensorData::new(pixels, [1, 3, side, side]), &self.device());
        let features = self.sam.image_encoder.forward(input);
        // The decoder reads pixel by pixel: with channels together in memory, no prompt has to copy the features again.
        let [n, channels, height, width] = features.dims();
        let by_pixel = features.permute([0, 2, 3, 1]).reshape([n, height * width, channels]);
        let features = by_pixel.reshape([n, height, width, channels]).permute([0, 3, 1, 2]);
        Ok(ImageEmbedding { features, frame })
    }

    /// Predicts one mask: what clear prompts and learned ones ask for.
    ///
    /// Several boxes are parts of one object: each is decoded by itself and the logits are joined by their maximum.
    ///
    /// # Errors
    /// [`CoreError::NoPrompt`]; [`CoreError::Prompt`] if a coordinate lies outside the image or a mask prompt has the wrong size.
    pub fn predict(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_as(embedding, prompts, MaskOutput::Single)
    }

    /// Predicts several masks for an ambiguous prompt, each with its predicted quality.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`].
    pub fn predict_multi(&self, embedding: &ImageEmbedding<B>, prompts: &Prompts) -> Result<MaskPrediction, CoreError> {
        self.predict_as(embedding, prompts, MaskOutput::Multi)
    }

    fn predict_as(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        if prompts.is_empty() {
            return Err(CoreError::NoPrompt);
        }
        let frame = &embedding.frame;
        prompts.check(frame.original.0, frame.original.1)?;
        let parts = prompts.parts();
        let count = parts.len() as f32;
        let mut predictions = parts.iter().map(|part| self.predict_part(embedding, part, output));
        let first = predictions.next().unwrap_or(Err(CoreError::NoPrompt))?;
        let mut joined = predictions.try_fold(first, |mut joined, part| {
            let part = part?;
            let keep_larger = |a: &mut f32, &b: &f32| *a = a.max(b);
            Zip::from(&mut joined.logits).and(&part.logits).for_each(keep_larger);
            Zip::from(&mut joined.low_res).and(&part.low_res).for_each(keep_larger);
            joined.iou.iter_mut().zip(part.iou).for_each(|(sum, iou)| *sum += iou);
            Ok::<_, CoreError>(joined)
        })?;
        joined.iou.iter_mut().for_each(|sum| *sum /= count);
        Ok(joined)
    }

    fn predict_part(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        let batch = PromptBatch::new(&[(prompts, embedding.frame.scale())], &self.device())?;
        let embedded = self.sam.prompt_encoder.forward(&batch)?;
        let masks = self.sam.mask_decoder.forward(embedding.features.clone(), self.image_pe.clone(), embedded, output);
        let logits = postprocess_masks(masks.low_res.clone(), &embedding.frame);
        Ok(MaskPrediction {
            logits: to_array(logits),
            low_res: to_array(masks.low_res),
            iou: masks.iou.into_data().iter::<f32>().collect(),
        })
    }
}

/// `[1, masks, rows, columns]` to an array without the first dimension.
fn to_array<B: Backend>(masks: Tensor<B, 4>) -> Array3<f32> {
    let [_, count, rows, columns] = masks.dims();
    let values: Vec<f32> = masks.into_data().iter::<f32>().collect();
    Array3::from_shape_vec((count, rows, columns), values).expect("a tensor holds as many values as its shape says")
}
