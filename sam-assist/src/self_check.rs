//! Leave-one-out check: segments each annotated slice with what was learned from the others.

use burn::tensor::backend::Backend;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::{
    PromptKind, Replacement, mask_dice,
    progress::{Observer, Progress, Stage, StopReason},
};

use crate::{AssistConfig, AssistError, LearnedKind, Learner};

/// Minimum number of slices: two to learn from, and one to check.
const FEWEST_SLICES: usize = 3;

/// Random stream for the prompts of the first slice. Each further slice uses the next stream; training uses lower streams.
const FIRST_STREAM: u64 = 2;

/// Result of the leave-one-out check: how well each annotated slice is segmented by what was learned from the others.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SelfCheck {
    /// Dice of each slice that shows the structure, predicted while it was left out, in the order of the slices.
    pub dice: Vec<f64>,
    /// Mean of these Dice values.
    pub mean: f64,
}

/// Leaves out each annotated slice in turn, learns from the others, and segments it from prompts drawn from its outline.
///
/// Slices with an empty outline are skipped. The prompts are of the learned kind, with [`AssistConfig::check_points`] points. The observer
/// is called after each training iteration; [`Progress::slice`] is the slice that is left out. May be called from several threads at once:
/// see [`Learner`].
///
/// # Errors
/// [`AssistError::TooFewSlices`] for fewer than three slices that show the structure; [`AssistError::Stopped`] if the observer stops it,
/// because a mean of some slices would mislead; and as [`learn`](crate::learn).
pub fn self_check<B: Backend>(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
    observer: &mut Observer<'_>,
) -> Result<SelfCheck, AssistError> {
    let slices: Vec<_> = slices.iter().filter(|slice| !slice.is_empty()).cloned().collect();
    if slices.len() < FEWEST_SLICES {
        return Err(AssistError::TooFewSlices { found: slices.len(), expected: FEWEST_SLICES });
    }
    let total = slices.len() * config.iterations;
    let mut scores = Vec::with_capacity(slices.len());
    for (position, left_out) in slices.iter().enumerate() {
        let others = [&slices[..position], &slices[position + 1..]].concat();
        let mut learner = Learner::new(predictor, &others, config.clone())?;
        let reason = learner.run(&mut |learning| {
            let done = position * config.iterations + learning.done;
            let progress = Progress::new(Stage::SelfCheck, done, total).at_slice(left_out.index());
            observer(&learning.loss.map_or(progress, |loss| progress.with_loss(loss)))
        })?;
        if reason == StopReason::Stopped {
            return Err(AssistError::Stopped);
        }
        let predictor = learner.finish().adaptation.apply(predictor);
        scores.push(score(&predictor, left_out, config, position as u64)?);
    }
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    Ok(SelfCheck { dice: scores, mean })
}

/// Dice of a slice that is prompted from its own outline.
fn score<B: Backend>(
    predictor: &SamPredictor<B>,
    slice: &AnnotatedSlice<B>,
    config: &AssistConfig,
    position: u64,
) -> Result<f64, AssistError> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(FIRST_STREAM + position);
    let sampler = config.sampling.sampler(Replacement::With);
    let prompts = config.draw.draw(checked_kind(config), slice.outline().view(), &*sampler, &mut rng)?;
    let mask = predictor.predict(slice.embedding(), &prompts)?.mask();
    Ok(mask_dice(mask.view(), slice.outline().view())?)
}

/// The kind of prompts that shows best what was learned.
fn checked_kind(config: &AssistConfig) -> PromptKind {
    match config.kind {
        LearnedKind::Points => PromptKind::Points(config.check_points),
        LearnedKind::Boxes => PromptKind::Box,
        LearnedKind::Composite | LearnedKind::Mixed => PromptKind::BoxAndPoints(config.check_points),
    }
}
