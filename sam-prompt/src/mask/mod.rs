//! Operations on masks: components, boxes, size, overlap, growing and shrinking.

mod click;
mod components;

use ndarray::{Array2, ArrayView, ArrayView2, Dimension, Zip};

pub(crate) use self::components::ranked_components;
pub use self::{
    click::ClickReach,
    components::{component_boxes, component_masks, components, largest_components},
};
use crate::{BoundingBox, PromptError};

/// The number of pixels (or voxels) inside a mask of any shape.
pub fn mask_area<D: Dimension>(mask: ArrayView<'_, bool, D>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}

/// Whether no pixel is inside a mask of any shape.
pub fn is_mask_empty<D: Dimension>(mask: ArrayView<'_, bool, D>) -> bool {
    !mask.iter().any(|&inside| inside)
}

/// Intersection over union (Jaccard index) of two masks, in [0, 1]; 0 if both are empty.
///
/// For scores against a ground truth use `sam_eval::iou`, where the caller chooses what two empty masks score.
///
/// # Shapes
/// - first, second: the same, of any dimension
///
/// # Errors
/// [`PromptError::UnequalMasks`] if the shapes differ.
pub fn mask_iou<D: Dimension>(
    first: ArrayView<'_, bool, D>,
    second: ArrayView<'_, bool, D>,
) -> Result<f64, PromptError> {
    let (both, either) = both_and_either(first, second)?;
    Ok(if either == 0 { 0.0 } else { both as f64 / either as f64 })
}

/// Dice coefficient of two masks, in [0, 1]; 0 if both are empty.
///
/// For scores against a ground truth use `sam_eval::dice`, where the caller chooses what two empty masks score.
///
/// # Shapes
/// - first, second: the same, of any dimension
///
/// # Errors
/// [`PromptError::UnequalMasks`] if the shapes differ.
pub fn mask_dice<D: Dimension>(
    first: ArrayView<'_, bool, D>,
    second: ArrayView<'_, bool, D>,
) -> Result<f64, PromptError> {
    let (both, either) = both_and_either(first, second)?;
    Ok(if either == 0 { 0.0 } else { (2 * both) as f64 / (both + either) as f64 })
}

/// Number of pixels in both of two masks, and in at least one of them.
fn both_and_either<D: Dimension>(
    first: ArrayView<'_, bool, D>,
    second: ArrayView<'_, bool, D>,
) -> Result<(u64, u64), PromptError> {
    PromptError::check_equal_masks(&first, &second)?;
    let (mut both, mut either) = (0, 0);
    Zip::from(first).and(second).for_each(|&first, &second| {
        both += u64::from(first && second);
        either += u64::from(first || second);
    });
    Ok((both, either))
}

/// The smallest box that holds a mask, or `None` if the mask is empty.
///
/// # Shapes
/// - mask: `[rows, columns]`
///
/// # Units
/// From the near edge of the first pixels to the far edge of the last, half a pixel beyond their centres: the box of a single pixel has
/// side 1. (The boxes of SAM's own scripts end at the centres of the first and last pixels. On images that are enlarged for the model, this
/// cuts a pixel or two off small objects.)
pub fn bounding_box(mask: ArrayView2<'_, bool>) -> Option<BoundingBox> {
    let inside = mask.indexed_iter().filter(|&(_, &inside)| inside);
    inside.fold(None, |found, (pixel, _)| Some(BoundingBox::around(found, pixel)))
}

/// Grows a mask by `radius` pixels in all eight directions. It does not grow beyond the image's border.
pub fn dilate(mask: ArrayView2<'_, bool>, radius: usize) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    let near = |centre: usize, length: usize| centre.saturating_sub(radius)..(centre + radius + 1).min(length);
    let wide = Array2::from_shape_fn((rows, columns), |(row, column)| near(column, columns).any(|at| mask[(row, at)]));
    Array2::from_shape_fn((rows, columns), |(row, column)| near(row, rows).any(|at| wide[(at, column)]))
}

/// Shrinks a mask by `radius` pixels in all eight directions. The image's border does not shrink it.
pub fn erode(mask: ArrayView2<'_, bool>, radius: usize) -> Array2<bool> {
    dilate(mask.mapv(|inside| !inside).view(), radius).mapv(|outside| !outside)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn dilation_and_erosion_of_points_and_full_masks() {
        let mut point = Array2::from_elem((5, 5), false);
        point[(2, 2)] = true;
        let grown = dilate(point.view(), 1);
        assert_eq!(mask_area(grown.view()), 9);
        assert_eq!(erode(grown.view(), 1), point);
        assert!(is_mask_empty(erode(point.view(), 1).view()));
        // A full mask has no outside pixels, so it does not shrink.
        let full = Array2::from_elem((3, 4), true);
        assert_eq!(erode(full.view(), 2), full);
    }

    #[test]
    fn the_box_of_an_empty_mask_is_none() {
        assert_eq!(bounding_box(Array2::from_elem((3, 4), false).view()), None);
        let mask = array![[false, false, false], [false, true, true]];
        assert_eq!(bounding_box(mask.view()), Some(BoundingBox { x_min: 0.5, y_min: 0.5, x_max: 2.5, y_max: 1.5 }));
    }

    #[test]
    fn overlap_is_counted_in_any_dimension() {
        let (first, second) = (array![[true, true, false]], array![[false, true, true]]);
        assert_eq!(mask_iou(first.view(), second.view()), Ok(1.0 / 3.0));
        assert_eq!(mask_dice(first.view(), second.view()), Ok(0.5));
        let empty = Array3::from_elem((2, 2, 2), false);
        assert_eq!(mask_iou(empty.view(), empty.view()), Ok(0.0));
        assert_eq!(mask_dice(empty.view(), empty.view()), Ok(0.0));
        let error = mask_iou(first.view(), array![[true]].view()).expect_err("another shape");
        assert_eq!(error, PromptError::UnequalMasks { first: vec![1, 3], second: vec![1, 1] });
    }
}
