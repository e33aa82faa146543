//! Masks: components, boxes, growth and distances, compared with naive implementations.

use ndarray::{Array2, Zip};
use proptest::prelude::*;
use sam_prompt::{BoundingBox, bounding_box, component_masks, components, dilate, distance_transform, erode};

use crate::strategies::{each_mask, few_cases, pixels};

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn bounding_box_holds_all_pixels_and_no_more(masks in each_mask()) {
        for mask in masks {
            let found = bounding_box(mask.view());
            let inside: Vec<_> = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel).collect();
            let rows = || inside.iter().map(|&(row, _)| row);
            let columns = || inside.iter().map(|&(_, column)| column);
            // From the near edge of the first pixels to the far edge of the last.
            let expected = rows().min().zip(rows().max()).zip(columns().min().zip(columns().max())).map(
                |((top, bottom), (left, right))| BoundingBox {
                    x_min: left as f32 - 0.5,
                    y_min: top as f32 - 0.5,
                    x_max: right as f32 + 0.5,
                    y_max: bottom as f32 + 0.5,
                },
            );
            prop_assert_eq!(found, expected);
            let holds = |found: BoundingBox| inside.iter().all(|&(row, column)| found.contains(column as f32, row as f32));
            prop_assert!(found.is_none_or(holds));
        }
    }

    #[test]
    fn components_are_connected_apart_and_together_the_mask(masks in each_mask(), min_pixels in 0..6_usize) {
        for mask in masks {
            let parts = component_masks(mask.view(), 1);
            prop_assert_eq!(parts.len(), components(mask.view()).1);
            prop_assert!(parts.is_sorted_by(|larger, smaller| pixels(larger) >= pixels(smaller)));
            let mut union = Array2::from_elem(mask.dim(), false);
            for part in &parts {
                // A pixel that touches a part but does not belong to it would be in another part.
                let near = dilate(part.view(), 1);
                prop_assert!(Zip::from(&near).and(&mask).and(part).all(|near, mask, part| !(near & mask) || *part));
                prop_assert_eq!(&grown_from_first_pixel(part), part, "each part is connected");
                prop_assert!(Zip::from(&union).and(part).all(|earlier, part| !(earlier & part)), "parts are disjoint");
                union.zip_mut_with(part, |union, part| *union |= part);
            }
            prop_assert_eq!(&union, &mask);
            let large: Vec<_> = parts.into_iter().filter(|part| pixels(part) >= min_pixels).collect();
            prop_assert_eq!(component_masks(mask.view(), min_pixels), large);
        }
    }

    #[test]
    fn dilation_and_erosion_agree_with_naive_ones(masks in each_mask(), radius in 0..5_usize) {
        for mask in masks {
            let neighbours = |(row, column): (usize, usize)| {
                let near = move |a: usize, b: usize| a.abs_diff(b) <= radius;
                mask.indexed_iter().filter(move |&((r, c), _)| near(r, row) && near(c, column)).map(|(_, &inside)| inside)
            };
            let grown = Array2::from_shape_fn(mask.dim(), |pixel| neighbours(pixel).any(|inside| inside));
            let shrunk = Array2::from_shape_fn(mask.dim(), |pixel| neighbours(pixel).all(|inside| inside));
            prop_assert_eq!(dilate(mask.view(), radius), grown);
            prop_assert_eq!(erode(mask.view(), radius), shrunk);
        }
    }

    #[test]
    fn distances_agree_with_naive_ones(masks in each_mask()) {
        for mask in masks {
            prop_assert_eq!(distance_transform(mask.view()), naive_distances(&mask));
        }
    }
}

/// The distance of each inside pixel to the nearest outside pixel, including the ring of pixels around the image.
pub(crate) fn naive_distances(mask: &Array2<bool>) -> Array2<f32> {
    let (rows, columns) = mask.dim();
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let to_ring = (row + 1).min(rows - row).min(column + 1).min(columns - column).pow(2);
        let squared = squared_to_outside(mask, (row, column)).map_or(to_ring, |squared| squared.min(to_ring));
        (squared as f32).sqrt() * f32::from(u8::from(mask[(row, column)]))
    })
}

/// The distance of each inside pixel to the nearest outside pixel of the image. If there is none, the distance to the ring around the
/// image.
pub(crate) fn to_contour(mask: &Array2<bool>) -> Array2<f32> {
    if pixels(mask) == mask.len() {
        return naive_distances(mask);
    }
    Array2::from_shape_fn(mask.dim(), |pixel| {
        squared_to_outside(mask, pixel).map_or(0.0, |squared| (squared as f32).sqrt())
    })
}

fn squared_to_outside(mask: &Array2<bool>, (row, column): (usize, usize)) -> Option<usize> {
    let outside = mask.indexed_iter().filter(|&(_, &inside)| !inside);
    outside.map(|((r, c), _)| r.abs_diff(row).pow(2) + c.abs_diff(column).pow(2)).min()
}

/// All pixels of a mask that can be reached from its first pixel.
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
