//! Samplers: properties of all of them, and those of each.

use ndarray::Array2;
use proptest::prelude::*;
use sam_prompt::{
    Boundary, Center, Label, Point, PointSampler, PromptError, Replacement, SamplingScheme, Uniform, component_masks,
};

use crate::{
    masks::{naive_distances, to_contour},
    strategies::{
        ROUNDING, any_label, each_mask, each_mask_with_pixels, few_cases, flips, is_in, padded, pixels, place, places,
        seeded,
    },
};

/// Every sampler with the pixels that it may draw from a mask, found by a naive implementation.
fn samplers(replacement: bool, width: f32, mask: &Array2<bool>) -> [(Box<dyn PointSampler>, Array2<bool>); 4] {
    let band = |width: f32| to_contour(mask).mapv(|distance| distance > 0.0 && distance <= width);
    [
        (Box::new(Uniform { replacement }), mask.clone()),
        (Box::new(Center { replacement }), mask.clone()),
        (Box::new(Boundary { width, replacement }), band(width)),
        (
            SamplingScheme::Boundary.sampler(if replacement { Replacement::With } else { Replacement::Without }),
            band(2.0),
        ),
    ]
}

/// Draws foreground points. The count must be possible.
fn draw(sampler: &dyn PointSampler, mask: &Array2<bool>, count: usize, seed: u64) -> Vec<Point> {
    sampler.sample(mask.view(), Label::Foreground, count, &mut seeded(seed)).expect("there are enough pixels")
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn points_are_counted_labelled_inside_and_seeded(
        masks in each_mask_with_pixels(), label in any_label(), share in 0.0..=1.0_f64, width in 1.0..5.0_f32,
        replacement: bool, seed: u64,
    ) {
        for mask in masks {
            for (sampler, pool) in samplers(replacement, width, &mask) {
                let count = (share * pixels(&pool) as f64) as usize;
                let sample = || sampler.sample(mask.view(), label, count, &mut seeded(seed)).expect("there are enough pixels");
                let points = sample();
                prop_assert_eq!(points.len(), count);
                prop_assert!(points.iter().all(|point| point.label == label && is_in(&pool, point)));
                prop_assert_eq!(&points, &sample(), "the seed decides");
                prop_assert!(replacement || places(&points, mask.dim()).1 == 0, "no pixel is drawn twice");
            }
        }
    }

    #[test]
    fn all_possible_pixels_are_drawn_and_flip_with_the_mask(
        masks in each_mask_with_pixels(), width in 1.0..5.0_f32, seed: u64,
    ) {
        for mask in masks {
            for (flip, flipped) in flips(&mask).iter().enumerate() {
                let pools = samplers(false, width, &mask).map(|(_, pool)| pool);
                for ((sampler, _), pool) in samplers(false, width, flipped).into_iter().zip(pools) {
                    let points = draw(&*sampler, flipped, pixels(&pool), seed);
                    prop_assert_eq!(places(&points, flipped.dim()), (flips(&pool)[flip].clone(), 0));
                }
            }
        }
    }

    #[test]
    fn points_move_with_the_region(
        masks in each_mask_with_pixels(), (down, right) in (0..9_usize, 0..9_usize), width in 1.0..5.0_f32,
        replacement: bool, seed: u64,
    ) {
        for mask in masks {
            // The image's border bounds a region that touches it, so both masks get a margin.
            let here = padded(&mask, (1, 1), (1, 1));
            let there = padded(&mask, (1 + down, 1 + right), (3, 2));
            for (sampler, pool) in samplers(replacement, width, &here) {
                let count = pixels(&pool).min(5);
                let mut moved = draw(&*sampler, &here, count, seed);
                for point in &mut moved {
                    (point.x, point.y) = (point.x + right as f32, point.y + down as f32);
                }
                prop_assert_eq!(moved, draw(&*sampler, &there, count, seed));
            }
        }
    }

    #[test]
    fn impossible_requests_are_errors(masks in each_mask(), replacement: bool, width in 1.0..5.0_f32, seed: u64) {
        for mask in masks {
            for (sampler, pool) in samplers(replacement, width, &mask) {
                let sample = |count| sampler.sample(mask.view(), Label::Background, count, &mut seeded(seed));
                prop_assert!(sample(0).expect("no point can always be drawn").is_empty());
                let available = pixels(&pool);
                let found = sample(available + 1);
                match (available, replacement) {
                    (0, _) => prop_assert!(
                        matches!(found, Err(PromptError::EmptyRegion { requested: 1, label: "background" })), "{:?}", found
                    ),
                    (_, false) => prop_assert!(
                        matches!(found, Err(PromptError::TooFewPixels { requested, available: has, .. })
                            if requested == available + 1 && has == available),
                        "{:?}", found
                    ),
                    (_, true) => prop_assert_eq!(found.expect("pixels may be drawn twice").len(), available + 1),
                }
            }
        }
    }

    #[test]
    fn centers_follow_their_rule(masks in each_mask_with_pixels(), count in 1..60_usize, seed: u64) {
        for mask in masks {
            let distances = naive_distances(&mask);
            let parts = component_masks(mask.view(), 1);
            let mut drawn = vec![Vec::new(); parts.len()];
            for point in draw(&Center::default(), &mask, count.min(pixels(&mask)), seed) {
                let at = parts.iter().position(|part| is_in(part, &point)).expect("the point lies in a component");
                let rounds = |at: usize| drawn[at].len();
                // Every other component was drawn from as often, once more, or is used up.
                let had_turn = |other: usize| {
                    let in_turn = rounds(other) == rounds(at) || rounds(other) == rounds(at) + 1;
                    in_turn || rounds(other) == pixels(&parts[other])
                };
                prop_assert!((0..parts.len()).all(had_turn));
                let behind = |other: usize| rounds(other) == rounds(at) && rounds(other) < pixels(&parts[other]);
                prop_assert!((0..parts.len()).all(|other| !behind(other) || pixels(&parts[other]) <= pixels(&parts[at])));
                let clearance = |pixel: (usize, usize)| {
                    let to = |other: &(usize, usize)| {
                        ((other.0.abs_diff(pixel.0).pow(2) + other.1.abs_diff(pixel.1).pow(2)) as f32).sqrt()
                    };
                    drawn[at].iter().map(to).fold(distances[pixel], f32::min)
                };
                let candidates = parts[at].indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel);
                let farthest = candidates.map(clearance).fold(0.0, f32::max);
                prop_assert!((clearance(place(&point)) - farthest).abs() < ROUNDING);
                drawn[at].push(place(&point));
            }
        }
    }

    #[test]
    fn first_center_is_as_deep_in_a_flipped_mask(masks in each_mask_with_pixels(), seed: u64) {
        for mask in masks {
            let depth = |mask: &Array2<bool>| naive_distances(mask)[place(&draw(&Center::default(), mask, 1, seed)[0])];
            prop_assert!(flips(&mask).iter().all(|flipped| (depth(flipped) - depth(&mask)).abs() < ROUNDING));
        }
    }

    #[test]
    fn centers_with_replacement_start_over(masks in each_mask_with_pixels(), extra in 0..9_usize, seed: u64) {
        for mask in masks {
            let all = pixels(&mask);
            let points = draw(&Center { replacement: true }, &mask, 2 * all + extra.min(all), seed);
            for round in points.chunks(all) {
                prop_assert_eq!(places(round, mask.dim()).1, 0, "no pixel comes again before all had their turn");
            }
            prop_assert_eq!(&points[..all], &draw(&Center::default(), &mask, all, seed)[..]);
        }
    }
}

#[test]
fn every_pixel_is_as_likely() {
    // The band has 12 pixels around 4 inner ones; for a full mask it is along the image's border.
    let mask = Array2::from_elem((4, 4), true);
    let [uniform, _, boundary, _] = samplers(true, 1.0, &mask);
    for (sampler, pool) in [uniform, boundary] {
        let mut drawn = Array2::from_elem(mask.dim(), 0_u32);
        for point in draw(&*sampler, &mask, 200 * pixels(&pool), 3) {
            drawn[place(&point)] += 1;
        }
        // The expected count is 200; four standard deviations of that Poisson distribution are 57.
        let as_expected = |(pixel, &times): (_, &u32)| if pool[pixel] { times.abs_diff(200) < 57 } else { times == 0 };
        assert!(drawn.indexed_iter().all(as_expected), "{drawn}");
    }
}

#[test]
fn of_equally_large_components_the_deepest_comes_first() {
    // A line of nine pixels, before or after a square of nine pixels.
    let line_first =
        Array2::from_shape_fn((7, 11), |(row, column)| (row == 1 && column < 9) || (row > 3 && column > 7));
    for mask in flips(&line_first).iter().chain([&line_first]) {
        let [first, second] = draw(&Center::default(), mask, 2, 4)[..] else { panic!("two points were asked for") };
        let distances = naive_distances(mask);
        assert!(distances[place(&first)] > 1.5 && distances[place(&second)] < 1.5);
    }
}

#[test]
fn ties_between_centers_are_broken_by_the_seed() {
    let mask = Array2::from_elem((1, 9), true);
    let first = |seed| place(&draw(&Center::default(), &mask, 1, seed)[0]);
    assert!((1..50).any(|seed| first(seed) != first(0)));
}

#[test]
fn a_small_band_and_a_width_of_no_meaning_are_said() {
    let mask = Array2::from_elem((5, 5), true);
    let sample = |width, count| {
        let sampler = Boundary { width, replacement: false };
        sampler.sample(mask.view(), Label::Foreground, count, &mut seeded(0))
    };
    let message = sample(1.0, 17).expect_err("the band has 16 pixels").to_string();
    assert!(message.contains("the boundary band has only 16 pixel(s)"), "{message}");
    for width in [0.0, 0.99, -2.0, f32::NAN, f32::INFINITY] {
        let found = sample(width, 1);
        assert!(matches!(found, Err(PromptError::InvalidRange { .. })), "{width}: {found:?}");
    }
    assert!(sample(0.5, 1).expect_err("too narrow").to_string().contains("at least 1, found 0.5"));
}

#[test]
fn schemes_have_names() {
    for &scheme in SamplingScheme::ALL {
        let name = scheme.to_string();
        assert_eq!(name.parse::<SamplingScheme>().expect("the name is its own"), scheme);
        assert_eq!(serde_json::to_string(&scheme).expect("a unit variant is a string"), format!("{name:?}"));
    }
    let error = "centre".parse::<SamplingScheme>().expect_err("there is no such scheme");
    assert!(error.to_string().contains("`centre`"), "{error}");
}
