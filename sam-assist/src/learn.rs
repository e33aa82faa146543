//! Learning in one call.

use burn::tensor::backend::Backend;
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::progress::Observer;

use crate::{Adaptation, AssistConfig, AssistError, Learned, Learner};

/// Learns from annotated slices what prompts mean: runs a [`Learner`] to its end.
///
/// Slices with an empty outline are skipped, because there is nothing to prompt for. Training takes seconds on a CPU. The function may be
/// called from several threads at once: see [`Learner`]. Choose the config for the prompts at inference: [`AssistConfig`] has a table.
///
/// If the observer stops it, the result holds what was learned so far, and [`Learned::stop_reason`] is
/// [`StopReason::Stopped`](sam_prompt::progress::StopReason::Stopped).
///
/// # Errors
/// [`AssistError::NoSlices`] if no slice shows the structure; [`AssistError::Config`]; [`AssistError::Diverged`] or
/// [`AssistError::NothingToLearnFrom`] if the loss is not finite.
pub fn learn<B: Backend>(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
    observer: &mut Observer<'_>,
) -> Result<Learned<B>, AssistError> {
    let mut learner = Learner::new(predictor, slices, config.clone())?;
    learner.run(observer)?;
    Ok(learner.finish())
}

/// Learns one structure from annotated slices. Scales the iterations to the number of slices, and continues from `start` if it is given.
///
/// `config` is a preset for [`AssistConfig::slices_per_step`] slices. It is scaled with [`AssistConfig::for_slices`] to the slices that
/// show the structure. If `start` is given, [`AssistConfig::warm`] is applied first. [`Learned::config`] is the scaled config.
///
/// # Errors
/// As [`learn`]; [`AssistError::OtherLearning`] if `start` was learned with another [`Trained`](crate::Trained) or number of members.
pub fn learn_structure<B: Backend>(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
    start: Option<&Adaptation<B>>,
    observer: &mut Observer<'_>,
) -> Result<Learned<B>, AssistError> {
    let shown = slices.iter().filter(|slice| !slice.is_empty()).count();
    let config = if start.is_some() { config.clone().warm() } else { config.clone() }.for_slices(shown);
    let mut learner = match start {
        Some(start) => Learner::warm(predictor, slices, start, config)?,
        None => Learner::new(predictor, slices, config)?,
    };
    learner.run(observer)?;
    Ok(learner.finish())
}
