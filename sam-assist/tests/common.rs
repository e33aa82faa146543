//! A tiny SAM, slices for it, and a prompt card.

use std::collections::BTreeMap;

use burn_flex::{Flex, FlexDevice};
use burn_store::ModuleSnapshot;
use ndarray::Array2;
use sam_assist::{Adaptation, AnnotatedSlice, AssistConfig, CardMetadata, PromptCard, TrainingSlices, learn};
use sam_core::{ImageEmbedding, Sam, SamConfig, SamPredictor, ViTConfig};
use sam_prompt::{Label, Point, Prompts, progress::ignore_progress};

pub(crate) type B = Flex;
pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;
pub(crate) type Values = BTreeMap<String, Vec<f32>>;

/// Stands for the SHA-256 of the weights.
pub(crate) const WEIGHTS: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";

/// The configuration of the tiny SAM.
pub(crate) fn model() -> SamConfig {
    SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64))
}

/// A tiny SAM of random weights.
pub(crate) fn predictor() -> TestResult<SamPredictor<B>> {
    let sam = model().init(&FlexDevice);
    // burn draws weights at their first use: drawn here, all clones share them.
    values(&sam)?;
    Ok(SamPredictor::new(sam, model().preprocess).with_weights_sha256(WEIGHTS))
}

/// Every tensor of a model's prompt encoder and mask decoder by its name; nothing changes image encoders.
pub(crate) fn values(sam: &Sam<B>) -> TestResult<Values> {
    let prompts = sam.prompt_encoder.collect(None, None, false).into_iter().map(|tensor| ("prompt_encoder", tensor));
    let decoder = sam.mask_decoder.collect(None, None, false).into_iter().map(|tensor| ("mask_decoder", tensor));
    let read = |(part, tensor): (&str, burn_store::TensorSnapshot)| {
        let name = format!("{part}.{}", tensor.full_path());
        let data = tensor.to_data().map_err(|error| format!("{name}: {error:?}"))?;
        Ok((name, data.iter::<f32>().collect()))
    };
    prompts.chain(decoder).map(read).collect()
}

/// An embedded image of 40 x 50 pixels.
pub(crate) fn embed(predictor: &SamPredictor<B>, image: &Array2<u8>) -> TestResult<ImageEmbedding<B>> {
    Ok(predictor.embed(image.view().insert_axis(ndarray::Axis(2)))?)
}

/// Slices with a bright square each, a little further right on each.
pub(crate) fn slices(predictor: &SamPredictor<B>, count: usize) -> TestResult<Vec<AnnotatedSlice<B>>> {
    let slice = |number: usize| {
        let outline = Array2::from_shape_fn((40, 50), |(row, column)| {
            (10..25).contains(&row) && (12 + 4 * number..28 + 4 * number).contains(&column)
        });
        let image = outline.mapv(|inside| if inside { 200 } else { 20 });
        Ok(AnnotatedSlice::new(number, embed(predictor, &image)?, outline)?)
    };
    (0..count).map(slice).collect()
}

/// A slice on which the structure is absent.
pub(crate) fn empty_slice(predictor: &SamPredictor<B>, index: usize) -> TestResult<AnnotatedSlice<B>> {
    let embedding = embed(predictor, &Array2::from_elem((40, 50), 20))?;
    Ok(AnnotatedSlice::new(index, embedding, Array2::from_elem((40, 50), false))?)
}

/// An embedded image with a texture.
pub(crate) fn texture(predictor: &SamPredictor<B>) -> TestResult<ImageEmbedding<B>> {
    embed(predictor, &Array2::from_shape_fn((40, 50), |(row, column)| (row * column % 256) as u8))
}

pub(crate) fn clicks() -> Prompts {
    let at = |x, y, label| Point { x, y, label };
    Prompts::from_points(vec![at(12.0, 20.0, Label::Foreground), at(40.0, 5.0, Label::Background)])
}

/// Metadata of a card that was learned from this model.
pub(crate) fn metadata(structure: &str) -> CardMetadata {
    let training = TrainingSlices::new("scan.nii.gz", "axial", vec![31, 40], 3);
    let learning = AssistConfig::mixed().prompt_encoder_only().with_learning_rate(0.1 + 0.2).with_seed(u64::MAX);
    CardMetadata::new(structure, "abdomen", model(), WEIGHTS, learning, training)
        .with_self_check_dice(Some(0.912_345_678_901_234_5))
        .with_created(Some("2024-05-06".to_owned()))
}

/// What two steps teach.
pub(crate) fn learned(predictor: &SamPredictor<B>, learning: &AssistConfig) -> TestResult<Adaptation<B>> {
    let outline =
        Array2::from_shape_fn((40, 50), |(row, column)| (10..25).contains(&row) && (12..28).contains(&column));
    let slices = [AnnotatedSlice::new(0, texture(predictor)?, outline)?];
    let config = learning.clone().with_iterations(2).with_decoder_rate(1e-2);
    Ok(learn(predictor, &slices, &config, &mut ignore_progress())?.adaptation)
}

/// A card of what two steps teach.
pub(crate) fn card_of(predictor: &SamPredictor<B>, structure: &str, learning: AssistConfig) -> TestResult<PromptCard> {
    let adaptation = learned(predictor, &learning)?;
    Ok(PromptCard::of(metadata(structure).with_learning(learning), &adaptation)?)
}

pub(crate) fn card(structure: &str) -> TestResult<PromptCard> {
    card_of(&predictor()?, structure, metadata(structure).learning)
}
