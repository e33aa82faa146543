//! Fusion of shape, image, pixel classifier and model, and what uses the shape alone.

use std::{ops::ControlFlow, sync::Arc};

use ndarray::{Array2, Axis};
use sam_auto::{
    AutoError, FusionConfig, FusionWeights, GateConfig, PixelClassifierConfig,
    Presence::{Absent, Certain, Possible},
    PromptExtraction, PromptGenerator, Segmentation, SegmentedSlice, ShapeConfig, ShapeGenerator, ShapePrior,
    SliceContext, Strategy, StrategyKind, WithinOutlines,
};
use sam_core::{AnnotatedSlice, CoreError, SamPredictor, SliceSource};
use sam_prompt::{PixelAspect, mask_area, progress::ignore_progress};
use sam_testing::{B, TestResult, tiny::fixed};

use crate::common::{Gone, Images, dice, moving_image, moving_outline, square, stop_after};

fn source(predictor: &SamPredictor<B>) -> Images {
    Images::new(predictor, (0..11).map(moving_image).collect())
}

fn annotated(source: &Images) -> Vec<AnnotatedSlice<B>> {
    [3, 7].map(|index| source.annotated(index, moving_outline(index))).to_vec()
}

/// The model of random weights counts for nothing.
fn without_model() -> FusionConfig {
    FusionConfig::default().with_weights(FusionWeights::default().with_model(0.0)).with_wide_gap(1.0)
}

#[test]
fn the_image_moves_the_edge_of_the_shape() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let strategy = Strategy::Fusion(without_model());
    let found = strategy.segment(annotated(&source), &predictor, &source, &mut ignore_progress())?;
    for (index, slice) in found.slices.iter().enumerate() {
        match index {
            3 | 7 => assert_eq!(slice, &SegmentedSlice::Annotated(moving_outline(index))),
            4..7 => {
                let mask = slice.mask().ok_or("it lies between two outlines")?;
                assert!(dice(mask, &moving_outline(index)) > 0.99, "slice {index}");
            }
            // Half a gap beyond the outermost outline.
            1 | 2 | 8 | 9 => assert!(slice.mask().is_some(), "slice {index}"),
            _ => assert_eq!(slice, &SegmentedSlice::Empty, "slice {index}"),
        }
    }
    let again = strategy.segment(annotated(&source), &predictor, &source, &mut ignore_progress())?;
    assert_eq!(found, again);
    Ok(())
}

/// A disc that moves, and whose radius is not what its neighbours say.
fn growing(slice: usize) -> Array2<bool> {
    let (centre, radius) = ((18.0 + 1.5 * slice as f32, 20.0 + slice as f32), 8.0 + (slice as f32 * 0.7).sin() * 2.0);
    Array2::from_shape_fn((44, 44), |(row, column)| (row as f32 - centre.0).hypot(column as f32 - centre.1) < radius)
}

/// A disc of [`growing`] in noise.
fn growing_image(slice: usize) -> Array2<u8> {
    let mask = growing(slice);
    let noise = |row: usize, column: usize| ((31 * row + 17 * column) % 23) as u8;
    Array2::from_shape_fn(mask.dim(), |at| 80 + 12 * u8::from(mask[at]) + noise(at.0, at.1))
}

/// An image whose columns are each cut into several.
fn cut<T: Copy>(image: &Array2<T>, times: usize) -> Array2<T> {
    Array2::from_shape_fn((image.nrows(), times * image.ncols()), |(row, column)| image[(row, column / times)])
}

#[test]
fn the_fusion_does_not_depend_on_how_columns_are_cut() -> TestResult {
    let (predictor, last) = (fixed(), 4);
    let config = without_model().with_classifier(PixelClassifierConfig::default().with_trees(20));
    let masks = |times: usize, aspect| -> Result<Vec<_>, AutoError> {
        let image = |slice| cut(&growing_image(slice), times).insert_axis(Axis(2));
        let source = Images::new(&predictor, (0..=last).map(image).collect()).with_aspect(aspect);
        let annotated = [0, last].map(|slice| source.annotated(slice, cut(&growing(slice), times))).to_vec();
        let strategy = Strategy::Fusion(config.clone());
        let found = strategy.segment(annotated, &predictor, &source, &mut ignore_progress())?;
        Ok((1..last).filter_map(|slice| found.slices[slice].mask().cloned()).collect())
    };
    let thin = PixelAspect::of_spacing(4.0, 1.0).ok_or("positive numbers")?;
    let square = masks(1, PixelAspect::SQUARE)?;
    let agreement = |found: &[Array2<bool>]| {
        let all = square.iter().zip(found).map(|(square, found)| dice(&cut(square, 4), found));
        all.sum::<f64>() / (last - 1) as f64
    };
    let (right, ignored) = (agreement(&masks(4, thin)?), agreement(&masks(4, PixelAspect::SQUARE)?));
    assert!(right > 0.97 && right > ignored, "{right} and {ignored}");
    Ok(())
}

#[test]
fn wide_gaps_are_propagated_through_before_slices_are_segmented() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let told = |wide_gap: f32| -> Result<Vec<(usize, usize)>, AutoError> {
        let (mut told, strategy) = (Vec::new(), Strategy::Fusion(without_model().with_wide_gap(wide_gap)));
        strategy.segment(annotated(&source), &predictor, &source, &mut |progress| {
            told.push((progress.done, progress.total));
            ControlFlow::Continue(())
        })?;
        Ok(told)
    };
    // Two outlines have one gap: the whole. Nine slices are open; three of them are between the outlines: they may be reached from
    // both, and compared with the shape.
    let (without, with) = (told(1.0)?, told(0.9)?);
    assert_eq!(without, (1..10).map(|done| (done, 9)).collect::<Vec<_>>());
    let (propagated, segmented) = with.split_at(with.len() - 9);
    assert!((1..=9).contains(&propagated.len()), "{propagated:?}");
    assert_eq!(propagated, (1..=propagated.len()).map(|done| (done, 18)).collect::<Vec<_>>());
    assert_eq!(segmented, (10..19).map(|done| (done, 18)).collect::<Vec<_>>());

    let config = without_model().with_wide_gap(0.9);
    let fitted = Strategy::Fusion(config).fit(annotated(&source), &source, &mut ignore_progress())?;
    let stopped = fitted.segment(&predictor, &source, &mut stop_after(1))?;
    assert!(stopped.stopped && stopped.slices[5] == SegmentedSlice::NotReached, "stopped while masks were propagated");
    let mut calls = 0;
    fitted.segment(&predictor, &source, &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    })?;
    assert!(calls <= 2, "{calls} calls: each direction ends with its first prediction, and nothing is compared");
    Ok(())
}

#[test]
fn masks_are_propagated_from_one_outline() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let one = vec![source.annotated(5, moving_outline(5))];
    let config = FusionConfig::default().with_seed(4);
    let fitted = Strategy::Fusion(config.clone()).fit(one.clone(), &source, &mut ignore_progress())?;
    assert_eq!(fitted.kind(), StrategyKind::MaskPropagation);
    let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
    let expected = Strategy::MaskPropagation(config.propagation);
    assert_eq!(found, expected.segment(one, &predictor, &source, &mut ignore_progress())?);
    let two = Strategy::default().fit(annotated(&source), &source, &mut ignore_progress())?;
    assert_eq!(two.kind(), StrategyKind::Fusion);
    Ok(())
}

#[test]
fn a_slice_is_scored_as_it_was_segmented() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    for strategy in [Strategy::default(), StrategyKind::Shape.into()] {
        let fitted = strategy.fit(annotated(&source), &source, &mut ignore_progress())?;
        let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
        let own = fitted.scorer(&found).ok_or("it has scores")?;
        for (index, slice) in found.slices.iter().enumerate() {
            let inside = own.scores(&predictor, &source, index)?.map(|scores| scores.mapv(|score| score > 0.0));
            match slice {
                SegmentedSlice::Empty => assert!(inside.is_none_or(|inside| mask_area(inside.view()) == 0)),
                shown => assert_eq!(inside.as_ref(), shown.mask(), "{}, slice {index}", fitted.kind()),
            }
        }
    }
    let shape = Strategy::Shape(ShapeConfig::default()).fit(annotated(&source), &source, &mut ignore_progress())?;
    let none = Segmentation::default();
    let scores =
        shape.scorer(&none).ok_or("it has scores")?.scores(&predictor, &source, 4)?.ok_or("between outlines")?;
    let outlines = annotated(&source).iter().map(|slice| (slice.index(), slice.outline().clone())).collect();
    let expected = ShapePrior::new(&outlines)?.slice(4).ok_or("between outlines")?;
    assert_eq!(scores, expected.signed / expected.width);
    for kind in ["propagation", "classification"] {
        let strategy = Strategy::from(kind.parse::<StrategyKind>()?);
        let fitted = strategy.fit(annotated(&source), &source, &mut ignore_progress())?;
        assert!(fitted.scorer(&none).is_none(), "{kind} takes the model's masks");
    }
    Ok(())
}

#[test]
fn the_model_counts_by_its_weight() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let masks = |weight| -> Result<Vec<_>, AutoError> {
        let weights = FusionWeights::default().with_model(weight);
        let strategy = Strategy::Fusion(FusionConfig::default().with_weights(weights));
        Ok(strategy.segment(annotated(&source), &predictor, &source, &mut ignore_progress())?.slices)
    };
    assert_ne!(masks(0.0)?, masks(100.0)?);
    for weights in [FusionWeights::default().with_model(f32::NAN), FusionWeights::default().with_shape(0.0)] {
        let strategy = Strategy::Fusion(FusionConfig::default().with_weights(weights));
        assert!(matches!(strategy.check(), Err(AutoError::Config(_))), "{weights:?}");
    }
    Ok(())
}

#[test]
fn a_stopped_fusion_is_marked_and_a_failed_slice_is_named() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let fitted = Strategy::Fusion(without_model()).fit(annotated(&source), &source, &mut ignore_progress())?;
    let part = fitted.segment(&predictor, &source, &mut stop_after(4))?;
    assert!(part.stopped);
    let reached = part.slices.iter().filter(|slice| **slice != SegmentedSlice::NotReached).count();
    assert_eq!(reached, 6, "two outlines, and four more");
    let failed = fitted.segment(&predictor, &Gone(11), &mut ignore_progress()).err().ok_or("no slice can be read")?;
    assert!(failed.to_string().contains("slice 2"), "counted from 1: {failed}");
    let outside = fitted.segment(&predictor, &Gone(5), &mut ignore_progress());
    assert!(matches!(outside, Err(AutoError::Core(CoreError::NoSuchSlice { index: 7, count: 5 }))), "{outside:?}");
    Ok(())
}

#[test]
fn the_shape_alone_needs_neither_image_nor_model() -> TestResult {
    let predictor = fixed();
    let annotated = annotated(&source(&predictor));
    let strategy = Strategy::Shape(ShapeConfig::default());
    let found = strategy.segment(annotated, &predictor, &Gone(11), &mut ignore_progress())?;
    let SegmentedSlice::Predicted { mask, predicted_iou: None } = &found.slices[5] else {
        panic!("{:?}", found.slices[5])
    };
    assert_eq!(mask, &square(5));
    assert_eq!(found.slices[0], SegmentedSlice::Empty);
    assert!(Strategy::Shape(ShapeConfig::default().with_reach(f32::NAN)).check().is_err());
    Ok(())
}

#[test]
fn the_shape_prompts_with_boxes_points_and_a_mask() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let prior = Arc::new(ShapePrior::new(&[(3, square(3)), (7, square(7))].into())?);
    let prompts = |index: usize, extraction: PromptExtraction| {
        let (image, embedding) = (source.image(index)?, source.embedding(index)?);
        let generator = ShapeGenerator::new(Arc::clone(&prior), extraction)?;
        PromptGenerator::<B>::generate(&generator, &SliceContext::new(index, image.view(), &embedding))
    };
    let boxed = prompts(5, PromptExtraction::default().with_box_margin(0.0))?.ok_or("between two outlines")?;
    let found: Vec<_> = boxed.boxes.iter().map(|found| (found.x_min, found.y_min, found.x_max, found.y_max)).collect();
    assert_eq!(found, [(18.5, 9.5, 34.5, 25.5)]);
    let points = prompts(5, PromptExtraction::points(3))?.ok_or("between two outlines")?;
    assert_eq!((points.points.len(), points.boxes.len()), (6, 0));
    let masked = prompts(5, PromptExtraction::mask())?.and_then(|prompts| prompts.mask).ok_or("a mask prompt")?;
    let inside = masked.mapv(|logit| logit > 0.0);
    // The same share of the picture as on the slice, up to a row of low-res pixels.
    let (found, side) = (mask_area(inside.view()) as f64, masked.nrows() as f64);
    let frame = source.embedding(5)?.frame();
    let expected = 256.0 * (side / frame.padded as f64 * frame.resized.0 as f64 / frame.original.0 as f64).powi(2);
    assert!((found / expected - 1.0).abs() < 0.3, "{found} of about {expected}");
    assert_eq!(prompts(0, PromptExtraction::default())?, None);
    Ok(())
}

#[test]
fn outlines_say_where_a_structure_is() -> TestResult {
    let empty = Array2::from_elem(square(0).dim(), false);
    let outlines = [(3, square(3)), (7, square(7)), (9, empty)].into();
    let prior = ShapePrior::new(&outlines)?;
    let found: Vec<_> = (0..12).map(|slice| prior.presence(slice)).collect();
    let expected =
        [Absent, Possible, Possible, Certain, Certain, Certain, Certain, Certain, Possible, Absent, Absent, Absent];
    assert_eq!(found, expected);

    let predictor = fixed();
    let source = source(&predictor);
    let closed = GateConfig::default().with_threshold(f32::MAX).fit(&annotated(&source))?;
    let boxes = ShapeGenerator::new(prior.clone(), PromptExtraction::default())?;
    let within = WithinOutlines::new(Arc::new(prior), Arc::new(closed), boxes);
    for (index, presence) in expected.into_iter().enumerate().take(11) {
        let (image, embedding) = (source.image(index)?, source.embedding(index)?);
        let prompts = within.generate(&SliceContext::new(index, image.view(), &embedding))?;
        assert_eq!(prompts.is_some(), presence == Certain, "slice {index}");
    }
    Ok(())
}
