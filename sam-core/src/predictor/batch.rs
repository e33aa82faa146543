//! Batched prediction of many objects: prompts of equal composition are decoded together.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, backend::Backend};
use ndarray::{Array2, Array3};
use sam_prompt::{PromptBatch, Prompts};

use super::{ImageEmbedding, MaskPrediction, SamPredictor};
use crate::{
    CoreError, Frame,
    finite::are_finite,
    mask_decoder::{MaskLogits, MaskOutput},
    resize::postprocess_masks,
};

impl<B: Backend> SamPredictor<B> {
    pub(super) fn predict_one(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        Ok(self.predict_batch(&[(embedding, prompts)], output)?.remove(0))
    }

    /// Predicts many objects, on one image or on images of any sizes. Predictions are in the order of the requests.
    ///
    /// Prompts with the same number of points and boxes, the same mask and token sizes, and the same image frame are decoded together.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`], for the first invalid request.
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
            let (height, width) = embedding.frame().original;
            prompts.check(height, width)?;
            self.check_embedding(embedding)?;
            parts.extend(prompts.parts().into_iter().map(|prompts| Part { request, embedding: *embedding, prompts }));
        }
        let mut alike: BTreeMap<_, Vec<&Part<'_, B>>> = BTreeMap::new();
        for part in &parts {
            alike.entry(part.make_up()).or_default().push(part);
        }
        let mut predictions: Vec<Option<MaskPrediction>> = vec![None; requests.len()];
        for group in alike.values().flat_map(|group| group.chunks(PARTS_AT_ONCE)) {
            for (part, prediction) in group.iter().zip(self.decode(group, output)?) {
                // The masks of two parts have no common order, so only the best mask of each part is used.
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

    /// Rejects an embedding of another model, which has another shape.
    fn check_embedding(&self, embedding: &ImageEmbedding<B>) -> Result<(), CoreError> {
        let found = embedding.features().dims();
        let (height, width) = self.positions.size();
        if found[1..] == [self.sam.prompt_encoder.embed_dim(), height, width] {
            return Ok(());
        }
        Err(CoreError::Embedding {
            shape: found.to_vec(),
            reason: "this model reads another shape: embed the image with it",
        })
    }

    /// Decodes parts of equal composition: the mean of the ensemble's outputs.
    #[expect(clippy::expect_used, reason = "`convert` has just made the data f32")]
    fn decode(&self, parts: &[&Part<'_, B>], output: MaskOutput) -> Result<Vec<MaskPrediction>, CoreError> {
        let first = parts[0].embedding;
        let features = if parts.iter().all(|part| std::ptr::eq(part.embedding, first)) {
            first.features().clone()
        } else {
            Tensor::cat(parts.iter().map(|part| part.embedding.features().clone()).collect(), 0)
        };
        let mut masks = self.answer(parts, features.clone(), output)?;
        for member in &self.ensemble {
            let more = member.answer(parts, features.clone(), output)?;
            masks = MaskLogits { low_res: masks.low_res + more.low_res, iou: masks.iou + more.iou };
        }
        if !self.ensemble.is_empty() {
            let members = 1.0 + self.ensemble.len() as f64;
            masks = MaskLogits { low_res: masks.low_res / members, iou: masks.iou / members };
        }
        let iou = masks.iou.into_data().convert::<f32>();
        let iou = iou.as_slice::<f32>().expect("the data was converted to f32");
        let logits = to_arrays(postprocess_masks(masks.low_res.clone(), &first.frame()));
        let low_res = to_arrays(masks.low_res);
        // All masks of all callers come from here. NaN is not above the threshold, so it would be taken for background.
        if !are_finite(iou) || !low_res.iter().all(|masks| masks.as_slice().is_some_and(are_finite)) {
            return Err(self.not_finite("logits"));
        }
        let answers = logits.into_iter().zip(low_res).zip(iou.chunks_exact(iou.len() / parts.len()));
        Ok(answers.map(|((logits, low_res), iou)| MaskPrediction { logits, low_res, iou: iou.to_vec() }).collect())
    }

    /// Decodes with this model alone, without the other ensemble members.
    fn answer(
        &self,
        parts: &[&Part<'_, B>],
        features: Tensor<B, 4>,
        output: MaskOutput,
    ) -> Result<MaskLogits<B>, CoreError> {
        let prompts: Vec<_> = parts.iter().map(|part| (&part.prompts, part.embedding.frame().scale())).collect();
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

/// Maximum number of prompts decoded at once; more prompts need more memory and are not faster.
const PARTS_AT_ONCE: usize = 64;

/// One pass of the decoder: prompts with at most one box, on one image.
struct Part<'a, B: Backend> {
    /// Index of its request.
    request: usize,
    embedding: &'a ImageEmbedding<B>,
    prompts: Prompts,
}

/// The composition of a part; parts of equal composition are decoded in one batch.
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
            frame: self.embedding.frame(),
        }
    }
}

/// `[n, masks, rows, columns]` to `n` arrays.
#[expect(clippy::expect_used, reason = "`convert` has just made the data f32, and chunks have the length of one array")]
fn to_arrays<B: Backend>(masks: Tensor<B, 4>) -> Vec<Array3<f32>> {
    let [_, count, rows, columns] = masks.dims();
    let values = masks.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("the data was converted to f32");
    values
        .chunks_exact(count * rows * columns)
        .map(|one| Array3::from_shape_vec((count, rows, columns), one.to_vec()).expect("a chunk is one array long"))
        .collect()
}
