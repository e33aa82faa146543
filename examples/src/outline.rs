//! The annotator's side of the loop: outlined slices in, the whole structure out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use sam_assist::{AnnotatedSlice, AssistConfig, Learned, learn};
use sam_auto::{PropagationConfig, SegmentedSlice, propagate};
use sam_data::{LabelVolume, SliceAxis};
use sam_prompt::ndarray::{Array2, Axis};

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

/// Learns a structure from its outlines.
///
/// # Errors
/// If no slice shows it, or learning fails.
pub fn learn_structure<B: Backend>(
    name: &str,
    outlines: &Outlines,
    embeddings: &mut Embeddings<'_, B>,
    config: &AssistConfig,
) -> Result<Learned<B>> {
    let shown = || outlines.iter().filter(|(_, outline)| outline.iter().any(|&inside| inside));
    ensure!(shown().count() > 0, "no annotated slice shows {name}: outline it on at least one slice (2 to 5 are best)");
    let bar = progress::bar(format!("Learning {name}"), shown().count() + config.iterations);
    let mut annotated = Vec::new();
    for (&index, outline) in shown() {
        bar.set_message(format!("embedding slice {index}"));
        annotated.push(AnnotatedSlice::new(embeddings.get(index)?, outline.clone())?);
        bar.inc(1);
    }
    let learned = learn(embeddings.predictor(), &annotated, config, &mut progress::learning(&bar));
    bar.finish_and_clear();
    learned.with_context(|| format!("learning {name}"))
}

/// Segments the slices that are not outlined, outwards from those that are.
///
/// # Errors
/// If a slice cannot be embedded or segmented.
pub fn segment_structure<B: Backend>(
    name: &str,
    outlines: &Outlines,
    learned: &Learned<B>,
    embeddings: &mut Embeddings<'_, B>,
    config: &PropagationConfig,
) -> Result<Vec<SegmentedSlice>> {
    let predictor = learned.adaptation.apply(embeddings.predictor());
    let count = embeddings.stack().len();
    let bar = progress::bar(format!("Segmenting {name}"), count - outlines.len());
    let slices = propagate(
        &predictor,
        count,
        outlines,
        &mut |index| embeddings.get(index).map_err(Into::into),
        config,
        &mut |index| {
            bar.inc(1);
            bar.set_message(format!("slice {index}"));
        },
    );
    bar.finish_and_clear();
    slices.with_context(|| format!("segmenting {name}"))
}
