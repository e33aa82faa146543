//! Generators on small volumes: properties that hold for any model.

use std::{ops::ControlFlow, sync::Arc};

use burn::tensor::Tensor;
use ndarray::{Array2, Array3, Axis};
use proptest::prelude::*;
use sam_auto::{
    AutoError, ClassifierConfig, CleanUp, CoarseConfig, CoarseGenerator, CoarseMethod, GateConfig, Gated,
    PointGenerator, PointPropagationConfig, PromptExtraction, PromptGenerator, SegmentedSlice, SegmenterConfig,
    SliceContext, VolumeSegmenter, Vote,
};
use sam_core::{AnnotatedSlice, CoreError, ImageEmbedding, SamPredictor, SliceError, SliceSource};
use sam_prompt::{
    Prompts,
    progress::{Progress, ignore_progress},
};
use sam_testing::{
    B, TestResult,
    tiny::{SIZE, fixed, nothing, rectangle},
};
use sapnet::{CoarseSegmenter, SapNetConfig, SapnetError, SupportConfig};

use crate::common::Images;

fn square() -> Array2<bool> {
    rectangle(10..26, 20..36)
}

/// A bright square in stripes, or only stripes of another direction.
fn image(shows: bool) -> Array3<u8> {
    let level = |(row, column): (usize, usize)| match (shows, square()[(row, column)]) {
        (true, true) => 220,
        (true, false) => 40 + 20 * (column % 4) as u8,
        (false, _) => 150 - 30 * (row % 5) as u8,
    };
    Array2::from_shape_fn(SIZE, level).insert_axis(Axis(2))
}

/// The square is on slices 2 to 6 of 9.
fn volume(predictor: &SamPredictor<B>) -> Images {
    Images::new(predictor, (0..9).map(|index| image((2..7).contains(&index))).collect())
}

fn support(slices: &Images, index: usize) -> AnnotatedSlice<B> {
    slices.annotated(index, if (2..7).contains(&index) { square() } else { nothing() })
}

fn fit(
    method: CoarseMethod,
    extraction: PromptExtraction,
    annotated: &[AnnotatedSlice<B>],
) -> sam_auto::CoarseGenerator<B> {
    let config = CoarseConfig::default().with_method(method).with_extraction(extraction);
    config.fit(annotated, &mut ignore_progress()).expect("valid slices")
}

fn prompts(generator: &dyn PromptGenerator<B>, slices: &Images, index: usize) -> Result<Option<Prompts>, AutoError> {
    let (image, embedding) = (slices.image(index).expect("in memory"), slices.embedding(index).expect("in memory"));
    generator.generate(&SliceContext::new(index, image.view(), &embedding))
}

fn methods() -> [CoarseMethod; 3] {
    [
        CoarseMethod::Panet(SupportConfig::default()),
        CoarseMethod::Sapnet(SapNetConfig::default().with_iterations(40)),
        CoarseMethod::Classifier(ClassifierConfig::default()),
    ]
}

#[test]
fn one_annotated_slice_is_enough_for_every_generator() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let annotated = [support(&slices, 4)];
    for method in methods() {
        let generator = fit(method.clone(), PromptExtraction::default(), &annotated);
        let found = prompts(&generator, &slices, 5).expect("a slice like it");
        // The next slice is the same image, so its box is about that of the square.
        let boxes = found.expect("the square is there").boxes;
        let widest = boxes.iter().max_by(|a, b| (a.x_max - a.x_min).total_cmp(&(b.x_max - b.x_min))).expect("a box");
        assert!(widest.contains(28.0, 18.0), "{method:?} finds {widest:?}");
    }
    let runs = PointPropagationConfig::default().fit(&annotated, &slices, &mut ignore_progress()).expect("one slice");
    let reached: Vec<_> = runs.iter().map(|run| run.reached().collect::<Vec<_>>()).collect();
    assert_eq!(reached, [vec![2, 3, 4, 5, 6]]);
    let gate = GateConfig::default().fit(&annotated).expect("one slice");
    assert!(gate.passes(4, &slices.embedding(4).expect("in memory")));
}

#[test]
fn a_gate_closes_where_nothing_but_background_is() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let annotated: Vec<_> = [3, 5, 8].into_iter().map(|index| support(&slices, index)).collect();
    let gate = Arc::new(GateConfig::default().fit(&annotated).expect("valid slices"));
    for method in methods() {
        let generator = fit(method, PromptExtraction::default(), &annotated);
        let gated = Gated { gate: gate.clone(), generator: &generator };
        for index in 0..9 {
            let found = prompts(&gated, &slices, index).expect("slices like these");
            if (2..7).contains(&index) {
                let asked = prompts(&generator, &slices, index).expect("slices like these");
                assert_eq!(found, asked, "slice {index} passes the gate");
            } else {
                assert_eq!(found, None, "slice {index} is empty");
            }
        }
    }
}

/// A segmenter that gives one value everywhere.
struct Constant(f32);

impl CoarseSegmenter<B> for Constant {
    fn predict(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3>, SapnetError> {
        Ok(Tensor::full([features.dims()[0], size[0], size[1]], self.0, &features.device()))
    }
}

#[test]
fn a_coarse_map_of_nan_is_an_error_and_no_empty_slice() {
    let slices = volume(&fixed());
    let generator = |value| {
        let extraction = PromptExtraction::default().with_mask(true);
        CoarseGenerator::<B>::new(Arc::new(Constant(value)), extraction).expect("a valid extraction")
    };
    assert_eq!(prompts(&generator(0.1), &slices, 4).expect("a map"), None);
    let error = prompts(&generator(f32::NAN), &slices, 4).expect_err("NaN");
    assert!(matches!(error, AutoError::Coarse(SapnetError::NotFinite { .. })), "{error}");
    let embedding = slices.embedding(4).expect("in memory");
    assert!(generator(f32::NAN).mask(&embedding).is_err());
}

#[test]
fn the_knob_opens_and_closes_the_gate() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let annotated: Vec<_> = [3, 8].into_iter().map(|index| support(&slices, index)).collect();
    let passed = |threshold| {
        let gate = GateConfig::default().with_threshold(threshold).fit(&annotated).expect("valid slices");
        (0..9).filter(|&index| gate.passes(index, &slices.embedding(index).expect("in memory"))).count()
    };
    assert_eq!((passed(-10.0), passed(10.0)), (9, 0));
    assert!(passed(0.0) < 9);
}

#[test]
fn a_slice_is_prompted_alike_in_any_order() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let annotated = [support(&slices, 4), support(&slices, 8)];
    for method in methods() {
        let generator = fit(method, PromptExtraction::default().with_points(4).with_mask(true), &annotated);
        let there: Vec<_> = (2..7).map(|index| prompts(&generator, &slices, index).expect("valid")).collect();
        let mut back: Vec<_> = (2..7).rev().map(|index| prompts(&generator, &slices, index).expect("valid")).collect();
        back.reverse();
        assert_eq!(there, back);
        assert_ne!(there[0], there[1], "each slice draws its own points");
    }
}

#[test]
fn annotated_slices_stay_and_the_clean_up_keeps_the_largest_component() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let annotated = [support(&slices, 4)];
    let generator: Arc<dyn PromptGenerator<B>> =
        Arc::new(fit(methods()[0].clone(), PromptExtraction::default(), &annotated));
    let outlines = [(4, square())].into();
    for clean_up in [CleanUp::Nothing, CleanUp::EachSlice(1), CleanUp::Volume(1)] {
        let config = SegmenterConfig::default().with_clean_up(clean_up).with_vote(Vote::Majority);
        let segmenter = VolumeSegmenter::new(predictor.clone(), vec![generator.clone(); 3], config);
        let found =
            segmenter.expect("a generator").segment(&slices, &outlines, &mut ignore_progress()).expect("a volume");
        assert_eq!(found.slices[4], SegmentedSlice::Annotated(square()));
        // Three identical generators agree.
        assert!(found.agreement.values().all(|&agreement| agreement >= 1.0));
        assert_eq!(found.agreement.len(), 8);
        if clean_up != CleanUp::Nothing {
            let parts = |slice: &SegmentedSlice| {
                slice.mask().map_or(0, |mask| sam_prompt::component_masks(mask.view(), 1).len())
            };
            assert!(clean_up == CleanUp::Volume(1) || found.slices.iter().all(|slice| parts(slice) <= 1));
        }
    }
}

#[test]
fn in_a_volume_the_nearest_annotated_slices_count() -> TestResult {
    let predictor = fixed();
    let slices = volume(&predictor);
    let moved = Array2::from_shape_fn(SIZE, |(row, column)| row >= 3 && square()[(row - 3, column)]);
    let annotated = [slices.annotated(6, moved), slices.annotated(2, square())];
    let panet = |annotated: &[AnnotatedSlice<B>]| {
        fit(CoarseMethod::Panet(SupportConfig::default()), PromptExtraction::default(), annotated)
    };
    let (both, embedding) = (panet(&annotated), slices.embedding(4)?);
    let near = |first: &Array2<f32>, second: &Array2<f32>| first.iter().zip(second).all(|(a, b)| (a - b).abs() < 1e-4);
    assert_eq!(both.map_at(2, &embedding)?, both.map(&embedding)?, "all alike");
    let in_volume = both.in_volume();
    for (slice, alone) in [(6, &annotated[..1]), (8, &annotated[..1]), (2, &annotated[1..]), (0, &annotated[1..])] {
        assert!(near(&in_volume.map_at(slice, &embedding)?, &panet(alone).map(&embedding)?), "slice {slice}");
    }
    assert!(near(&in_volume.map_at(4, &embedding)?, &both.map(&embedding)?), "in the middle");
    assert!(!near(&in_volume.map_at(3, &embedding)?, &both.map(&embedding)?));
    Ok(())
}

#[test]
fn impossible_tasks_are_errors() {
    let predictor = fixed();
    let slices = volume(&predictor);
    let empty = [support(&slices, 0)];
    let config = CoarseConfig::default();
    assert!(matches!(config.fit::<B>(&[], &mut ignore_progress()), Err(AutoError::NothingAnnotated)));
    assert!(matches!(config.fit(&empty, &mut ignore_progress()), Err(AutoError::NothingAnnotated)));
    assert!(matches!(GateConfig::default().fit(&empty), Err(AutoError::NothingAnnotated)));
    let seeds = PointPropagationConfig::default();
    assert!(matches!(seeds.fit(&empty, &slices, &mut ignore_progress()), Err(AutoError::NothingAnnotated)));
    let embedding = slices.embedding(0).expect("in memory");
    let beyond = [AnnotatedSlice::new(9, embedding.clone(), square()).expect("of one size")];
    assert!(matches!(
        seeds.fit(&beyond, &slices, &mut ignore_progress()),
        Err(AutoError::Core(CoreError::NoSuchSlice { index: 9, count: 9 }))
    ));
    let small = AnnotatedSlice::new(0, embedding, Array2::from_elem((3, 3), true));
    assert!(matches!(small, Err(CoreError::OutlineSize { found: (3, 3), .. })));
    for config in [
        PointPropagationConfig::default().with_points(0),
        PointPropagationConfig::default().with_window(4),
        PointPropagationConfig::default().with_tolerance(f32::NAN),
        PointPropagationConfig::default().with_adaption(1.5),
    ] {
        assert!(config.check().is_err(), "{config:?}");
    }
    assert!(VolumeSegmenter::<B>::new(predictor, Vec::new(), SegmenterConfig::default()).is_err());
}

/// Slices that are never embedded.
struct Levels(Vec<Array3<u8>>);

impl SliceSource<B> for Levels {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
        self.0.get(index).cloned().ok_or_else(|| SliceError::new(index, "it lies outside of the volume"))
    }

    fn embedding(&self, index: usize) -> Result<ImageEmbedding<B>, SliceError> {
        Err(SliceError::new(index, "points are propagated without any embedding"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn propagation_ends_and_never_leaves_the_volume(
        levels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), SIZE.0 * SIZE.1), 1..7),
        at in any::<prop::sample::Index>(),
        tolerance in 0.0_f32..6.0,
        drift in 0_usize..4,
        max_distance in proptest::option::of(0_usize..5),
        seed in any::<u64>(),
    ) {
        let to_image = |levels: Vec<u8>| Array3::from_shape_vec((SIZE.0, SIZE.1, 1), levels).expect("as many as pixels");
        let count = levels.len();
        let index = at.index(count);
        let source = Levels(levels.into_iter().map(to_image).collect());
        let predictor = fixed();
        let embedding = predictor.embed(image(true).view()).expect("a small image");
        let annotated = [AnnotatedSlice::new(index, embedding.clone(), square()).expect("of one size")];
        let config = PointPropagationConfig::default()
            .with_tolerance(tolerance)
            .with_drift(drift)
            .with_max_distance(max_distance)
            .with_seed(seed);
        let mut seen = Vec::new();
        let mut note = |progress: &Progress| {
            seen.push((progress.done, progress.total, progress.slice));
            ControlFlow::Continue(())
        };
        let runs: Vec<PointGenerator> = config.fit(&annotated, &source, &mut note).expect("a valid task");
        prop_assert_eq!(runs.len(), 1);
        let reached: Vec<usize> = runs[0].reached().collect();
        prop_assert!(reached.contains(&index));
        // One call for each slice that was read, and no more calls than slices in reach.
        prop_assert!(seen.iter().enumerate().all(|(at, &(done, total, _))| done == at + 1 && done <= total));
        prop_assert!(reached.iter().all(|&slice| seen.iter().any(|&(.., read)| read == Some(slice))));
        if seen.len() > 1 {
            let stopped = config.fit(&annotated, &source, &mut |_: &Progress| ControlFlow::Break(()));
            prop_assert!(matches!(stopped, Err(AutoError::Stopped)));
        }
        prop_assert!(reached.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {:?}", reached);
        for &slice in &reached {
            prop_assert!(slice < count && max_distance.is_none_or(|most| slice.abs_diff(index) <= most));
            let level = image(true);
            let context = SliceContext::new(slice, level.view(), &embedding);
            let found = runs[0].generate(&context).expect("a reached slice").expect("points");
            prop_assert!(!found.points.is_empty() && found.points.len() <= config.points);
            for point in &found.points {
                prop_assert!(point.x >= 0.0 && point.y >= 0.0);
                prop_assert!((point.x as usize) < SIZE.1 && (point.y as usize) < SIZE.0);
            }
        }
    }
}
