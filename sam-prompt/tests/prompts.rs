//! Whole prompts of each kind, for an outline and for each of its components.

use ndarray::Array2;
use proptest::prelude::*;
use sam_prompt::{
    BoxJitter, Label, PromptDraw, PromptError, PromptKind, Replacement, SamplingScheme, Uniform, bounding_box,
    component_masks, components, draw_points,
};

use crate::strategies::{any_jitter, each_mask, each_mask_with_pixels, few_cases, is_in, pixels, seeded};

/// The kinds of prompts, with the number of points per label and whether they have boxes.
fn kinds(count: usize) -> [(PromptKind, usize, bool); 3] {
    [
        (PromptKind::Points(count), count, false),
        (PromptKind::Box, 0, true),
        (PromptKind::BoxAndPoints(count), count, true),
    ]
}

/// The components that get boxes.
fn boxed_parts(mask: &Array2<bool>, min_box_pixels: usize) -> Vec<Array2<bool>> {
    let large = component_masks(mask.view(), min_box_pixels);
    if large.is_empty() { component_masks(mask.view(), 1) } else { large }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn drawn_points_are_foreground_first(
        masks in each_mask(), foreground in 0..4_usize, background in 0..4_usize, seed: u64,
    ) {
        for (mask, scheme) in masks.iter().flat_map(|mask| SamplingScheme::ALL.iter().map(move |scheme| (mask, scheme))) {
            let found = draw_points(&*scheme.sampler(Replacement::With), mask.view(), foreground, background, &mut seeded(seed));
            let (inside, all) = (pixels(mask), mask.len());
            if (foreground > 0 && inside == 0) || (background > 0 && inside == all) {
                prop_assert!(matches!(found, Err(PromptError::EmptyRegion { .. })), "{:?}", found);
                continue;
            }
            let points = found.expect("both regions have the pixels asked for");
            prop_assert_eq!(points.len(), foreground + background);
            for (index, point) in points.iter().enumerate() {
                prop_assert_eq!(point.label == Label::Foreground, index < foreground);
                prop_assert_eq!(is_in(mask, point), index < foreground);
            }
        }
    }

    #[test]
    fn drawn_prompts_have_one_box_a_component_and_the_points_asked_for(
        masks in each_mask_with_pixels(), count in 0..4_usize, min_box_pixels in 0..8_usize, seed: u64,
    ) {
        let draw = PromptDraw { jitter: BoxJitter::NONE, min_box_pixels, ..PromptDraw::default() };
        let sampler = Uniform { replacement: true };
        for (mask, (kind, points, boxed)) in masks.iter().flat_map(|mask| kinds(count).map(|kind| (mask, kind))) {
            let prompts = draw.draw(kind, mask.view(), &sampler, &mut seeded(seed));
            if points > 0 && pixels(mask) == mask.len() {
                let refused = matches!(prompts, Err(PromptError::EmptyRegion { label: "background", .. }));
                prop_assert!(refused, "a full mask leaves no room beside it");
                continue;
            }
            let prompts = prompts.expect("both regions have pixels");
            prop_assert_eq!(prompts.points.len(), 2 * points);
            prop_assert!(prompts.points.iter().all(|point| is_in(mask, point) == (point.label == Label::Foreground)));
            let parts = if boxed { boxed_parts(mask, min_box_pixels) } else { Vec::new() };
            let exact: Vec<_> = parts.iter().filter_map(|part| bounding_box(part.view())).collect();
            prop_assert_eq!(&prompts.boxes, &exact);
            prop_assert!(prompts.mask.is_none());
            prop_assert!(prompts.check(mask.nrows(), mask.ncols()).is_ok());
        }
    }

    #[test]
    fn prompts_of_each_component_speak_of_it_alone(
        masks in each_mask_with_pixels(), count in 0..4_usize, min_box_pixels in 0..8_usize, seed: u64,
    ) {
        let draw = PromptDraw { jitter: BoxJitter::NONE, min_box_pixels, ..PromptDraw::default() };
        for (mask, scheme) in masks.iter().flat_map(|mask| SamplingScheme::ALL.iter().map(move |scheme| (mask, scheme))) {
            let sampler = scheme.sampler(Replacement::With);
            for (kind, points, boxed) in kinds(count) {
                let each = || draw.draw_each(kind, mask.view(), &*sampler, &mut seeded(seed));
                if points > 0 && pixels(mask) == mask.len() {
                    let refused = matches!(each(), Err(PromptError::EmptyRegion { label: "background", .. }));
                    prop_assert!(refused, "a full mask leaves no room beside it");
                    continue;
                }
                let found = each().expect("both regions have pixels");
                prop_assert_eq!(&found, &each().expect("as before"), "the seed decides");
                let parts = boxed_parts(mask, min_box_pixels);
                prop_assert_eq!(found.len(), parts.len());
                for (prompts, part) in found.iter().zip(&parts) {
                    let (on, beside): (Vec<_>, Vec<_>) =
                        prompts.points.iter().partition(|point| point.label == Label::Foreground);
                    prop_assert_eq!((on.len(), beside.len()), (points, points));
                    prop_assert!(on.iter().all(|point| is_in(part, point)));
                    prop_assert!(beside.iter().all(|point| !is_in(mask, point)));
                    let exact = bounding_box(part.view()).filter(|_| boxed);
                    prop_assert_eq!(&prompts.boxes, &Vec::from_iter(exact));
                }
            }
        }
    }

    #[test]
    fn jittered_prompts_can_be_used_and_are_seeded(masks in each_mask_with_pixels(), jitter in any_jitter(), seed: u64) {
        let draw = PromptDraw { jitter, min_box_pixels: 1, ..PromptDraw::default() };
        for mask in masks {
            let prompts = || {
                draw.draw(PromptKind::Box, mask.view(), &Uniform::default(), &mut seeded(seed)).expect("there are pixels")
            };
            prop_assert_eq!(prompts().boxes.len(), components(mask.view()).1);
            prop_assert!(prompts().check(mask.nrows(), mask.ncols()).is_ok());
            prop_assert!(prompts().boxes.iter().all(|found| found.x_min < found.x_max && found.y_min < found.y_max));
            prop_assert_eq!(prompts(), prompts());
        }
    }
}

#[test]
fn nothing_can_be_drawn_from_an_empty_outline() {
    let empty = Array2::from_elem((6, 5), false);
    for (kind, ..) in kinds(2) {
        let found = PromptDraw::default().draw(kind, empty.view(), &Uniform::default(), &mut seeded(0));
        assert!(matches!(found, Err(PromptError::EmptyRegion { label: "foreground", .. })), "{kind}: {found:?}");
        let found = PromptDraw::default().draw_each(kind, empty.view(), &Uniform::default(), &mut seeded(0));
        assert!(matches!(found, Err(PromptError::EmptyRegion { label: "foreground", .. })), "{kind}: {found:?}");
    }
}

#[test]
fn points_beside_the_object_can_be_left_out() {
    let full = Array2::from_elem((6, 5), true);
    let draw = PromptDraw { background: false, ..PromptDraw::default() };
    let sampler = Uniform::default();
    let drawn = draw.draw(PromptKind::Points(3), full.view(), &sampler, &mut seeded(0)).expect("nothing is beside it");
    let each = draw.draw_each(PromptKind::Points(3), full.view(), &sampler, &mut seeded(0)).expect("as before");
    for prompts in each.iter().chain([&drawn]) {
        assert_eq!(prompts.points.len(), 3);
        assert!(prompts.points.iter().all(|point| point.label == Label::Foreground));
    }
}
