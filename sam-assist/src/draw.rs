//! The prompts of one step, drawn from the outlines.

use burn::tensor::backend::Backend;
use rand::{RngExt, seq::index};
use rand_chacha::ChaCha8Rng;
use sam_prompt::{Label, PromptKind, Prompts};

use crate::{AnnotatedSlice, AssistConfig, AssistError, LearnedKind, slice::Part};

/// One prompt of a step, and what it should be answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Which of the slices it speaks of.
    pub(crate) slice: usize,
    /// Which of the slice's components, or all of them.
    pub(crate) part: Option<usize>,
    pub(crate) prompts: Prompts,
}

/// Draws the slices of one step and a prompt for each, all of one make-up; in the slices' order.
pub(crate) fn draw<B: Backend>(
    slices: &[AnnotatedSlice<B>],
    iteration: usize,
    config: &AssistConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Sample>, AssistError> {
    let count = rng.random_range(config.points.0..=config.points.1);
    let (with_box, points) = match (config.kind, iteration % 3) {
        (LearnedKind::Points, _) | (LearnedKind::Mixed, 0) => (false, count),
        (LearnedKind::Boxes, _) | (LearnedKind::Mixed, 1) => (true, 0),
        (LearnedKind::Composite | LearnedKind::Mixed, _) => (true, count),
    };
    // An object may have fewer pixels than points are asked for.
    let sampler = config.sampling.sampler(true);
    let chosen = index::sample(rng, slices.len(), config.slices_per_step.min(slices.len()));
    let sample = |index: usize, rng: &mut ChaCha8Rng| {
        let slice = &slices[index];
        // A box speaks of one component; points alone, of the whole object.
        let part = with_box.then(|| draw_part(slice.parts(), rng));
        let answer = part.map_or(slice.outline(), |part| &slice.parts()[part].mask).view();
        let boxes =
            if with_box { config.draw.draw(PromptKind::Box, answer, &*sampler, rng)?.boxes } else { Vec::new() };
        let mut clicks = sampler.sample(answer, Label::Foreground, points, rng)?;
        clicks.extend(sampler.sample(slice.outside().view(), Label::Background, points, rng)?);
        Ok(Sample { slice: index, part, prompts: Prompts { points: clicks, boxes, ..Prompts::default() } })
    };
    let mut drawn: Vec<_> = chosen.into_iter().map(|index| sample(index, rng)).collect::<Result<_, AssistError>>()?;
    // Drawn in the order of choice, decoded in the order of slices: the same choice in another order is the same batch of images.
    drawn.sort_by_key(|sample| sample.slice);
    Ok(drawn)
}

/// One of the components, the larger the likelier.
fn draw_part(parts: &[Part], rng: &mut ChaCha8Rng) -> usize {
    let mut remaining = rng.random_range(0..parts.iter().map(|part| part.pixels).sum::<usize>().max(1));
    let reached = parts.iter().position(|part| {
        let here = remaining < part.pixels;
        remaining = remaining.saturating_sub(part.pixels);
        here
    });
    reached.unwrap_or(0)
}
