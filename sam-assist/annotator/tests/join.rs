//! Several structures at once.

use std::{ops::ControlFlow, sync::Arc};

use sam_annotate::{
    AnnotateConfig, Annotated, Annotations, Annotator, Event, Flex, LabelVolume, Scan, SliceAxis, Start, ignore_events,
    ndarray::{Array3, s},
    progress::Stage,
};
use sam_assist::MultiClass;
use sam_auto::{
    CoarseMethod, FusionConfig, MaskPropagationConfig, PixelClassifierConfig, Strategy, sapnet::SapNetConfig,
};
use sam_core::SliceSource;
use sam_data::Volume;

use crate::{Result, tiny::Desk};

const AFFINE: [[f64; 4]; 4] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
/// The label values of two structures that touch.
const VALUES: [u16; 2] = [3, 7];
/// Where the straight edge between them lies, by slice. It does not move evenly.
const EDGES: [usize; 9] = [14, 15, 19, 21, 22, 22, 23, 27, 29];
/// The outlined slices.
const OUTLINED: [usize; 3] = [0, 4, 8];
const SHAPE: (usize, usize, usize) = (44, 32, EDGES.len());

/// The true labels: two boxes that share an edge.
fn truth() -> Array3<u16> {
    Array3::from_shape_fn(SHAPE, |(i, j, k)| match (i, j) {
        (6..38, 6..26) if i < EDGES[k] => VALUES[0],
        (6..38, 6..26) => VALUES[1],
        _ => 0,
    })
}

/// The annotator of a noisy scan in which the two structures differ little.
fn annotator(strategy: Strategy) -> Result<Annotator<Flex>> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0 - 0.5
    };
    let level = |label| match label {
        0 => 60.0,
        label if label == VALUES[0] => 120.0,
        _ => 150.0,
    };
    let voxels = truth().mapv(|label| level(label) + 150.0 * noise());
    let scan = Scan::in_memory("touching.nii.gz", Volume::try_new(voxels, AFFINE)?);
    let mut config = AnnotateConfig::new(strategy);
    // Masks and ranking need not be good.
    config.learning.iterations = 2;
    config.trust.coarse.method = CoarseMethod::Sapnet(SapNetConfig::default().with_iterations(1));
    Ok(Annotator::builder(Desk::new().predictor()?, Arc::new(scan)).axis(SliceAxis::K).config(config).build()?)
}

/// Outlines of some structures, each on its own slices.
fn outlines(of: &[(u16, &[usize])]) -> Annotations {
    let (truth, mut labels) = (truth(), Array3::zeros(SHAPE));
    for &(value, slices) in of {
        for &slice in slices {
            let own = truth.slice(s![.., .., slice]).mapv(|label| label == value);
            labels.slice_mut(s![.., .., slice]).zip_mut_with(&own, |label, &own| {
                if own {
                    *label = value;
                }
            });
        }
    }
    Annotations::new(LabelVolume::new(labels, AFFINE))
}

fn annotate(annotator: &Annotator<Flex>, of: &[(u16, &[usize])]) -> Result<Annotated> {
    Ok(annotator.annotate(&outlines(of), Start::Model, &mut ignore_events())?)
}

/// Dice of one structure over the slices that are not outlined.
fn dice(labels: &Array3<u16>, value: u16) -> f64 {
    let (mut both, mut sizes) = (0, 0);
    for (((.., slice), &label), &truth) in labels.indexed_iter().zip(&truth()) {
        if !OUTLINED.contains(&slice) {
            both += usize::from(label == value && truth == value);
            sizes += usize::from(label == value) + usize::from(truth == value);
        }
    }
    2.0 * both as f64 / sizes as f64
}

/// Pixels of slices without an outline that both structures claim.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contested {
    all: usize,
    /// Those that got the true label.
    right: usize,
    /// Those that would have got it, if the model's logits alone decided.
    right_by_logits: usize,
    /// Those whose label is that of the logits.
    as_logits: usize,
}

impl Contested {
    fn of(annotator: &Annotator<Flex>, found: &Annotated) -> Result<Self> {
        let mut contested = Self::default();
        let (plane, truth, source) = (annotator.plane(SliceAxis::K), truth(), annotator.slices(SliceAxis::K)?);
        let predictors = found.structures.iter().map(|structure| structure.card.apply(annotator.predictor()));
        let together = MultiClass::new(predictors.collect::<Result<_, _>>()?);
        for slice in (0..EDGES.len()).filter(|slice| !OUTLINED.contains(slice)) {
            let masks: Vec<_> = found.structures.iter().map(|structure| structure.slices[slice].mask()).collect();
            let [Some(first), Some(second)] = masks[..] else { continue };
            let logits = together.join(&masks, || source.embedding(slice))?.ok_or("two masks")?;
            let (truth, labels) =
                (plane.extract(truth.view(), slice), plane.extract(found.labels.labels.view(), slice));
            for (at, &truth) in truth.indexed_iter().filter(|(at, _)| first[*at] && second[*at]) {
                let by_logits = VALUES[usize::from(logits[at]) - 1];
                contested.all += 1;
                contested.right += usize::from(labels[at] == truth);
                contested.right_by_logits += usize::from(by_logits == truth);
                contested.as_logits += usize::from(labels[at] == by_logits);
            }
        }
        Ok(contested)
    }
}

/// A fusion of few trees, which propagates the mask of a structure with one outline as far as it goes. The masks of the random model correct no
/// shape.
fn fusion() -> Strategy {
    let one_outline = MaskPropagationConfig::default()
        .with_min_iou(0.0)
        .with_max_growth(f32::MAX)
        .with_min_predicted_iou(f32::NEG_INFINITY);
    let classifier = PixelClassifierConfig::default().with_trees(20);
    let config = FusionConfig::default().with_classifier(classifier).with_propagation(one_outline);
    Strategy::Fusion(config.with_wide_gap(1.0))
}

#[test]
fn structures_that_touch_are_told_apart_by_the_scores_of_the_fusion() -> Result {
    let annotator = annotator(fusion())?;
    let found = annotate(&annotator, &VALUES.map(|value| (value, &OUTLINED[..])))?;
    // A structure's own mask does not depend on the others. Alone, it is the result.
    let alone = annotate(&annotator, &[(VALUES[0], &OUTLINED)])?;
    assert_eq!(alone.structures[0].slices, found.structures[0].slices);
    let plane = annotator.plane(SliceAxis::K);
    for structure in &found.structures {
        let (value, mut alone) = (structure.value, Array3::zeros(SHAPE));
        for (slice, mask) in structure.slices.iter().enumerate().filter_map(|(at, slice)| Some((at, slice.mask()?))) {
            plane.insert(&mut alone, slice, mask.mapv(|inside| if inside { value } else { 0 }).view());
        }
        let (together, alone) = (dice(&found.labels.labels, value), dice(&alone, value));
        assert!(alone > 0.9 && together > alone - 0.01, "{value}: {together}, alone {alone}");
    }
    let contested = Contested::of(&annotator, &found)?;
    assert!(contested.all > 30 && contested.right > contested.right_by_logits, "{contested:?}");
    Ok(())
}

#[test]
fn joining_is_reported_and_ends_though_it_is_told_to_stop() -> Result {
    let annotator = annotator(fusion())?;
    let both = outlines(&VALUES.map(|value| (value, &OUTLINED[..])));
    let joined = |stop: bool| -> Result<(Vec<(usize, usize)>, Annotated)> {
        let mut told = Vec::new();
        let found = annotator.annotate(&both, Start::Model, &mut |event| match event {
            Event::Progress { progress, .. } if progress.stage == Stage::Join => {
                told.push((progress.done, progress.total));
                if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            _ => ControlFlow::Continue(()),
        })?;
        Ok((told, found))
    };
    let ((told, complete), (told_once, stopped)) = (joined(false)?, joined(true)?);
    assert!(told.len() > 1);
    assert_eq!(told, (1..=told.len()).map(|done| (done, told.len())).collect::<Vec<_>>());
    assert_eq!(told_once, told[..1]);
    assert_eq!(stopped.labels.labels, complete.labels.labels);
    Ok(())
}

#[test]
fn a_structure_without_scores_is_compared_by_logits() -> Result {
    let annotator = annotator(fusion())?;
    // A fusion of one outline is mask propagation, which has no scores.
    let [first, second] = VALUES;
    let found = annotate(&annotator, &[(first, &OUTLINED), (second, &OUTLINED[1..2])])?;
    let contested = Contested::of(&annotator, &found)?;
    assert!(contested.all > 50 && contested.as_logits == contested.all, "{contested:?}");
    Ok(())
}

#[test]
fn a_structure_takes_no_pixel_that_is_outlined_as_another_one() -> Result {
    let annotator = annotator(fusion())?;
    let [first, second] = VALUES;
    let mut annotations = outlines(&[(first, &OUTLINED), (second, &[2, 6])]);
    // The person sees the edge farther inside the first structure.
    let slice = 2;
    annotations.labels.labels.slice_mut(s![EDGES[slice] - 5..EDGES[slice], 6..26, slice]).fill(second);
    let found = annotator.annotate(&annotations, Start::Model, &mut ignore_events())?;
    let of = |labels: &LabelVolume| annotator.plane(SliceAxis::K).extract(labels.labels.view(), slice);
    let (outlined, labels) = (of(&annotations.labels), of(&found.labels));
    let mask = found.structures[0].slices[slice].mask().ok_or("the first is between its outlines")?;
    let mut claimed = 0;
    for (at, &outline) in outlined.indexed_iter() {
        match outline {
            0 => assert_eq!(labels[at] == first, mask[at], "{at:?}"),
            outline => assert_eq!(labels[at], outline, "an outline stays as it is"),
        }
        claimed += usize::from(outline == second && mask[at]);
    }
    assert!(claimed > 50, "the first claims {claimed} outlined pixels");
    Ok(())
}
