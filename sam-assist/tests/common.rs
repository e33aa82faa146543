//! Slices for a tiny SAM, and a prompt card.

use std::collections::BTreeMap;

use ndarray::Array2;
use sam_assist::{AnnotatedSlice, PromptCard};
use sam_core::{ImageEmbedding, Sam, SamPredictor};
use sam_prompt::{Label, Point, Prompts};
use sam_testing::{
    B, TestResult,
    card::{WEIGHTS, card_of, metadata},
    golden::parameters,
    tiny::{self, SIZE, nothing, rectangle},
};

pub(crate) type Values = BTreeMap<String, Vec<f32>>;

/// A tiny SAM of random weights.
pub(crate) fn predictor() -> SamPredictor<B> {
    tiny::random().with_weights_sha256(WEIGHTS)
}

/// Every tensor of a model's prompt encoder and mask decoder, by name. Learning never changes the image encoder.
pub(crate) fn values(sam: &Sam<B>) -> TestResult<Values> {
    let of = |part: &str, values: Values| {
        values.into_iter().map(|(name, values)| (format!("{part}.{name}"), values)).collect::<Vec<_>>()
    };
    let prompts = of("prompt_encoder", parameters(&sam.prompt_encoder)?);
    Ok(prompts.into_iter().chain(of("mask_decoder", parameters(&sam.mask_decoder)?)).collect())
}

/// An embedded image of 40 x 50 pixels.
pub(crate) fn embed(predictor: &SamPredictor<B>, image: &Array2<u8>) -> TestResult<ImageEmbedding<B>> {
    Ok(predictor.embed(image.view().insert_axis(ndarray::Axis(2)))?)
}

/// Slices with a bright square each. The square moves to the right from slice to slice.
pub(crate) fn slices(predictor: &SamPredictor<B>, count: usize) -> TestResult<Vec<AnnotatedSlice<B>>> {
    let slice = |number: usize| {
        let outline = rectangle(10..25, 12 + 4 * number..28 + 4 * number);
        let image = outline.mapv(|inside| if inside { 200 } else { 20 });
        Ok(AnnotatedSlice::new(number, embed(predictor, &image)?, outline)?)
    };
    (0..count).map(slice).collect()
}

/// A slice on which the structure is absent.
pub(crate) fn empty_slice(predictor: &SamPredictor<B>, index: usize) -> TestResult<AnnotatedSlice<B>> {
    let embedding = embed(predictor, &Array2::from_elem(SIZE, 20))?;
    Ok(AnnotatedSlice::new(index, embedding, nothing())?)
}

/// An embedded image with a texture.
pub(crate) fn texture(predictor: &SamPredictor<B>) -> TestResult<ImageEmbedding<B>> {
    Ok(predictor.embed(tiny::texture().view())?)
}

pub(crate) fn clicks() -> Prompts {
    let at = |x, y, label| Point { x, y, label };
    Prompts::from_points(vec![at(12.0, 20.0, Label::Foreground), at(40.0, 5.0, Label::Background)])
}

pub(crate) fn card(structure: &str) -> TestResult<PromptCard> {
    card_of(&predictor(), structure, metadata(structure).learning)
}
