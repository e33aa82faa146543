//! What Dice is to be expected of a fusion, from outlines that are left out.

use ndarray::Array2;
use sam_assist::AssistConfig;
use sam_auto::{
    AutoError, ExpectedDice, FusionConfig, FusionWeights, LeftOutModel, LeftOutOutline, PixelClassifierConfig,
};
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::{
    error_chain,
    progress::{Observer, Progress, Stage, ignore_progress},
};
use sam_testing::{B, TestResult, tiny::fixed};

use crate::common::{Images, moving_image, moving_outline, square, stop_after};

/// Slice 4 alone is looked for between these outlines; 3 and 6 are left out.
const OUTLINED: [usize; 5] = [2, 3, 5, 6, 7];

fn source(predictor: &SamPredictor<B>) -> Images {
    Images::new(predictor, (0..11).map(moving_image).collect())
}

fn annotated(source: &Images, indices: &[usize]) -> Vec<AnnotatedSlice<B>> {
    indices.iter().map(|&index| source.annotated(index, moving_outline(index))).collect()
}

/// A small classifier.
fn fusion() -> FusionConfig {
    FusionConfig::default().with_classifier(PixelClassifierConfig::default().with_trees(5))
}

fn learning() -> AssistConfig {
    AssistConfig::mixed().with_iterations(1)
}

fn expected(
    annotated: &[AnnotatedSlice<B>],
    source: &Images,
    observer: &mut Observer<'_>,
) -> Result<Option<ExpectedDice>, AutoError> {
    let model = LeftOutModel::Learned { predictor: &fixed(), config: &learning(), start: None };
    fusion().expected_dice(annotated, model, source, observer)
}

#[test]
fn outlines_that_are_left_out_are_not_learned_from() -> TestResult {
    let source = source(&fixed());
    let all = annotated(&source, &OUTLINED);
    let found = expected(&all, &source, &mut ignore_progress())?.ok_or("five outlines")?;
    assert_eq!(found.left_out.iter().map(|outline| outline.index).collect::<Vec<_>>(), [3, 6]);
    for LeftOutOutline { dice, .. } in &found.left_out {
        let parts = [dice.shape, dice.image, dice.classifier, dice.model, dice.fused];
        assert!(parts.iter().all(|part| (0.0..=1.0).contains(part)), "{dice:?}");
        assert!(dice.image > 0.95 && dice.classifier > 0.9, "the squares are brighter than all else: {dice:?}");
    }
    // Another outline on a left-out slice changes its own Dice, and nothing of the other one.
    let mut other = all;
    other[1] = source.annotated(3, square(3).mapv(|inside| !inside));
    let changed = expected(&other, &source, &mut ignore_progress())?.ok_or("five outlines")?;
    assert_eq!(changed.left_out[1], found.left_out[1]);
    assert!(changed.left_out[0].dice.shape < 0.5, "{changed:?}");
    // One that remains is learned from.
    let mut other = annotated(&source, &OUTLINED);
    other[2] = source.annotated(5, square(5).mapv(|inside| !inside));
    let changed = expected(&other, &source, &mut ignore_progress())?.ok_or("five outlines")?;
    assert_ne!(changed.left_out, found.left_out);
    Ok(())
}

#[test]
fn it_is_the_same_each_time_and_recorded_as_json() -> TestResult {
    let source = source(&fixed());
    let all = annotated(&source, &OUTLINED);
    let [first, second] = [(), ()].map(|()| expected(&all, &source, &mut ignore_progress()));
    let (first, second) = (first?.ok_or("five outlines")?, second?.ok_or("five outlines")?);
    assert_eq!((&first.left_out, first.expected), (&second.left_out, second.expected));
    assert!(first.expected >= first.mean.fused && first.seconds > 0.0, "{first:?}");
    let json = serde_json::to_value(&first)?;
    assert_eq!((&json["left_out"][0]["index"], json["left_out"][0]["fused"].is_f64()), (&3.into(), true), "{json}");
    assert_eq!(serde_json::from_value::<ExpectedDice>(json)?, first);
    Ok(())
}

#[test]
fn nothing_is_to_be_expected_of_fewer_than_three_outlines() -> TestResult {
    let source = source(&fixed());
    for indices in [&[3][..], &[3, 7], &[0, 3, 7, 10], &[4, 5, 6]] {
        let found = expected(&annotated(&source, indices), &source, &mut |_| panic!("nothing is learned"))?;
        assert_eq!(found, None, "{indices:?}");
    }
    Ok(())
}

#[test]
fn a_model_can_be_used_as_it_is() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let all = annotated(&source, &OUTLINED);
    let mut seen = Vec::new();
    let mut observer = |progress: &Progress| {
        seen.push((progress.stage, progress.done, progress.total, progress.slice));
        std::ops::ControlFlow::Continue(())
    };
    // The model of random weights counts for nothing.
    let config = fusion().with_weights(FusionWeights::default().with_model(0.0));
    let found = config.expected_dice(&all, LeftOutModel::AsIs(&predictor), &source, &mut observer)?;
    assert!(found.ok_or("five outlines")?.mean.fused > 0.95);
    assert_eq!(seen, [(Stage::SelfCheck, 1, 2, Some(3)), (Stage::SelfCheck, 2, 2, Some(6))]);
    Ok(())
}

#[test]
fn it_can_be_stopped_and_its_errors_say_why() -> TestResult {
    let source = source(&fixed());
    let all = annotated(&source, &OUTLINED);
    // Three iterations, one for each outline that remains, and two outlines that are left out.
    for calls in [1, 3, 4] {
        let stopped = expected(&all, &source, &mut stop_after(calls));
        assert!(matches!(stopped, Err(AutoError::Stopped)), "{calls}: {stopped:?}");
    }
    assert!(expected(&all, &source, &mut stop_after(5))?.is_some(), "everything was done");
    let (predictor, learning) = (fixed(), learning().with_members(0));
    let model = LeftOutModel::Learned { predictor: &predictor, config: &learning, start: None };
    let failed = fusion().expected_dice(&all, model, &source, &mut ignore_progress());
    let failed = error_chain(&failed.err().ok_or("no members")?);
    assert!(failed.contains("cannot learn the outlines that remain") && failed.contains("members"), "{failed}");
    Ok(())
}

#[test]
fn an_absent_slice_remains() -> TestResult {
    let source = source(&fixed());
    let mut with_absent = annotated(&source, &[2, 5, 7]);
    let nothing = Array2::from_elem(square(0).dim(), false);
    with_absent.insert(0, source.annotated(0, nothing));
    let found = expected(&with_absent, &source, &mut ignore_progress())?.ok_or("three outlines")?;
    assert_eq!(found.left_out.iter().map(|outline| outline.index).collect::<Vec<_>>(), [5]);
    Ok(())
}
