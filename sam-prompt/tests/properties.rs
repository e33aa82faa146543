//! What holds for every mask and seed: drawn prompts lie where they should, and mask operations agree with naive versions.

use ndarray::{Array2, s};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::{
    BoundingBox, BoxJitter, JitterRange, Label, Point, PointSampler, PromptDraw, PromptError, PromptKind,
    SliceSelection, Uniform, bounding_box, component_masks, components, dilate, draw_points, erode,
};

/// Floats that went through a few sums and differences.
const ROUNDING: f32 = 1e-3;

fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn pixels(mask: &Array2<bool>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}

fn is_in(mask: &Array2<bool>, point: &Point) -> bool {
    mask[(point.y as usize, point.x as usize)]
}

/// Masks that are empty, full, one pixel, a ring, along the border, or noise of many components.
fn any_mask() -> impl Strategy<Value = Array2<bool>> {
    (1..18_usize, 1..18_usize).prop_flat_map(|(rows, columns)| {
        let make = move |inside: &dyn Fn(usize, usize) -> bool| {
            Array2::from_shape_fn((rows, columns), |(row, column)| inside(row, column))
        };
        prop_oneof![
            Just(make(&|_, _| false)),
            Just(make(&|_, _| true)),
            (0..rows, 0..columns).prop_map(move |pixel| make(&|row, column| (row, column) == pixel)),
            (0..rows, 0..columns, 1..7_i64).prop_map(move |(centre_row, centre_column, radius)| {
                let squared = |a: usize, b: usize| (a as i64 - b as i64).pow(2);
                make(&|row, column| {
                    let distance = squared(row, centre_row) + squared(column, centre_column);
                    ((radius - 1).pow(2)..=(radius + 1).pow(2)).contains(&distance)
                })
            }),
            Just(make(&|row, column| row == 0 || column == 0 || row + 1 == rows || column + 1 == columns)),
            proptest::collection::vec(proptest::bool::weighted(0.3), rows * columns)
                .prop_map(move |noise| make(&|row, column| noise[row * columns + column])),
        ]
    })
}

fn mask_with_pixels() -> impl Strategy<Value = Array2<bool>> {
    any_mask().prop_filter("a mask without pixels has no point", |mask| pixels(mask) > 0)
}

fn any_label() -> impl Strategy<Value = Label> {
    prop_oneof![Just(Label::Foreground), Just(Label::Background)]
}

/// An image's height and width, and a box in it.
fn box_in_image() -> impl Strategy<Value = ((usize, usize), BoundingBox)> {
    (1..80_usize, 1..80_usize).prop_flat_map(|(height, width)| {
        let edge = |side: usize| (0.0..=side as f32, 0.0..=side as f32);
        (edge(height), edge(width)).prop_map(move |((y, other_y), (x, other_x))| {
            let exact = BoundingBox {
                x_min: x.min(other_x),
                y_min: y.min(other_y),
                x_max: x.max(other_x),
                y_max: y.max(other_y),
            };
            ((height, width), exact)
        })
    })
}

fn any_jitter() -> impl Strategy<Value = BoxJitter> {
    let range = prop_oneof![
        (0.0..40.0_f32).prop_map(JitterRange::Pixels),
        (0.0..2.0_f32).prop_map(JitterRange::SideFraction),
        (0.0..0.5_f32).prop_map(JitterRange::ImageFraction),
        Just(JitterRange::Pixels(0.0)),
    ];
    (range, any::<bool>()).prop_map(|(range, outward_only)| BoxJitter { range, outward_only })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn uniform_points_are_counted_labelled_and_inside(
        mask in mask_with_pixels(), label in any_label(), share in 0.0..=1.0_f64, seed: u64,
    ) {
        let count = (share * pixels(&mask) as f64) as usize;
        for replacement in [false, true] {
            let sampler = Uniform { replacement };
            let draw = || sampler.sample(mask.view(), label, count, &mut seeded(seed)).expect("the mask has enough pixels");
            let points = draw();
            prop_assert_eq!(points.len(), count);
            prop_assert!(points.iter().all(|point| point.label == label && is_in(&mask, point)));
            prop_assert_eq!(&points, &draw(), "the seed decides");
            if !replacement {
                let mut places: Vec<_> = points.iter().map(|point| (point.y as usize, point.x as usize)).collect();
                places.sort_unstable();
                places.dedup();
                prop_assert_eq!(places.len(), count, "no pixel is drawn twice");
            }
        }
    }

    #[test]
    fn uniform_points_move_with_the_region(
        mask in mask_with_pixels(), replacement: bool, (down, right) in (0..9_usize, 0..9_usize), seed: u64,
    ) {
        let (rows, columns) = mask.dim();
        let mut canvas = Array2::from_elem((rows + down + 3, columns + right + 2), false);
        canvas.slice_mut(s![down..down + rows, right..right + columns]).assign(&mask);
        let sampler = Uniform { replacement };
        let count = pixels(&mask).min(5);
        let here = sampler.sample(mask.view(), Label::Foreground, count, &mut seeded(seed)).expect("enough pixels");
        let there = sampler.sample(canvas.view(), Label::Foreground, count, &mut seeded(seed)).expect("enough pixels");
        let moved: Vec<_> =
            here.iter().map(|point| Point { x: point.x + right as f32, y: point.y + down as f32, ..*point }).collect();
        prop_assert_eq!(moved, there);
    }

    #[test]
    fn impossible_requests_for_points_are_errors(mask in any_mask(), replacement: bool, seed: u64) {
        let available = pixels(&mask);
        let asked = available + 1;
        let found = Uniform { replacement }.sample(mask.view(), Label::Background, asked, &mut seeded(seed));
        match (available, replacement) {
            (0, _) => prop_assert!(
                matches!(found, Err(PromptError::EmptyRegion { requested: 1, label: "background" })), "{:?}", found
            ),
            (_, false) => prop_assert!(
                matches!(found, Err(PromptError::TooFewPixels { requested, available: has, .. })
                    if requested == asked && has == available),
                "{:?}", found
            ),
            (_, true) => prop_assert_eq!(found.expect("pixels may be drawn twice").len(), asked),
        }
        let none = Uniform { replacement }.sample(mask.view(), Label::Background, 0, &mut seeded(seed));
        prop_assert!(none.expect("no point can always be drawn").is_empty());
    }

    #[test]
    fn drawn_points_are_foreground_first(mask in any_mask(), foreground in 0..4_usize, background in 0..4_usize, seed: u64) {
        let sampler = Uniform { replacement: true };
        let found = draw_points(&sampler, mask.view(), foreground, background, &mut seeded(seed));
        let (inside, all) = (pixels(&mask), mask.len());
        if (foreground > 0 && inside == 0) || (background > 0 && inside == all) {
            prop_assert!(matches!(found, Err(PromptError::EmptyRegion { .. })), "{:?}", found);
            return Ok(());
        }
        let points = found.expect("both regions have the pixels asked for");
        prop_assert_eq!(points.len(), foreground + background);
        for (index, point) in points.iter().enumerate() {
            prop_assert_eq!(point.label == Label::Foreground, index < foreground);
            prop_assert_eq!(is_in(&mask, point), index < foreground);
        }
    }

    #[test]
    fn jittered_boxes_stay_in_range_and_image(((height, width), exact) in box_in_image(), jitter in any_jitter(), seed: u64) {
        let apply = || jitter.apply(exact, height, width, &mut seeded(seed)).expect("the range is valid");
        let found = apply();
        prop_assert_eq!(found, apply(), "the seed decides");
        let reach = |side: f32| match jitter.range {
            JitterRange::Pixels(reach) => reach,
            JitterRange::SideFraction(fraction) => fraction * side,
            JitterRange::ImageFraction(fraction) => fraction * height.max(width) as f32,
        };
        for (low, high, low_found, high_found, side) in [
            (exact.x_min, exact.x_max, found.x_min, found.x_max, width),
            (exact.y_min, exact.y_max, found.y_min, found.y_max, height),
        ] {
            prop_assert!(0.0 <= low_found && low_found <= high_found && high_found <= side as f32);
            let reach = reach(high - low) + ROUNDING;
            prop_assert!((low_found - low).abs() <= reach && (high_found - high).abs() <= reach);
            // The exact box lies in the image, so clipping never cuts into it.
            prop_assert!(!jitter.outward_only || (low_found <= low && high <= high_found));
        }
    }

    #[test]
    fn no_jitter_changes_nothing(((height, width), exact) in box_in_image(), seed: u64) {
        let found = BoxJitter::NONE.apply(exact, height, width, &mut seeded(seed)).expect("zero is a valid range");
        prop_assert_eq!(found, exact);
    }

    #[test]
    fn bounding_box_holds_all_pixels_and_no_more(mask in any_mask()) {
        let found = bounding_box(mask.view());
        let inside: Vec<_> = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel).collect();
        let rows = || inside.iter().map(|&(row, _)| row);
        let columns = || inside.iter().map(|&(_, column)| column);
        // From the near edge of the first pixels to the far edge of the last.
        let expected = rows().min().zip(rows().max()).zip(columns().min().zip(columns().max())).map(
            |((top, bottom), (left, right))| BoundingBox {
                x_min: left as f32,
                y_min: top as f32,
                x_max: right as f32 + 1.0,
                y_max: bottom as f32 + 1.0,
            },
        );
        prop_assert_eq!(found, expected);
        prop_assert!(found.is_none_or(|found| inside.iter().all(|&(row, column)| found.contains(column as f32, row as f32))));
    }

    #[test]
    fn components_are_connected_apart_and_together_the_mask(mask in any_mask(), min_pixels in 0..6_usize) {
        let parts = component_masks(mask.view(), 1);
        prop_assert_eq!(parts.len(), components(mask.view()).1);
        prop_assert!(parts.is_sorted_by(|larger, smaller| pixels(larger) >= pixels(smaller)));
        let mut union = Array2::from_elem(mask.dim(), false);
        for part in &parts {
            // What touches a part without belonging to it would have to be another part.
            let near = dilate(part.view(), 1);
            prop_assert!(ndarray::Zip::from(&near).and(&mask).and(part).all(|near, mask, part| !(near & mask) || *part));
            prop_assert_eq!(&grown_from_first_pixel(part), part, "each part is connected");
            prop_assert!(ndarray::Zip::from(&union).and(part).all(|earlier, part| !(earlier & part)), "parts are disjoint");
            union.zip_mut_with(part, |union, part| *union |= part);
        }
        prop_assert_eq!(&union, &mask);
        let large: Vec<_> = parts.into_iter().filter(|part| pixels(part) >= min_pixels).collect();
        prop_assert_eq!(component_masks(mask.view(), min_pixels), large);
    }

    #[test]
    fn dilation_and_erosion_agree_with_naive_ones(mask in any_mask(), radius in 0..5_usize) {
        let neighbours = |(row, column): (usize, usize)| {
            let near = move |a: usize, b: usize| a.abs_diff(b) <= radius;
            mask.indexed_iter().filter(move |&((r, c), _)| near(r, row) && near(c, column)).map(|(_, &inside)| inside)
        };
        let grown = Array2::from_shape_fn(mask.dim(), |pixel| neighbours(pixel).any(|inside| inside));
        let shrunk = Array2::from_shape_fn(mask.dim(), |pixel| neighbours(pixel).all(|inside| inside));
        prop_assert_eq!(dilate(mask.view(), radius), grown);
        prop_assert_eq!(erode(mask.view(), radius), shrunk);
    }

    #[test]
    fn drawn_prompts_have_one_box_a_component_and_the_points_asked_for(
        mask in mask_with_pixels(), count in 0..4_usize, min_box_pixels in 0..8_usize, seed: u64,
    ) {
        let draw = PromptDraw { jitter: BoxJitter::NONE, min_box_pixels };
        let sampler = Uniform { replacement: true };
        let large = component_masks(mask.view(), min_box_pixels);
        let boxed_parts = if large.is_empty() { component_masks(mask.view(), 1) } else { large };
        let exact: Vec<_> = boxed_parts.iter().filter_map(|part| bounding_box(part.view())).collect();
        for (kind, points, boxed) in [
            (PromptKind::Points(count), count, false),
            (PromptKind::Box, 0, true),
            (PromptKind::BoxAndPoints(count), count, true),
        ] {
            let prompts = draw.draw(kind, mask.view(), &sampler, &mut seeded(seed));
            if points > 0 && pixels(&mask) == mask.len() {
                let refused = matches!(prompts, Err(PromptError::EmptyRegion { label: "background", .. }));
                prop_assert!(refused, "a full mask leaves no room beside it");
                continue;
            }
            let prompts = prompts.expect("both regions have pixels");
            prop_assert_eq!(prompts.points.len(), 2 * points);
            prop_assert!(prompts.points.iter().all(|point| is_in(&mask, point) == (point.label == Label::Foreground)));
            prop_assert_eq!(prompts.boxes.as_slice(), if boxed { exact.as_slice() } else { &[] });
            prop_assert!(prompts.mask.is_none());
            prop_assert!(prompts.check(mask.nrows(), mask.ncols()).is_ok());
        }
    }

    #[test]
    fn jittered_prompts_can_be_used_and_are_seeded(mask in mask_with_pixels(), jitter in any_jitter(), seed: u64) {
        let draw = PromptDraw { jitter, min_box_pixels: 1 };
        let prompts =
            || draw.draw(PromptKind::Box, mask.view(), &Uniform::default(), &mut seeded(seed)).expect("there are pixels");
        prop_assert_eq!(prompts().boxes.len(), components(mask.view()).1);
        prop_assert!(prompts().check(mask.nrows(), mask.ncols()).is_ok());
        prop_assert_eq!(prompts(), prompts());
    }

    #[test]
    fn chosen_slices_are_distinct_and_show_the_object(
        slices in proptest::collection::btree_set(0..200_usize, 0..40), count in 0..50_usize, seed: u64,
    ) {
        let foreground: Vec<_> = slices.iter().copied().collect();
        for selection in [SliceSelection::Normal, SliceSelection::Uniform, SliceSelection::Equidistant] {
            let chosen = selection.choose(&foreground, count, &mut seeded(seed));
            prop_assert_eq!(&chosen, &selection.choose(&foreground, count, &mut seeded(seed)));
            prop_assert_eq!(chosen.len(), count.min(foreground.len()));
            let mut distinct = chosen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), chosen.len());
            prop_assert!(chosen.iter().all(|slice| slices.contains(slice)));
            match selection {
                SliceSelection::Equidistant => prop_assert!(chosen.is_sorted()),
                // A smaller choice is the beginning of a larger one; `Uniform` keeps that for its distribution only.
                SliceSelection::Normal => {
                    let fewer = selection.choose(&foreground, count / 2, &mut seeded(seed));
                    prop_assert_eq!(fewer.as_slice(), &chosen[..fewer.len()]);
                }
                SliceSelection::Uniform => {}
            }
        }
    }
}

/// All of a mask that can be reached from its first pixel.
fn grown_from_first_pixel(mask: &Array2<bool>) -> Array2<bool> {
    let mut reached = Array2::from_elem(mask.dim(), false);
    if let Some((first, _)) = mask.indexed_iter().find(|&(_, &inside)| inside) {
        reached[first] = true;
    }
    loop {
        let next = dilate(reached.view(), 1) & mask;
        if next == reached {
            return reached;
        }
        reached = next;
    }
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

#[test]
fn nothing_can_be_drawn_from_an_empty_outline() {
    let empty = Array2::from_elem((6, 5), false);
    for kind in [PromptKind::Points(1), PromptKind::Box, PromptKind::BoxAndPoints(2)] {
        let found = PromptDraw::default().draw(kind, empty.view(), &Uniform::default(), &mut seeded(0));
        assert!(matches!(found, Err(PromptError::EmptyRegion { label: "foreground", .. })), "{kind}: {found:?}");
    }
}

#[test]
fn every_slice_is_as_likely_in_the_uniform_choice() {
    let foreground = [3, 8, 9, 20];
    let mut rng = seeded(5);
    let mut drawn = [0_u32; 4];
    for _ in 0..2000 {
        let slice = SliceSelection::Uniform.choose(&foreground, 1, &mut rng)[0];
        drawn[foreground.iter().position(|&other| other == slice).expect("a foreground slice was chosen")] += 1;
    }
    // Four standard deviations of a binomial distribution of 2000 tries at 1/4 are 77.
    assert!(drawn.iter().all(|&count| count.abs_diff(500) < 78), "{drawn:?}");
}
