//! Jittered and grown boxes.

use proptest::prelude::*;
use sam_prompt::{BoundingBox, BoxJitter, JitterRange, PromptError};

use crate::strategies::{ROUNDING, any_jitter, box_in_image, seeded};

/// The two edges of a side, exact and found, and the image's end beyond its last pixel centre.
type Side = ((f32, f32), (f32, f32), f32);

/// The start of every image, before its first pixel centre.
const START: f32 = -0.5;

fn sides(exact: BoundingBox, found: BoundingBox, (height, width): (usize, usize)) -> [Side; 2] {
    [
        ((exact.x_min, exact.x_max), (found.x_min, found.x_max), width as f32 - 0.5),
        ((exact.y_min, exact.y_max), (found.y_min, found.y_max), height as f32 - 0.5),
    ]
}

/// Whether a side is inside the image and as long as a pixel, or as the exact side if that is shorter.
fn is_usable((exact, found, end): Side) -> bool {
    START <= found.0
        && found.0 <= found.1
        && found.1 <= end
        && found.1 - found.0 >= (exact.1 - exact.0).min(1.0) - ROUNDING
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn jittered_boxes_stay_in_range_and_image((image, exact) in box_in_image(), jitter in any_jitter(), seed: u64) {
        let apply = || jitter.apply(exact, image.0, image.1, &mut seeded(seed)).expect("the range is valid");
        let found = apply();
        prop_assert_eq!(found, apply(), "the seed decides");
        for side in sides(exact, found, image) {
            prop_assert!(is_usable(side), "{:?}", side);
            let ((low, high), (low_found, high_found), _) = side;
            let reach = ROUNDING + match jitter.range {
                JitterRange::Pixels(reach) => reach,
                JitterRange::SideFraction(fraction) => fraction * (high - low),
                JitterRange::ImageFraction(fraction) => fraction * image.0.max(image.1) as f32,
                _ => unreachable!("the strategy draws no other range"),
            };
            prop_assert!((low_found - low).abs() <= reach && (high_found - high).abs() <= reach);
            // The exact box is inside the image, so clipping never moves its edges.
            prop_assert!(!jitter.outward_only || (low_found <= low && high <= high_found));
        }
    }

    #[test]
    fn no_jitter_and_no_margin_change_nothing(((height, width), exact) in box_in_image(), seed: u64) {
        let found = BoxJitter::NONE.apply(exact, height, width, &mut seeded(seed)).expect("zero is a valid range");
        prop_assert_eq!(found, exact);
        prop_assert_eq!(exact.grown(0.0, height, width), exact);
    }

    #[test]
    fn grown_boxes_are_off_by_the_margin((image, exact) in box_in_image(), margin in -50.0..50.0_f32) {
        let found = exact.grown(margin, image.0, image.1);
        for side in sides(exact, found, image) {
            prop_assert!(is_usable(side), "{:?}", side);
            let ((low, high), (low_found, high_found), end) = side;
            let (low_wanted, high_wanted) = (low - margin, high + margin);
            if high_wanted - low_wanted >= 1.0 {
                let is_near = |found: f32, wanted: f32| (found - wanted.clamp(START, end)).abs() <= ROUNDING;
                prop_assert!(is_near(low_found, low_wanted) && is_near(high_found, high_wanted), "{:?}", side);
            } else {
                let centre_moved = f32::midpoint(low_found, high_found) - f32::midpoint(low, high);
                prop_assert!(margin >= 0.0 || centre_moved.abs() <= ROUNDING, "{:?}", side);
            }
        }
    }

    #[test]
    fn boxes_beyond_the_image_are_cut((image, exact) in box_in_image(), beyond in -99.0..99.0_f32, margin in -9.0..9.0_f32) {
        let moved = BoundingBox { x_min: exact.x_min + beyond, x_max: exact.x_max + beyond, ..exact };
        let cut = |x: f32| x.clamp(START, image.1 as f32 - 0.5);
        let seen = BoundingBox { x_min: cut(moved.x_min), x_max: cut(moved.x_max), ..moved };
        for side in sides(seen, moved.grown(margin, image.0, image.1), image) {
            prop_assert!(is_usable(side), "{:?}", side);
        }
    }
}

#[test]
fn small_boxes_keep_their_middle() {
    let exact = BoundingBox { x_min: 2.0, y_min: 3.0, x_max: 6.0, y_max: 3.5 };
    let shrunk = BoundingBox { x_min: 3.5, x_max: 4.5, ..exact };
    assert_eq!(exact.grown(-9.0, 10, 10), shrunk);
    assert_eq!(exact.grown(f32::NEG_INFINITY, 10, 10), shrunk);
    assert_eq!(exact.grown(f32::INFINITY, 10, 9), BoundingBox::of_image(10, 9));
}

#[test]
fn ranges_of_no_meaning_are_errors() {
    let exact = BoundingBox { x_min: 2.0, y_min: 3.0, x_max: 7.0, y_max: 5.0 };
    for amount in [-1.0, -f32::MIN_POSITIVE, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for range in
            [JitterRange::Pixels(amount), JitterRange::SideFraction(amount), JitterRange::ImageFraction(amount)]
        {
            for outward_only in [false, true] {
                let found = BoxJitter { range, outward_only }.apply(exact, 10, 10, &mut seeded(0));
                assert!(matches!(found, Err(PromptError::InvalidRange { .. })), "{range:?}: {found:?}");
            }
        }
    }
}
