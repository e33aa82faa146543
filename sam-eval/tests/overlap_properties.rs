//! Properties of Dice and IoU that hold for any pair of masks, including empty and full ones.

use std::collections::HashSet;

use ndarray::{Array2, Array3, Axis, Ix2, s};
use proptest::prelude::*;
use sam_eval::{Confusion, EmptyPolicy, EvalError, dice, iou};

const POLICIES: [EmptyPolicy; 3] = [EmptyPolicy::Nan, EmptyPolicy::One, EmptyPolicy::Zero];

/// Two masks of one shape, each with its own random share of true elements: sparse, dense, empty or full.
fn pair() -> impl Strategy<Value = (Array2<bool>, Array2<bool>)> {
    let share = || prop_oneof![Just(0.0), Just(1.0), 0.0..1.0];
    (1_usize..8, 1_usize..8, share(), share()).prop_flat_map(|(height, width, first, second)| {
        let mask = move |share| {
            prop::collection::vec(prop::bool::weighted(share), height * width)
                .prop_map(move |elements| Array2::from_shape_fn((height, width), |(y, x)| elements[y * width + x]))
        };
        (mask(first), mask(second))
    })
}

fn same(first: f64, second: f64) -> bool {
    (first.is_nan() && second.is_nan()) || (first - second).abs() < 1e-12
}

proptest! {
    #[test]
    fn agrees_with_sets_of_pixels((a, b) in pair()) {
        let pixels = |mask: &Array2<bool>| -> HashSet<(usize, usize)> {
            mask.indexed_iter().filter_map(|(at, &inside)| inside.then_some(at)).collect()
        };
        let (set_a, set_b) = (pixels(&a), pixels(&b));
        let both = set_a.intersection(&set_b).count() as f64;
        let naive_dice = 2.0 * both / (set_a.len() + set_b.len()) as f64;
        let naive_iou = both / set_a.union(&set_b).count() as f64;
        prop_assert!(same(dice(&a, &b, EmptyPolicy::Nan)?, naive_dice));
        prop_assert!(same(iou(&a, &b, EmptyPolicy::Nan)?, naive_iou));
    }

    #[test]
    fn is_symmetric_and_bounded((a, b) in pair()) {
        for policy in POLICIES {
            for metric in [dice::<Ix2>, iou::<Ix2>] {
                let score = metric(&a, &b, policy)?;
                prop_assert!(same(score, metric(&b, &a, policy)?));
                prop_assert!(score.is_nan() || (0.0..=1.0).contains(&score));
            }
        }
    }

    #[test]
    fn precision_recall_and_volume_follow_from_sets((a, b) in pair()) {
        let count = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count() as f64;
        let both = a.iter().zip(&b).filter(|&(&a, &b)| a && b).count() as f64;
        let counts = Confusion::count(&a, &b)?;
        prop_assert!(same(counts.precision(EmptyPolicy::Nan), both / count(&a)));
        prop_assert!(same(counts.recall(EmptyPolicy::Nan), both / count(&b)));
        let larger = if count(&b) > 0.0 { (count(&a) - count(&b)) / count(&b) } else { f64::NAN };
        prop_assert!(same(counts.relative_volume_difference(), larger));
        // Dice is the harmonic mean of both; a policy applies only if both masks are empty.
        let (precision, recall) = (counts.precision(EmptyPolicy::One), counts.recall(EmptyPolicy::One));
        if both > 0.0 {
            let mean = 2.0 * precision * recall / (precision + recall);
            prop_assert!(same(counts.dice(EmptyPolicy::One), mean));
        }
        let both_empty = count(&a) + count(&b) < 0.5;
        prop_assert_eq!(same(precision, 1.0) && same(recall, 1.0), both_empty || a == b);
    }

    #[test]
    fn is_one_only_for_equal_masks((a, b) in pair()) {
        prop_assert!(same(dice(&a, &a, EmptyPolicy::One)?, 1.0));
        prop_assert_eq!(same(dice(&a, &b, EmptyPolicy::One)?, 1.0), a == b);
    }

    #[test]
    fn dice_follows_from_iou((a, b) in pair()) {
        for policy in POLICIES {
            let iou = iou(&a, &b, policy)?;
            prop_assert!(same(dice(&a, &b, policy)?, 2.0 * iou / (1.0 + iou)));
        }
    }

    #[test]
    fn only_both_masks_empty_is_a_matter_of_policy((a, b) in pair()) {
        let empty = |mask: &Array2<bool>| !mask.iter().any(|&inside| inside);
        let score = dice(&a, &b, EmptyPolicy::Nan)?;
        prop_assert_eq!(score.is_nan(), empty(&a) && empty(&b));
        if empty(&a) != empty(&b) {
            prop_assert!(same(score, 0.0));
        }
    }

    #[test]
    fn moving_both_masks_changes_nothing((a, b) in pair(), dy in 0_usize..4, dx in 0_usize..4) {
        let place = |mask: &Array2<bool>, dy: usize, dx: usize| {
            let (height, width) = mask.dim();
            let mut canvas = Array2::from_elem((12, 12), false);
            canvas.slice_mut(s![dy..dy + height, dx..dx + width]).assign(mask);
            canvas
        };
        let moved = Confusion::count(&place(&a, dy, dx), &place(&b, dy, dx))?;
        prop_assert_eq!(moved, Confusion::count(&place(&a, 0, 0), &place(&b, 0, 0))?);
        prop_assert!(same(moved.dice(EmptyPolicy::Nan), dice(&a, &b, EmptyPolicy::Nan)?));
    }

    #[test]
    fn memory_order_changes_nothing((a, b) in pair()) {
        let transposed = Confusion::count(&a.t(), &b.t())?;
        prop_assert_eq!(transposed, Confusion::count(&a, &b)?);
    }

    #[test]
    fn slices_add_up_to_the_volume((a, b) in pair(), depth in 1_usize..4) {
        let volume = |mask: &Array2<bool>| -> Array3<bool> {
            Array3::from_shape_fn((depth, mask.nrows(), mask.ncols()), |(z, y, x)| mask[[y, x]] ^ (z % 2 == 1))
        };
        let (a, b) = (volume(&a), volume(&b));
        let slices: Result<Vec<_>, _> =
            (0..depth).map(|z| Confusion::count(&a.index_axis(Axis(0), z), &b.index_axis(Axis(0), z))).collect();
        prop_assert_eq!(slices?.into_iter().sum::<Confusion>(), Confusion::count(&a, &b)?);
    }
}

#[test]
fn masks_of_different_shapes_are_refused() {
    let result = dice(&Array2::from_elem((2, 3), true), &Array2::from_elem((3, 2), true), EmptyPolicy::One);
    assert_eq!(result, Err(EvalError::ShapeMismatch { prediction: vec![2, 3], truth: vec![3, 2] }));
}
