//! Mask propagation through small volumes: rules that hold for any prediction of the model.

use std::{collections::BTreeMap, ops::ControlFlow};

use ndarray::{Array2, Axis};
use sam_auto::{AutoError, MaskPropagationConfig, PromptExtraction, SegmentedSlice, propagate_masks};
use sam_core::CoreError;
use sam_prompt::progress::{Stage, ignore_progress};
use sam_testing::tiny::{fixed, nothing, rectangle};

use crate::common::{Gone, Images, stop_after};

const SLICES: usize = 7;

fn outline() -> Array2<bool> {
    rectangle(10..25, 20..35)
}

/// Segments slices of a bright square; returns the slices and those that were reached.
fn segment(
    annotated: &BTreeMap<usize, Array2<bool>>,
    config: &MaskPropagationConfig,
) -> Result<(Vec<SegmentedSlice>, Vec<usize>), AutoError> {
    let predictor = fixed();
    let image = outline().mapv(|inside| if inside { 200 } else { 40 }).insert_axis(Axis(2));
    let mut reached = Vec::new();
    let source = Images::new(&predictor, vec![image; SLICES]);
    let found = propagate_masks(&predictor, &source, annotated, config, &mut |progress| {
        assert_eq!((progress.stage, progress.total), (Stage::Segment, SLICES - annotated.len()));
        assert!((1..=progress.total).contains(&progress.done));
        reached.extend(progress.slice);
        ControlFlow::Continue(())
    })?;
    assert!(!found.stopped && found.agreement.is_empty());
    Ok((found.slices, reached))
}

/// A config that accepts every mask that is not empty.
fn lenient() -> MaskPropagationConfig {
    let extraction = PromptExtraction::default().with_points(2).with_min_pixels(1);
    MaskPropagationConfig::default().with_extraction(extraction).with_min_iou(0.0).with_max_growth(f32::INFINITY)
}

#[test]
fn annotated_slices_stay_as_they_were_drawn() {
    let annotated = BTreeMap::from([(1, outline()), (5, outline())]);
    for config in [lenient(), MaskPropagationConfig::default()] {
        let (slices, _) = segment(&annotated, &config).expect("a valid task");
        assert_eq!(slices.len(), SLICES);
        for index in [1, 5] {
            assert_eq!(slices[index], SegmentedSlice::Annotated(outline()));
        }
    }
}

#[test]
fn nearest_slices_are_reached_first() {
    let (_, reached) = segment(&BTreeMap::from([(3, outline())]), &lenient()).expect("a valid task");
    let mut first = reached[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, [2, 4]);
}

#[test]
fn an_empty_annotation_ends_propagation() {
    let annotated = BTreeMap::from([(1, nothing()), (3, outline()), (5, nothing())]);
    let (slices, reached) = segment(&annotated, &lenient()).expect("a valid task");
    assert!(reached.iter().all(|index| [2, 4].contains(index)), "{reached:?}");
    assert!(slices[0] == SegmentedSlice::Empty && slices[6] == SegmentedSlice::Empty);
}

#[test]
fn jumps_end_propagation_outside_and_are_bridged_between_annotated_slices() {
    // No overlap is above 1, so every prediction is a jump.
    let strict = lenient().with_min_iou(1.1);
    let annotated = BTreeMap::from([(2, outline()), (4, outline())]);
    let (slices, _) = segment(&annotated, &strict).expect("a valid task");
    assert!(matches!(slices[3], SegmentedSlice::Predicted { .. }));
    for index in [0, 1, 5, 6] {
        assert_eq!(slices[index], SegmentedSlice::Empty, "slice {index}");
    }
}

#[test]
fn a_jump_is_not_final_in_a_stopped_call() -> Result<(), AutoError> {
    // Every prediction is a jump, so none is final before the last front has ended.
    let strict = lenient().with_min_iou(1.1);
    let annotated = BTreeMap::from([(2, outline()), (4, outline())]);
    let predictor = fixed();
    let image = outline().mapv(|inside| if inside { 200 } else { 40 }).insert_axis(Axis(2));
    let source = Images::new(&predictor, vec![image; SLICES]);
    // Slice 3 is predicted from 2 and from 4, 1 and 5 once each.
    for calls in 1..4 {
        let part = propagate_masks(&predictor, &source, &annotated, &strict, &mut stop_after(calls))?;
        assert!(part.stopped, "after {calls}");
        for index in [0, 1, 3, 5, 6] {
            assert_eq!(part.slices[index], SegmentedSlice::NotReached, "slice {index} after {calls}");
        }
    }
    let whole = propagate_masks(&predictor, &source, &annotated, &strict, &mut stop_after(4))?;
    assert!(!whole.stopped && matches!(whole.slices[3], SegmentedSlice::Predicted { .. }));
    Ok(())
}

#[test]
fn impossible_tasks_are_errors() {
    let nothing = BTreeMap::from([(1, nothing())]);
    assert!(matches!(segment(&nothing, &lenient()), Err(AutoError::NothingAnnotated)));
    let beyond = BTreeMap::from([(SLICES, outline())]);
    assert!(matches!(
        segment(&beyond, &lenient()),
        Err(AutoError::Core(CoreError::NoSuchSlice { index: SLICES, count: SLICES }))
    ));

    let annotated = BTreeMap::from([(1, outline())]);
    let failed = propagate_masks(&fixed(), &Gone(SLICES), &annotated, &lenient(), &mut ignore_progress());
    assert!(matches!(failed, Err(AutoError::Slice { .. })));
    // An outline of another image.
    for size in [(40, 49), (3, 3), (80, 100)] {
        let other = BTreeMap::from([(1, Array2::from_elem(size, true))]);
        let refused = segment(&other, &lenient());
        let Err(AutoError::Core(CoreError::OutlineSize { index, found, expected })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((index, found, expected), (1, size, (40, 50)));
    }
}
