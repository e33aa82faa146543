//! Walks through volumes with a small model of random weights: the rules hold whatever the model answers.

use std::collections::BTreeMap;

use burn_flex::{Flex, FlexDevice};
use ndarray::{Array2, Array3};
use sam_auto::{
    AutoError, HandOver, ImageSlices, MaskPropagationConfig, SegmentedSlice, SliceSource, SourceError, propagate_masks,
};
use sam_core::{ImageEmbedding, SamConfig, SamPredictor, ViTConfig};

const SLICES: usize = 7;

fn predictor() -> SamPredictor<Flex> {
    let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
    SamPredictor::new(config.init(&FlexDevice), config.preprocess)
}

fn outline() -> Array2<bool> {
    Array2::from_shape_fn((40, 50), |(row, column)| (10..25).contains(&row) && (20..35).contains(&column))
}

/// Segments slices of a bright square; returns the slices and those that were reached.
fn segment(
    annotated: &BTreeMap<usize, Array2<bool>>,
    config: &MaskPropagationConfig,
) -> Result<(Vec<SegmentedSlice>, Vec<usize>), AutoError> {
    let predictor = predictor();
    let image =
        Array3::from_shape_fn((40, 50, 1), |(row, column, _)| if outline()[(row, column)] { 200.0 } else { 40.0 });
    let mut reached = Vec::new();
    let mut source = ImageSlices::new(&predictor, vec![image; SLICES]);
    let slices = propagate_masks(&predictor, &mut source, annotated, config, &mut |index| reached.push(index))?;
    Ok((slices, reached))
}

/// Accepts whatever the model answers, as long as it answers something.
fn lenient() -> MaskPropagationConfig {
    let hand_over = HandOver { points: 2, min_pixels: 1, ..HandOver::default() };
    MaskPropagationConfig { hand_over, min_iou: 0.0, max_growth: f32::INFINITY, ..MaskPropagationConfig::default() }
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
fn an_empty_annotation_stops_the_walk() {
    let nothing = Array2::from_elem((40, 50), false);
    let annotated = BTreeMap::from([(1, nothing.clone()), (3, outline()), (5, nothing)]);
    let (slices, reached) = segment(&annotated, &lenient()).expect("a valid task");
    assert!(reached.iter().all(|index| [2, 4].contains(index)), "{reached:?}");
    assert!(slices[0] == SegmentedSlice::Empty && slices[6] == SegmentedSlice::Empty);
}

#[test]
fn jumps_end_the_walk_outside_and_are_bridged_between_annotated_slices() {
    // Nothing overlaps by more than all: every answer is a jump.
    let strict = MaskPropagationConfig { min_iou: 1.1, ..lenient() };
    let annotated = BTreeMap::from([(2, outline()), (4, outline())]);
    let (slices, _) = segment(&annotated, &strict).expect("a valid task");
    assert!(matches!(slices[3], SegmentedSlice::Predicted { .. }));
    for index in [0, 1, 5, 6] {
        assert_eq!(slices[index], SegmentedSlice::Empty, "slice {index}");
    }
}

/// Slices that cannot be had.
struct Gone;

impl SliceSource<Flex> for Gone {
    fn count(&self) -> usize {
        SLICES
    }

    fn image(&mut self, _: usize) -> Result<Array3<f32>, SourceError> {
        Err("the disk is gone".into())
    }

    fn embedding(&mut self, _: usize) -> Result<ImageEmbedding<Flex>, SourceError> {
        Err("the disk is gone".into())
    }
}

#[test]
fn impossible_tasks_are_errors() {
    let nothing = BTreeMap::from([(1, Array2::from_elem((40, 50), false))]);
    assert!(matches!(segment(&nothing, &lenient()), Err(AutoError::NothingAnnotated)));
    let beyond = BTreeMap::from([(SLICES, outline())]);
    assert!(matches!(segment(&beyond, &lenient()), Err(AutoError::NoSuchSlice { index: SLICES, count: SLICES })));

    let annotated = BTreeMap::from([(1, outline())]);
    let failed = propagate_masks(&predictor(), &mut Gone, &annotated, &lenient(), &mut |_| ());
    assert!(matches!(failed, Err(AutoError::Slice { .. })));
}
