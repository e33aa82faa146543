//! Two-dimensional masks: their connected components and boxes.

use std::cmp::Reverse;

use ndarray::{Array2, ArrayView2};

use crate::BoundingBox;

/// Numbers the 8-connected components of a mask.
///
/// Shapes: mask `[rows, columns]` to labels of the same shape, 0 outside and `1..=count` inside, in scan order of their first
/// pixel. Returns the labels and the count.
pub fn components(mask: ArrayView2<'_, bool>) -> (Array2<u32>, usize) {
    let (rows, columns) = mask.dim();
    let mut labels = Array2::zeros((rows, columns));
    let mut count = 0;
    let mut pending = Vec::new();
    for (start, &inside) in mask.indexed_iter() {
        if !inside || labels[start] != 0 {
            continue;
        }
        count += 1;
        labels[start] = count;
        pending.push(start);
        while let Some((row, column)) = pending.pop() {
            for next_row in row.saturating_sub(1)..(row + 2).min(rows) {
                for next_column in column.saturating_sub(1)..(column + 2).min(columns) {
                    let next = (next_row, next_column);
                    if mask[next] && labels[next] == 0 {
                        labels[next] = count;
                        pending.push(next);
                    }
                }
            }
        }
    }
    (labels, count as usize)
}

/// The 8-connected components of a mask as masks of their own, largest first, those of fewer than `min_pixels` left out.
pub fn component_masks(mask: ArrayView2<'_, bool>, min_pixels: usize) -> Vec<Array2<bool>> {
    let (labels, sizes) = ranked_components(mask);
    let large = sizes.into_iter().take_while(|&(_, pixels)| pixels >= min_pixels);
    large.map(|(label, _)| labels.mapv(|found| found == label)).collect()
}

/// The 8-connected components of a mask as [`components`] numbers them, and each number with its pixel count, largest first and
/// equally large ones in scan order.
pub(crate) fn ranked_components(mask: ArrayView2<'_, bool>) -> (Array2<u32>, Vec<(u32, usize)>) {
    let (labels, count) = components(mask);
    let mut sizes: Vec<(u32, usize)> = (1..=count as u32).map(|label| (label, 0)).collect();
    for &label in labels.iter().filter(|&&label| label > 0) {
        sizes[label as usize - 1].1 += 1;
    }
    sizes.sort_by_key(|&(_, pixels)| Reverse(pixels));
    (labels, sizes)
}

/// The smallest box that holds a mask, or `None` where the mask is empty.
///
/// # Units
/// From the near edge of the first pixels to the far edge of the last, half a pixel beyond their centres: a mask of one pixel has a
/// box of side 1. (SAM's own scripts end boxes at the centres of the first and last pixels; on images that are enlarged for the
/// model, that cuts a pixel or two off small objects.)
pub fn bounding_box(mask: ArrayView2<'_, bool>) -> Option<BoundingBox> {
    let mut inside = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel);
    let first = inside.next()?;
    let (low, high) = inside.fold((first, first), |(low, high), (row, column)| {
        ((low.0.min(row), low.1.min(column)), (high.0.max(row), high.1.max(column)))
    });
    Some(BoundingBox {
        x_min: low.1 as f32 - 0.5,
        y_min: low.0 as f32 - 0.5,
        x_max: high.1 as f32 + 0.5,
        y_max: high.0 as f32 + 0.5,
    })
}

/// A mask grown by `radius` pixels in all eight directions; what would grow beyond the border is lost.
pub fn dilate(mask: ArrayView2<'_, bool>, radius: usize) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    let near = |centre: usize, length: usize| centre.saturating_sub(radius)..(centre + radius + 1).min(length);
    let wide = Array2::from_shape_fn((rows, columns), |(row, column)| near(column, columns).any(|at| mask[(row, at)]));
    Array2::from_shape_fn((rows, columns), |(row, column)| near(row, rows).any(|at| wide[(at, column)]))
}

/// A mask shrunk by `radius` pixels in all eight directions; the border does not shrink it.
pub fn erode(mask: ArrayView2<'_, bool>, radius: usize) -> Array2<bool> {
    dilate(mask.mapv(|inside| !inside).view(), radius).mapv(|outside| !outside)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn diagonal_neighbours_are_connected_and_largest_comes_first() {
        let mask = array![[true, false, false, false], [false, true, false, false], [false, false, false, true]];
        let (labels, count) = components(mask.view());
        assert_eq!(count, 2);
        assert_eq!(labels, array![[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2]]);
        let parts = component_masks(mask.view(), 1);
        assert!(parts[0][(0, 0)] && parts[0][(1, 1)] && parts[1][(2, 3)]);
        assert_eq!(component_masks(mask.view(), 2).len(), 1);
    }

    #[test]
    fn growing_and_shrinking() {
        let mut point = Array2::from_elem((5, 5), false);
        point[(2, 2)] = true;
        let grown = dilate(point.view(), 1);
        assert_eq!(grown.iter().filter(|&&inside| inside).count(), 9);
        assert_eq!(erode(grown.view(), 1), point);
        assert!(erode(point.view(), 1).iter().all(|&inside| !inside));
        // A full mask has no outside to be eaten from.
        let full = Array2::from_elem((3, 4), true);
        assert_eq!(erode(full.view(), 2), full);
    }

    #[test]
    fn box_of_an_empty_mask_is_none() {
        assert_eq!(bounding_box(Array2::from_elem((3, 4), false).view()), None);
        let mask = array![[false, false, false], [false, true, true]];
        assert_eq!(bounding_box(mask.view()), Some(BoundingBox { x_min: 0.5, y_min: 0.5, x_max: 2.5, y_max: 1.5 }));
    }
}
