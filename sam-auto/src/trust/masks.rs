//! Agreement of the masks of neighbouring slices.

use ndarray::{Array2, Zip};
use sam_prompt::{distance_transform, is_mask_empty, mask_area};

use crate::mask_stats::overlap;

/// The mask half-way between two: where the mean of their signed distances is positive.
///
/// Source: S. P. Raya and J. K. Udupa, "Shape-based interpolation of multidimensional objects", IEEE TMI 1990.
fn between(a: &Array2<bool>, b: &Array2<bool>) -> Array2<bool> {
    let depth = |mask: &Array2<bool>| {
        let outside = mask.mapv(|inside| !inside);
        distance_transform(mask.view()) - distance_transform(outside.view())
    };
    Zip::from(&depth(a)).and(&depth(b)).map_collect(|a, b| a + b > 0.0)
}

/// How well a mask fits between those of its neighbours: see [`Signal::Neighbours`](super::Signal::Neighbours). At the end of the volume
/// there is one neighbour. If one of two neighbours is empty, the structure may end there, and the other neighbour counts half. The result
/// is 1 without neighbours.
pub(super) fn fit(mask: &Array2<bool>, neighbours: &[Option<&Array2<bool>>]) -> f32 {
    match neighbours {
        [] => 1.0,
        [Some(before), Some(after)] => {
            let expected = between(before, after);
            // Neighbours that do not overlap have no mask between them, so each is compared by itself.
            if is_mask_empty(expected.view()) {
                overlap(mask, before).max(overlap(mask, after))
            } else {
                overlap(mask, &expected)
            }
        }
        [Some(other), None] | [None, Some(other)] => 0.25 + 0.5 * overlap(mask, other),
        [Some(other)] => overlap(mask, other),
        _ => 0.0,
    }
}

/// Ratio of a mask's area to the mean area of its neighbours, the smaller over the larger. A neighbour without a mask has area 0. The
/// result is 1 without neighbours.
pub(super) fn area(mask: &Array2<bool>, neighbours: &[Option<&Array2<bool>>]) -> f32 {
    if neighbours.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f32> =
        neighbours.iter().map(|neighbour| neighbour.map_or(0, |mask| mask_area(mask.view())) as f32).collect();
    let (own, mean) = (mask_area(mask.view()) as f32, sizes.iter().sum::<f32>() / sizes.len() as f32);
    if own.max(mean) > 0.0 { own.min(mean) / own.max(mean) } else { 1.0 }
}

/// Fraction of the neighbours that have no mask; 1 without neighbours.
pub(super) fn share_empty(neighbours: &[Option<&Array2<bool>>]) -> f32 {
    let empty = neighbours.iter().filter(|neighbour| neighbour.is_none()).count();
    if neighbours.is_empty() { 1.0 } else { empty as f32 / neighbours.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(from: usize, to: usize) -> Array2<bool> {
        Array2::from_shape_fn((20, 20), |(row, column)| (from..to).contains(&row) && (from..to).contains(&column))
    }

    fn is(found: f32, expected: f32) -> bool {
        (found - expected).abs() < 1e-6
    }

    #[test]
    fn a_tapering_structure_fits_between_its_neighbours() {
        let (small, middle, large) = (square(7, 13), square(5, 15), square(3, 17));
        assert!(fit(&middle, &[Some(&small), Some(&large)]) > 0.9);
        assert!(fit(&large, &[Some(&small), Some(&small)]) < 0.3);
        assert!(is(fit(&middle, &[Some(&middle)]), 1.0));
        assert!(is(fit(&middle, &[Some(&middle), None]), 0.75));
        assert!(is(fit(&middle, &[None, None]), 0.0) && is(fit(&middle, &[]), 1.0));
    }

    #[test]
    fn areas_are_compared_with_the_neighbours_mean() {
        let (small, large) = (square(0, 5), square(0, 10));
        assert!(is(area(&small, &[Some(&large), Some(&large)]), 0.25));
        assert!(is(area(&large, &[Some(&small)]), 0.25));
        assert!(is(area(&small, &[Some(&small), None]), 0.5));
        assert!(is(area(&small, &[None]), 0.0) && is(area(&small, &[]), 1.0));
    }

    #[test]
    fn an_empty_slice_is_alone_among_slices_with_the_structure() {
        let mask = square(0, 5);
        assert!(is(share_empty(&[Some(&mask), Some(&mask)]), 0.0) && is(share_empty(&[None, Some(&mask)]), 0.5));
        assert!(is(share_empty(&[None]), 1.0) && is(share_empty(&[]), 1.0));
    }

    #[test]
    fn overlap_of_two_empty_masks_is_none() {
        assert!(is(overlap(&square(0, 0), &square(0, 0)), 0.0) && is(overlap(&square(1, 5), &square(1, 5)), 1.0));
    }
}
