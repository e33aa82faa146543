//! Prompt learning (paper Eq. 1): only the prompt encoder changes, prompts are drawn anew in each iteration.

use std::{ops::ControlFlow, time::Instant};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    optim::{AdamWConfig, GradientsParams, Optimizer},
    tensor::{ElementConversion, Tensor, TensorData, backend::Backend},
};
use ndarray::Array2;
use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use sam_core::{ImageEmbedding, ProjectedImage, SamPredictor};
use sam_prompt::{Label, PointSampler, PromptBatch, PromptEncoder, PromptKind, Prompts, Uniform, component_masks};

use crate::{
    AssistConfig, AssistError, FrozenDecoder, LearnedKind,
    loss::{binary_cross_entropy, dice_loss},
    target::low_res_target,
};

/// A slice that a person has outlined.
#[derive(Debug, Clone)]
pub struct AnnotatedSlice<B: Backend> {
    embedding: ImageEmbedding<B>,
    outline: Array2<bool>,
    /// The outline's components, largest first: each may get a box.
    parts: Vec<Array2<bool>>,
}

impl<B: Backend> AnnotatedSlice<B> {
    /// Joins an embedded slice and its outline.
    ///
    /// # Shapes
    /// - outline: `[rows, columns]` of the image that was embedded
    ///
    /// # Errors
    /// [`AssistError::OutlineSize`] if the sizes differ; [`AssistError::EmptyOutline`].
    pub fn new(embedding: ImageEmbedding<B>, outline: Array2<bool>) -> Result<Self, AssistError> {
        let (slice_rows, slice_columns) = embedding.frame.original;
        let (outline_rows, outline_columns) = outline.dim();
        if (outline_rows, outline_columns) != (slice_rows, slice_columns) {
            return Err(AssistError::OutlineSize { outline_rows, outline_columns, slice_rows, slice_columns });
        }
        let parts = component_masks(outline.view(), 1);
        if parts.is_empty() {
            return Err(AssistError::EmptyOutline);
        }
        Ok(Self { embedding, outline, parts })
    }
}

/// Where learning stands; told to the observer after each iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The iteration just done, counted from 0.
    pub iteration: usize,
    /// How many there will be.
    pub iterations: usize,
    /// Its loss.
    pub loss: f32,
}

/// What came out of learning.
#[derive(Debug, Clone)]
pub struct Learned<B: Backend> {
    /// The learned prompt encoder.
    pub prompt_encoder: PromptEncoder<B>,
    /// The loss of each iteration.
    pub losses: Vec<f32>,
    /// How long it took, embeddings not included.
    pub seconds: f64,
}

/// Learns a prompt encoder from annotated slices.
///
/// The observer is called after each iteration; [`ControlFlow::Break`] stops there and keeps what was learned.
///
/// # Errors
/// [`AssistError::NoSlices`]; [`AssistError::Config`]; [`AssistError::Diverged`] if the loss is not finite.
pub fn learn<B: Backend>(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Learned<B>, AssistError> {
    config.check()?;
    if slices.is_empty() {
        return Err(AssistError::NoSlices);
    }
    let started = Instant::now();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let (decoder, device) = (FrozenDecoder::new(predictor.sam()), predictor.device());
    let images: Vec<_> = slices.iter().map(|slice| decoder.project(slice.embedding.features.clone())).collect();
    let mut prompt_encoder =
        PromptEncoder::<Autodiff<B>>::from_inner(predictor.sam().prompt_encoder.clone()).trainable();
    let mut optimiser = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay as f32).init();
    let mut losses = Vec::with_capacity(config.iterations);

    for iteration in 0..config.iterations {
        let samples = draw(slices, iteration, config, &mut rng)?;
        let masks = decoder.forward(&prompt_encoder, image(&samples, &images), &batch(&samples, &device)?)?;
        let target = Tensor::from_inner(target(&samples, masks.low_res.dims()[2], &device));
        let loss = dice_loss(masks.low_res.clone(), target.clone()) * config.dice_weight
            + binary_cross_entropy(masks.low_res, target);
        let value = loss.clone().into_scalar().elem::<f32>();
        let learning_rate = config.rate(iteration);
        if !value.is_finite() {
            return Err(AssistError::Diverged { iteration, loss: value, learning_rate });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &prompt_encoder);
        prompt_encoder = optimiser.step(learning_rate, prompt_encoder, gradients);
        losses.push(value);
        if observer(Progress { iteration, iterations: config.iterations, loss: value }).is_break() {
            break;
        }
    }
    Ok(Learned { prompt_encoder: prompt_encoder.valid(), losses, seconds: started.elapsed().as_secs_f64() })
}

/// One prompt of a step, and what it should be answered with.
struct Sample<'a, B: Backend> {
    /// Which of the slices it is.
    index: usize,
    slice: &'a AnnotatedSlice<B>,
    prompts: Prompts,
    answer: &'a Array2<bool>,
}

/// Draws the slices of one step and a prompt for each, all of one make-up.
fn draw<'a, B: Backend>(
    slices: &'a [AnnotatedSlice<B>],
    iteration: usize,
    config: &AssistConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Sample<'a, B>>, AssistError> {
    let count = rng.random_range(config.points.0..=config.points.1);
    let (with_box, points) = match (config.kind, iteration % 3) {
        (LearnedKind::Points, _) | (LearnedKind::Mixed, 0) => (false, count),
        (LearnedKind::Boxes, _) | (LearnedKind::Mixed, 1) => (true, 0),
        (LearnedKind::Mixed, _) => (true, count),
    };
    // An object may have fewer pixels than points are asked for.
    let sampler = Uniform { replacement: true };
    let chosen = index::sample(rng, slices.len(), config.slices_per_step.min(slices.len()));
    let sample = |index: usize, rng: &mut ChaCha8Rng| {
        let slice = &slices[index];
        // A box speaks of one component; points alone, of the whole object.
        let answer = if with_box { draw_part(&slice.parts, rng) } else { &slice.outline };
        let boxes =
            if with_box { config.draw.draw(PromptKind::Box, answer.view(), &sampler, rng)?.boxes } else { Vec::new() };
        let mut clicks = sampler.sample(answer.view(), Label::Foreground, points, rng)?;
        let outside = slice.outline.mapv(|inside| !inside);
        clicks.extend(sampler.sample(outside.view(), Label::Background, points, rng)?);
        Ok(Sample { index, slice, prompts: Prompts { points: clicks, boxes, ..Prompts::default() }, answer })
    };
    chosen.into_iter().map(|index| sample(index, rng)).collect()
}

/// One of the components, the larger the likelier.
fn draw_part<'a>(parts: &'a [Array2<bool>], rng: &mut ChaCha8Rng) -> &'a Array2<bool> {
    let pixels = |part: &Array2<bool>| part.iter().filter(|&&inside| inside).count();
    let mut remaining = rng.random_range(0..parts.iter().map(pixels).sum::<usize>().max(1));
    parts
        .iter()
        .find(|part| {
            let size = pixels(part);
            let here = remaining < size;
            remaining = remaining.saturating_sub(size);
            here
        })
        .unwrap_or(&parts[0])
}

/// The samples' images, one after the other.
fn image<B: Backend>(samples: &[Sample<'_, B>], images: &[ProjectedImage<B>]) -> ProjectedImage<B> {
    ProjectedImage::cat(&samples.iter().map(|sample| &images[sample.index]).collect::<Vec<_>>())
}

/// The samples' prompts, each in its own slice's frame.
fn batch<B: Backend>(samples: &[Sample<'_, B>], device: &B::Device) -> Result<PromptBatch<Autodiff<B>>, AssistError> {
    let prompts: Vec<_> =
        samples.iter().map(|sample| (&sample.prompts, sample.slice.embedding.frame.scale())).collect();
    Ok(PromptBatch::new(&prompts, device)?)
}

/// The samples' answers on the grid of the low-res logits: `[n, 1, side, side]`.
fn target<B: Backend>(samples: &[Sample<'_, B>], side: usize, device: &B::Device) -> Tensor<B, 4> {
    let values = samples
        .iter()
        .flat_map(|sample| low_res_target(sample.answer.view(), &sample.slice.embedding.frame, side))
        .collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, [samples.len(), 1, side, side]), device)
}
