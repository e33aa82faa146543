//! Correction clicks: each is on the largest error, and finally no error is left.

use ndarray::Array2;
use proptest::prelude::*;
use sam_prompt::{CorrectionClick, Label, Placement, PromptError, component_masks};

use crate::{
    masks::naive_distances,
    strategies::{each_mask, few_cases, is_in, place, places, seeded},
};

const CLICKS: [CorrectionClick; 2] =
    [CorrectionClick { placement: Placement::Peak }, CorrectionClick { placement: Placement::Random }];

/// The false negatives and the false positives as components, each largest first.
fn errors(predicted: &Array2<bool>, truth: &Array2<bool>) -> [Vec<Array2<bool>>; 2] {
    let without = |has: &Array2<bool>, lacks: &Array2<bool>| component_masks((has & !lacks).view(), 1);
    [without(truth, predicted), without(predicted, truth)]
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn clicks_lie_on_the_largest_error(masks in each_mask(), seed: u64) {
        for (predicted, truth) in masks.iter().flat_map(|one| masks.iter().map(move |other| (one, other))) {
            for click in CLICKS {
                let next = || click.next(predicted.view(), truth.view(), &mut seeded(seed)).expect("the masks are of one shape");
                let found = next();
                prop_assert_eq!(found, next(), "the seed decides");
                let [missed, surplus] = errors(predicted, truth);
                let Some(point) = found else {
                    prop_assert_eq!(predicted, truth, "only what is right needs no click");
                    continue;
                };
                let (same, other) =
                    if point.label == Label::Foreground { (missed, surplus) } else { (surplus, missed) };
                let error = same.iter().find(|error| is_in(error, &point)).expect("the click lies on an error of its label");
                let size = |error: &Array2<bool>| error.iter().filter(|&&inside| inside).count();
                prop_assert!(same.iter().chain(&other).all(|another| size(another) <= size(error)));
                if click.placement == Placement::Peak {
                    let distances = naive_distances(error);
                    prop_assert!(distances.iter().all(|&distance| distance <= distances[place(&point)]));
                }
            }
        }
    }

    #[test]
    fn as_many_clicks_as_errors_correct_everything(masks in each_mask(), seed: u64) {
        let (mut rng, truth) = (seeded(seed), &masks[7]);
        for (click, start) in CLICKS.iter().flat_map(|click| masks.iter().map(move |start| (click, start))) {
            let mut predicted = start.clone();
            let needed: usize = errors(&predicted, truth).iter().map(Vec::len).sum();
            for _ in 0..needed {
                let next = click.next(predicted.view(), truth.view(), &mut rng).expect("the masks are of one shape");
                let point = next.expect("an error is left");
                let clicked = errors(&predicted, truth).into_iter().flatten().find(|error| is_in(error, &point));
                predicted = predicted ^ clicked.expect("the click lies on an error");
            }
            prop_assert_eq!(&predicted, truth);
            prop_assert_eq!(click.next(predicted.view(), truth.view(), &mut rng).expect("one shape"), None);
        }
    }
}

#[test]
fn random_clicks_reach_the_whole_error() {
    let truth = Array2::from_shape_fn((5, 6), |(row, column)| row + column > 6);
    let nothing = Array2::from_elem((5, 6), false);
    let mut rng = seeded(2);
    let mut next = |predicted: &Array2<bool>, truth: &Array2<bool>| {
        let click = CorrectionClick { placement: Placement::Random };
        click.next(predicted.view(), truth.view(), &mut rng).expect("the masks are of one shape").expect("they differ")
    };
    let clicks: Vec<_> = (0..200).map(|_| next(&nothing, &truth)).collect();
    assert_eq!(places(&clicks, truth.dim()).0, truth);
    assert_eq!(next(&truth, &nothing).label, Label::Background);
}

#[test]
fn missed_errors_come_before_equally_large_ones_that_are_too_many() {
    let truth = Array2::from_shape_fn((3, 5), |(_, column)| column == 4);
    let predicted = Array2::from_shape_fn((3, 5), |(_, column)| column == 0);
    for click in CLICKS {
        let point = click.next(predicted.view(), truth.view(), &mut seeded(0)).expect("one shape").expect("two errors");
        assert_eq!(point.label, Label::Foreground);
    }
}

#[test]
fn masks_of_two_shapes_are_refused_and_both_named() {
    let (predicted, truth) = (Array2::from_elem((4, 5), true), Array2::from_elem((5, 4), true));
    let found = CorrectionClick::default().next(predicted.view(), truth.view(), &mut seeded(0));
    let error = found.expect_err("the shapes differ");
    assert!(matches!(error, PromptError::UnequalMasks { .. }));
    let message = error.to_string();
    assert!(message.contains("[4, 5]") && message.contains("[5, 4]"), "{message}");
}
