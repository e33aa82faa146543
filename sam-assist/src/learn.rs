//! Learning in one call.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use sam_core::SamPredictor;

use crate::{AnnotatedSlice, AssistConfig, AssistError, Learned, Learner, Progress};

/// Learns what prompts mean from annotated slices: a [`Learner`] from its first step to its last.
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
    let mut learner = Learner::new(predictor, slices, config.clone())?;
    learner.run(observer)?;
    Ok(learner.finish())
}
