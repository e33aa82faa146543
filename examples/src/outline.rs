//! The annotator's side of the loop: learning from outlined slices, and joining the structures that were found.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use sam_assist::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, Learned, Learner, MultiClass, resolve_overlap,
};
use sam_core::ImageEmbedding;
use sam_data::{LabelVolume, SliceAxis};
use sam_prompt::{
    Prompts, bounding_box, component_masks,
    ndarray::{Array2, Axis, Zip},
};

use crate::{embeddings::Embeddings, progress};

/// Outlines of one structure by slice.
pub type Outlines = BTreeMap<usize, Array2<bool>>;

/// The axis along which a person has outlined slices: the one along which the fewest slices hold a label.
///
/// Any other axis than `Auto` is taken as given; where no axis stands out, `Auto` stays.
pub fn outlined_axis(annotations: &LabelVolume, given: SliceAxis) -> SliceAxis {
    if given != SliceAxis::Auto {
        return given;
    }
    let outlined = |axis: usize| {
        annotations.labels.axis_iter(Axis(axis)).filter(|slice| slice.iter().any(|&label| label != 0)).count()
    };
    let counts = [outlined(0), outlined(1), outlined(2)];
    let fewest = counts.into_iter().min().unwrap_or(0);
    let stands_out = counts.iter().filter(|&&count| count == fewest).count() == 1;
    let axes = [SliceAxis::I, SliceAxis::J, SliceAxis::K];
    let found = axes.into_iter().zip(counts).find(|&(_, count)| stands_out && count == fewest);
    found.map_or(SliceAxis::Auto, |(axis, _)| axis)
}

/// Learns a structure from its outlines; if it was learned before, from there on.
///
/// # Errors
/// If no slice shows it, or learning fails.
pub fn learn_structure<B: Backend>(
    name: &str,
    outlines: &Outlines,
    embeddings: &mut Embeddings<'_, B>,
    config: &AssistConfig,
    start: Option<&Adaptation<B>>,
) -> Result<Learned<B>> {
    let shown = || outlines.iter().filter(|(_, outline)| outline.iter().any(|&inside| inside));
    let count = shown().count();
    ensure!(count > 0, "no annotated slice shows {name}: outline it on at least one slice (2 to 5 are best)");
    let config = if start.is_some() { config.clone().warm() } else { config.clone() }.for_slices(count);
    let bar = progress::bar(format!("Learning {name}"), count + config.iterations);
    let mut annotated = Vec::new();
    for (&index, outline) in shown() {
        bar.set_message(format!("embedding slice {index}"));
        annotated.push(AnnotatedSlice::new(embeddings.get(index)?, outline.clone())?);
        bar.inc(1);
    }
    let learn = || {
        let mut learner = match start {
            Some(start) => Learner::warm(embeddings.predictor(), &annotated, start, config)?,
            None => Learner::new(embeddings.predictor(), &annotated, config)?,
        };
        learner.run(&mut progress::learning(&bar))?;
        Ok::<_, AssistError>(learner.finish())
    };
    let learned = learn();
    bar.finish_and_clear();
    learned.with_context(|| format!("learning {name}"))
}

/// The structures of one slice as one map, the first as 1; `None` where there is none.
///
/// Each keeps its own mask. Where masks overlap, every structure is asked once more by the boxes of its own mask, and the largest
/// logit decides; only then is the slice's embedding needed.
///
/// # Errors
/// If the slice cannot be embedded or asked.
pub fn join_structures<B: Backend>(
    predictors: &MultiClass<B>,
    masks: &[Option<&Array2<bool>>],
    embed: &mut dyn FnMut() -> Result<ImageEmbedding<B>>,
) -> Result<Option<Array2<u16>>> {
    let Some(size) = masks.iter().flatten().map(|mask| mask.dim()).next() else { return Ok(None) };
    // What is claimed at all is above 0, whatever its logit.
    let claim = |mask: &&Array2<bool>| mask.mapv(|inside| if inside { f32::MIN_POSITIVE } else { 0.0 });
    let mut claims: Vec<Option<Array2<f32>>> = masks.iter().map(|mask| mask.as_ref().map(claim)).collect();
    if overlap(masks, size) {
        let boxes = |mask: &&Array2<bool>| {
            let parts = component_masks(mask.view(), 1);
            Prompts::from_boxes(parts.iter().filter_map(|part| bounding_box(part.view())).collect())
        };
        let prompts: Vec<_> =
            masks.iter().map(|mask| mask.as_ref().map(boxes).filter(|boxes| !boxes.is_empty())).collect();
        let logits = predictors.logits(&embed()?, &prompts)?;
        for (claim, logits) in claims.iter_mut().zip(&logits) {
            let (Some(claim), Some(logits)) = (claim, logits) else { continue };
            Zip::from(claim).and(logits).for_each(|claim, &logit| {
                if *claim > 0.0 {
                    *claim = claim.max(logit);
                }
            });
        }
    }
    let views: Vec<_> = claims.iter().map(|claim| claim.as_ref().map(|array| array.view())).collect();
    Ok(Some(resolve_overlap(size, &views)?))
}

/// Whether any pixel lies in more than one mask.
fn overlap(masks: &[Option<&Array2<bool>>], size: (usize, usize)) -> bool {
    let mut taken = Array2::from_elem(size, false);
    masks.iter().flatten().any(|mask| {
        Zip::from(&mut taken).and(*mask).fold(false, |found, taken, &inside| {
            let twice = *taken && inside;
            *taken |= inside;
            found || twice
        })
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use sam_prompt::ndarray::array;

    use super::*;

    #[cfg(feature = "flex")]
    #[test]
    fn structures_that_are_apart_are_joined_without_asking_again() {
        let none = MultiClass::<burn_flex::Flex>::new(Vec::new());
        let mut refuse = || bail!("no embedding is needed");
        let (first, third) = (array![[true, true, false, false]], array![[false, false, false, true]]);
        let joined = join_structures(&none, &[Some(&first), None, Some(&third)], &mut refuse).expect("no overlap");
        assert_eq!(joined, Some(array![[1, 1, 0, 3]]));
        assert_eq!(join_structures(&none, &[None, None], &mut refuse).expect("nothing"), None);
        assert!(join_structures(&none, &[Some(&first), Some(&first)], &mut refuse).is_err());
    }
}
