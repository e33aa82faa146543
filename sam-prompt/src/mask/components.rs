//! Connected components of masks of any dimension.

use std::cmp::Reverse;

use ndarray::{Array, ArrayView, ArrayView2, Dimension, Slice};

use crate::BoundingBox;

/// Marks a pixel of the mask that has no label yet.
const UNLABELLED: u32 = u32::MAX;

/// Labels the connected components of a mask.
///
/// Pixels that touch at a corner are connected: 8 neighbours in an image, 26 in a volume. Returns the labels and the number of
/// components. Labels are 0 outside the mask and `1..=count` inside it, in the order in which a scan of the array meets the
/// components.
///
/// # Shapes
/// - mask: any, for example `[rows, columns]` or `[slices, rows, columns]`
/// - labels: the same
#[expect(clippy::missing_panics_doc, reason = "`zeros` lays arrays out in standard order")]
#[expect(clippy::expect_used, reason = "the array was allocated in standard order")]
pub fn components<D: Dimension>(mask: ArrayView<'_, bool, D>) -> (Array<u32, D>, usize) {
    // With a border of outside pixels around the array, each neighbour has a constant offset in memory.
    let mut shape = mask.raw_dim();
    shape.slice_mut().iter_mut().for_each(|length| *length += 2);
    let mut padded = Array::<u32, D>::zeros(shape);
    let interior = |_| Slice::new(1, Some(-1), 1);
    let mut inside = padded.slice_each_axis_mut(interior);
    inside.zip_mut_with(&mask, |label, &inside| *label = if inside { UNLABELLED } else { 0 });

    let offsets = neighbour_offsets(padded.strides());
    let count = label_all(padded.as_slice_mut().expect("an array of standard order"), &offsets);
    (padded.slice_each_axis(interior).to_owned(), count)
}

/// Replaces each [`UNLABELLED`] by the label of its component. Returns the number of components.
fn label_all(labels: &mut [u32], offsets: &[isize]) -> usize {
    let mut count = 0;
    let mut pending = Vec::new();
    for start in 0..labels.len() {
        if labels[start] != UNLABELLED {
            continue;
        }
        count += 1;
        labels[start] = count;
        pending.push(start);
        while let Some(at) = pending.pop() {
            for next in offsets.iter().map(|&offset| at.wrapping_add_signed(offset)) {
                if labels[next] == UNLABELLED {
                    labels[next] = count;
                    pending.push(next);
                }
            }
        }
    }
    count as usize
}

/// Memory offsets of a pixel's neighbours, including corners and the pixel itself.
fn neighbour_offsets(strides: &[isize]) -> Vec<isize> {
    strides.iter().fold(vec![0], |offsets, &stride| {
        offsets.into_iter().flat_map(|offset| [offset - stride, offset, offset + stride]).collect()
    })
}

/// The connected components of a mask, each as a separate mask: the largest first, equally large ones in scan order.
///
/// Components of fewer than `min_pixels` pixels are left out. For neighbours and shapes see [`components`].
pub fn component_masks<D: Dimension>(mask: ArrayView<'_, bool, D>, min_pixels: usize) -> Vec<Array<bool, D>> {
    let (labels, sizes) = ranked_components(mask);
    let large = sizes.into_iter().take_while(|&(_, pixels)| pixels >= min_pixels);
    large.map(|(label, _)| labels.mapv(|found| found == label)).collect()
}

/// The box of each connected component of a mask, in the order of [`component_masks`].
///
/// Components of fewer than `min_pixels` pixels are left out. For the units see [`bounding_box`](super::bounding_box).
///
/// ```
/// use ndarray::array;
/// use sam_prompt::{BoundingBox, component_boxes};
///
/// let mask = array![[true, false, false, false], [false, false, true, true]];
/// let boxes = component_boxes(mask.view(), 1);
/// assert_eq!(boxes[0], BoundingBox { x_min: 1.5, y_min: 0.5, x_max: 3.5, y_max: 1.5 });
/// assert_eq!(boxes[1], BoundingBox { x_min: -0.5, y_min: -0.5, x_max: 0.5, y_max: 0.5 });
/// ```
pub fn component_boxes(mask: ArrayView2<'_, bool>, min_pixels: usize) -> Vec<BoundingBox> {
    let (labels, sizes) = ranked_components(mask);
    let mut boxes: Vec<Option<BoundingBox>> = vec![None; sizes.len()];
    for (pixel, &label) in labels.indexed_iter().filter(|&(_, &label)| label > 0) {
        let found = &mut boxes[label as usize - 1];
        *found = Some(BoundingBox::around(*found, pixel));
    }
    let large = sizes.into_iter().take_while(|&(_, pixels)| pixels >= min_pixels);
    large.filter_map(|(label, _)| boxes[label as usize - 1]).collect()
}

/// The largest connected components of a mask, at most `count` of them; all other pixels are removed.
///
/// Of equally large components, the first in scan order is kept. Use this function for objects whose number is known, such as 1 liver or 2
/// kidneys. For neighbours and shapes see [`components`].
///
/// # Source
/// Paper, section 3.2.2 (top-K post-processing of the coarse mask).
pub fn largest_components<D: Dimension>(mask: ArrayView<'_, bool, D>, count: usize) -> Array<bool, D> {
    let (labels, sizes) = ranked_components(mask);
    // Label 0 is the outside.
    let mut kept = vec![false; sizes.len() + 1];
    sizes.into_iter().take(count).for_each(|(label, _)| kept[label as usize] = true);
    labels.mapv(|label| kept[label as usize])
}

/// The labels of [`components`], and each label with its number of pixels: the largest first, equally large ones in scan order.
pub(crate) fn ranked_components<D: Dimension>(mask: ArrayView<'_, bool, D>) -> (Array<u32, D>, Vec<(u32, usize)>) {
    let (labels, count) = components(mask);
    let mut sizes: Vec<(u32, usize)> = (1..=count as u32).map(|label| (label, 0)).collect();
    for &label in labels.iter().filter(|&&label| label > 0) {
        sizes[label as usize - 1].1 += 1;
    }
    sizes.sort_by_key(|&(_, pixels)| Reverse(pixels));
    (labels, sizes)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array0, Array3, array};

    use super::*;

    #[test]
    fn diagonal_neighbours_are_connected_and_the_largest_component_comes_first() {
        let mask = array![[true, false, false, false], [false, true, false, false], [false, false, false, true]];
        let (labels, count) = components(mask.view());
        assert_eq!(count, 2);
        assert_eq!(labels, array![[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2]]);
        let parts = component_masks(mask.view(), 1);
        assert!(parts[0][(0, 0)] && parts[0][(1, 1)] && parts[1][(2, 3)]);
        assert_eq!(component_masks(mask.view(), 2).len(), 1);
    }

    #[test]
    fn arrays_without_pixels_or_axes_are_masks_too() {
        assert_eq!(components(Array3::from_elem((2, 0, 3), true).view()), (Array3::zeros((2, 0, 3)), 0));
        assert_eq!(components(Array0::from_elem((), true).view()).1, 1);
        assert!(component_boxes(array![[false]].view(), 0).is_empty());
    }

    #[test]
    fn the_memory_order_of_a_mask_does_not_matter() {
        let mask = array![[true, false, true], [true, false, false]];
        let labels = array![[1, 1], [0, 0], [2, 0]];
        assert_eq!(components(mask.t()), (labels, 2));
    }
}
