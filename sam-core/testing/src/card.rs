//! Prompt cards of the tiny SAM.

use sam_assist::{Adaptation, AssistConfig, AssistError, CardMetadata, PromptCard, TrainingSlices, learn};
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::progress::ignore_progress;

use crate::{
    B, TestResult,
    tiny::{self, rectangle, texture},
};

/// A dummy SHA-256 of the weights.
pub const WEIGHTS: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";

/// Metadata of a card that was learned from the tiny SAM.
pub fn metadata(structure: &str) -> CardMetadata {
    let training = TrainingSlices::new("scan.nii.gz", "axial", vec![31, 40], 3);
    let learning = AssistConfig::mixed().prompt_encoder_only().with_learning_rate(0.1 + 0.2).with_seed(u64::MAX);
    CardMetadata::new(structure, "abdomen", tiny::config(), WEIGHTS, learning, training)
        .with_self_check_dice(Some(0.912_345_678_901_234_5))
        .with_created(Some("2024-05-06".to_owned()))
}

/// Learns an adaptation in two steps.
pub fn learned(predictor: &SamPredictor<B>, learning: &AssistConfig) -> Result<Adaptation<B>, AssistError> {
    let embedding = predictor.embed(texture().view()).expect("an image");
    let slice = AnnotatedSlice::new(0, embedding, rectangle(10..25, 12..28)).expect("an outline of its size");
    let config = learning.clone().with_iterations(2).with_decoder_rate(1e-2);
    Ok(learn(predictor, &[slice], &config, &mut ignore_progress())?.adaptation)
}

/// A prompt card learned in two steps.
pub fn card_of(predictor: &SamPredictor<B>, structure: &str, learning: AssistConfig) -> TestResult<PromptCard> {
    let adaptation = learned(predictor, &learning)?;
    Ok(PromptCard::of(metadata(structure).with_learning(learning), &adaptation)?)
}
