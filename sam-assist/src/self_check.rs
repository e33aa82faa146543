//! How well what was learned can be trusted: each annotated slice, segmented by what the others teach.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::SamPredictor;
use sam_eval::{EmptyPolicy, dice};
use sam_prompt::PromptKind;

use crate::{AnnotatedSlice, AssistConfig, AssistError, LearnedKind, Learner, Progress};

/// Two to learn from, and one to check.
const FEWEST_SLICES: usize = 3;

/// The generator's stream that the first slice's prompts are drawn from, the others' following: learning draws from those before.
const FIRST_STREAM: u64 = 2;

/// How well each annotated slice is segmented by what was learned from the others.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfCheck {
    /// Dice of each slice while it was left out, in the slices' order.
    pub dice: Vec<f64>,
    /// Their mean.
    pub mean: f64,
}

/// Where the self-check stands; told to its observer after each iteration of each learning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckProgress {
    /// The slice that is left out, counted from 0.
    pub slice: usize,
    /// How many slices there are.
    pub slices: usize,
    /// Where the learning from the others stands.
    pub learning: Progress,
}

/// Leaves out each annotated slice in turn, learns from the others, and segments it from prompts drawn from its outline.
///
/// The prompts are of the kind that is learned, drawn as learning draws them, with [`AssistConfig::check_points`] points.
///
/// # Errors
/// [`AssistError::TooFewSlices`] for fewer than three; [`AssistError::Stopped`] if the observer returns [`ControlFlow::Break`]; and
/// as [`learn`](crate::learn).
pub fn self_check<B: Backend>(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
    observer: &mut dyn FnMut(CheckProgress) -> ControlFlow<()>,
) -> Result<SelfCheck, AssistError> {
    if slices.len() < FEWEST_SLICES {
        return Err(AssistError::TooFewSlices { found: slices.len(), expected: FEWEST_SLICES });
    }
    let mut scores = Vec::with_capacity(slices.len());
    for (index, left_out) in slices.iter().enumerate() {
        let others = [&slices[..index], &slices[index + 1..]].concat();
        let mut learner = Learner::new(predictor, &others, config.clone())?;
        let mut is_stopped = false;
        learner.run(&mut |learning| {
            let flow = observer(CheckProgress { slice: index, slices: slices.len(), learning });
            is_stopped = flow.is_break();
            flow
        })?;
        if is_stopped {
            return Err(AssistError::Stopped);
        }
        let predictor = learner.finish().adaptation.apply(predictor);
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(FIRST_STREAM + index as u64);
        let outline = left_out.outline();
        let prompts = config.draw.draw(checked(config), outline.view(), &*config.sampling.sampler(true), &mut rng)?;
        let mask = predictor.predict(left_out.embedding(), &prompts)?.mask();
        scores.push(dice(&mask, outline, EmptyPolicy::Nan)?);
    }
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    Ok(SelfCheck { dice: scores, mean })
}

/// The prompts that show best what was learned.
fn checked(config: &AssistConfig) -> PromptKind {
    match config.kind {
        LearnedKind::Points => PromptKind::Points(config.check_points),
        LearnedKind::Boxes => PromptKind::Box,
        LearnedKind::Composite | LearnedKind::Mixed => PromptKind::BoxAndPoints(config.check_points),
    }
}
