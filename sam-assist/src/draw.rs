//! Draws the prompts of one training step from the outlines.

use burn::tensor::backend::Backend;
use rand::{
    RngExt,
    seq::index::{self, IndexVec},
};
use rand_chacha::ChaCha8Rng;
use sam_prompt::{Label, PromptKind, Prompts, Replacement};

use crate::{
    AssistConfig, AssistError, LearnedKind,
    slice::{Part, TrainingSlice},
};

/// A prompt of a step, and the mask that the decoder should predict for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Position of the slice among the training slices.
    pub(crate) slice: usize,
    /// The component that the prompt is for; `None` for the whole outline.
    pub(crate) part: Option<usize>,
    pub(crate) prompts: Prompts,
}

/// Draws the slices of one step and a prompt for each, all of the same kind; sorted by slice.
pub(crate) fn draw<B: Backend>(
    slices: &[TrainingSlice<B>],
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
    // With replacement, because an object may have fewer pixels than points are drawn.
    let sampler = config.sampling.sampler(Replacement::With);
    let chosen = draw_slices(slices, config.slices_per_step.min(slices.len()), rng);
    let sample = |index: usize, rng: &mut ChaCha8Rng| {
        let slice = &slices[index];
        // A box prompts for one component; points alone prompt for the whole outline.
        let part = with_box.then(|| draw_part(slice.parts(), rng));
        let answer = part.map_or(slice.outline(), |part| &slice.parts()[part].mask).view();
        let boxes =
            if with_box { config.draw.draw(PromptKind::Box, answer, &*sampler, rng)?.boxes } else { Vec::new() };
        let mut clicks = sampler.sample(answer, Label::Foreground, points, rng)?;
        clicks.extend(sampler.sample(slice.outside().view(), Label::Background, points, rng)?);
        Ok(Sample { slice: index, part, prompts: Prompts { points: clicks, boxes, ..Prompts::default() } })
    };
    let mut drawn: Vec<_> = chosen.into_iter().map(|index| sample(index, rng)).collect::<Result<_, AssistError>>()?;
    // Sorted, so that the same slices in another order give the same batch of images.
    drawn.sort_by_key(|sample| sample.slice);
    Ok(drawn)
}

/// Draws slices, each at most once; the weights say how often.
fn draw_slices<B: Backend>(slices: &[TrainingSlice<B>], count: usize, rng: &mut ChaCha8Rng) -> IndexVec {
    let is_uniform = slices.windows(2).all(|pair| pair[0].weight().total_cmp(&pair[1].weight()).is_eq());
    let weighted = |rng: &mut ChaCha8Rng| {
        // Weights are positive and finite, so this does not fail.
        index::sample_weighted(rng, slices.len(), |slice| slices[slice].weight(), count).ok()
    };
    // Without other weights as before there were any, so that earlier results can be repeated.
    let drawn = if is_uniform { None } else { weighted(rng) };
    drawn.unwrap_or_else(|| index::sample(rng, slices.len(), count))
}

/// Draws one component with a probability that is proportional to its area.
fn draw_part(parts: &[Part], rng: &mut ChaCha8Rng) -> usize {
    let mut remaining = rng.random_range(0..parts.iter().map(|part| part.area).sum::<usize>().max(1));
    let drawn = parts.iter().position(|part| {
        let here = remaining < part.area;
        remaining = remaining.saturating_sub(part.area);
        here
    });
    drawn.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use burn_flex::{Flex, FlexDevice};
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use sam_core::{AnnotatedSlice, Frame, ImageEmbedding};
    use sam_prompt::SamplingScheme;

    use super::*;

    const SIZE: (usize, usize) = (12, 16);

    /// A training slice with this outline; `None` if the outline is empty. Drawing prompts needs no features.
    fn slice(index: usize, outline: Vec<bool>) -> Option<TrainingSlice<Flex>> {
        let features = Tensor::zeros([1, 1, 1, 1], &FlexDevice);
        let embedding = ImageEmbedding::new(features, Frame::new(SIZE.0, SIZE.1, 16)).expect("one image");
        let outline = Array2::from_shape_vec(SIZE, outline).expect("as many as pixels");
        TrainingSlice::new(&AnnotatedSlice::new(index, embedding, outline).expect("of one size"))
    }

    fn slices() -> impl Strategy<Value = Vec<TrainingSlice<Flex>>> {
        let outlines = proptest::collection::vec(proptest::collection::vec(any::<bool>(), SIZE.0 * SIZE.1), 1..5);
        let kept = outlines.prop_map(|outlines: Vec<Vec<bool>>| {
            outlines.into_iter().enumerate().filter_map(|(index, outline)| slice(index, outline)).collect::<Vec<_>>()
        });
        kept.prop_filter("no outline has a pixel", |slices| !slices.is_empty())
    }

    fn config() -> impl Strategy<Value = AssistConfig> {
        let kinds = [LearnedKind::Points, LearnedKind::Boxes, LearnedKind::Composite, LearnedKind::Mixed];
        let choices =
            (proptest::sample::select(kinds.to_vec()), proptest::sample::select(SamplingScheme::ALL.to_vec()));
        (choices, 1_usize..4, 0_usize..4, 1_usize..6).prop_map(|((kind, sampling), fewest, more, at_once)| {
            AssistConfig::points()
                .with_kind(kind)
                .with_sampling(sampling)
                .with_points((fewest, fewest + more))
                .with_slices_per_step(at_once)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn prompts_lie_where_their_labels_say(
            slices in slices(), config in config(), iteration in 0_usize..9, seed in any::<u64>(),
        ) {
            let draw = || draw(&slices, iteration, &config, &mut ChaCha8Rng::seed_from_u64(seed)).expect("prompts");
            let samples = draw();
            prop_assert_eq!(&samples, &draw(), "the same seed draws the same");
            prop_assert_eq!(samples.len(), config.slices_per_step.min(slices.len()));
            prop_assert!(samples.windows(2).all(|pair| pair[0].slice < pair[1].slice), "each slice once, in order");
            let (has_box, has_points) = match (config.kind, iteration % 3) {
                (LearnedKind::Points, _) | (LearnedKind::Mixed, 0) => (false, true),
                (LearnedKind::Boxes, _) | (LearnedKind::Mixed, 1) => (true, false),
                _ => (true, true),
            };
            for sample in &samples {
                let slice = &slices[sample.slice];
                prop_assert_eq!((sample.prompts.boxes.len(), sample.part.is_some()), (usize::from(has_box), has_box));
                let answer = sample.part.map_or(slice.outline(), |part| &slice.parts()[part].mask);
                let of = |label| sample.prompts.points.iter().filter(move |point| point.label == label);
                let expected = if has_points { config.points.0..=config.points.1 } else { 0..=0 };
                prop_assert!(expected.contains(&of(Label::Foreground).count()), "{:?}", sample);
                prop_assert_eq!(of(Label::Foreground).count(), of(Label::Background).count());
                let at = |point: &sam_prompt::Point| (point.y as usize, point.x as usize);
                prop_assert!(of(Label::Foreground).all(|point| answer[at(point)]));
                prop_assert!(of(Label::Background).all(|point| !slice.outline()[at(point)]));
            }
        }

        #[test]
        fn slices_are_drawn_as_often_as_their_weights_say(weights in proptest::collection::vec(0.1_f32..1.0, 2..5)) {
            let embedded = |(index, &weight): (usize, &f32)| {
                let slice = slice(index, vec![true; SIZE.0 * SIZE.1])?;
                TrainingSlice::new(&slice.slice.with_weight(weight))
            };
            let slices: Vec<_> = weights.iter().enumerate().filter_map(embedded).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let mut drawn = vec![0_usize; slices.len()];
            for _ in 0..2000 {
                drawn[draw_slices(&slices, 1, &mut rng).index(0)] += 1;
            }
            let total = weights.iter().sum::<f32>();
            for (&weight, &count) in weights.iter().zip(&drawn) {
                prop_assert!((weight / total - count as f32 / 2000.0).abs() < 0.06, "{:?} for {:?}", drawn, weights);
            }
            prop_assert_eq!(draw_slices(&slices, slices.len(), &mut rng).len(), slices.len());
        }

        #[test]
        fn larger_components_are_drawn_more_often(areas in proptest::collection::vec(1_usize..50, 1..6)) {
            let parts: Vec<_> = areas.iter().map(|&area| Part { mask: Array2::from_elem((1, 1), true), area }).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut drawn = vec![0_usize; parts.len()];
            for _ in 0..2000 {
                drawn[draw_part(&parts, &mut rng)] += 1;
            }
            let total = areas.iter().sum::<usize>() as f64;
            for (&area, &count) in areas.iter().zip(&drawn) {
                let (expected, found) = (area as f64 / total, count as f64 / 2000.0);
                prop_assert!((expected - found).abs() < 0.06, "{} instead of {}", found, expected);
            }
        }
    }
}
