//! Positions of clicks and crops.

use serde::{Deserialize, Serialize};

/// A crop of an image that is embedded by itself.
///
/// Units: pixels; `right` and `bottom` are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CropBox {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// First column after the crop.
    pub right: usize,
    /// First row after the crop.
    pub bottom: usize,
    /// Layer of the crop; 0 is the whole image.
    pub layer: usize,
}

impl CropBox {
    /// Number of pixels in the crop.
    pub const fn area(&self) -> usize {
        (self.right - self.left) * (self.bottom - self.top)
    }
}

/// Clicks `(x, y)` at the centres of `per_side` x `per_side` cells, as fractions of the sides, row by row.
pub fn point_grid(per_side: usize) -> Vec<(f64, f64)> {
    let at = |cell: usize| (2 * cell + 1) as f64 / (2 * per_side) as f64;
    (0..per_side).flat_map(|row| (0..per_side).map(move |column| (at(column), at(row)))).collect()
}

/// The whole image, then the overlapping crops of each further layer, column by column.
///
/// `overlap` is the overlap in the first layer, as a fraction of the shorter side; it halves with each further layer.
pub fn crop_boxes(height: usize, width: usize, layers: usize, overlap: f64) -> Vec<CropBox> {
    let mut crops = vec![CropBox { left: 0, top: 0, right: width, bottom: height, layer: 0 }];
    for layer in 1..=layers {
        let per_side = 1_usize << layer;
        let overlap = (overlap * height.min(width) as f64 * (2.0 / per_side as f64)) as usize;
        let length = |side: usize| (overlap * (per_side - 1) + side).div_ceil(per_side);
        let (crop_width, crop_height) = (length(width), length(height));
        // On a small image, the overlap can push crops outside the image; they are left out.
        let starts = |length: usize, side: usize| {
            (0..per_side).map(move |crop| length.saturating_sub(overlap) * crop).filter(move |&start| start < side)
        };
        for left in starts(crop_width, width) {
            for top in starts(crop_height, height) {
                let (right, bottom) = ((left + crop_width).min(width), (top + crop_height).min(height));
                crops.push(CropBox { left, top, right, bottom, layer });
            }
        }
    }
    crops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_lie_in_the_middles_of_their_cells() {
        assert_eq!(point_grid(2), [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]);
        assert_eq!(point_grid(1), [(0.5, 0.5)]);
    }

    #[test]
    fn crops_cover_the_image_and_lie_in_it() {
        for (height, width) in [(90, 117), (1, 1), (3, 500), (512, 512)] {
            let crops = crop_boxes(height, width, 3, 512.0 / 1500.0);
            assert!(crops.iter().all(|crop| crop.left < crop.right && crop.right <= width));
            assert!(crops.iter().all(|crop| crop.top < crop.bottom && crop.bottom <= height));
            for layer in 0..=3 {
                let of_layer = || crops.iter().filter(|crop| crop.layer == layer);
                assert!((0..width).all(|x| of_layer().any(|crop| (crop.left..crop.right).contains(&x))));
                assert!((0..height).all(|y| of_layer().any(|crop| (crop.top..crop.bottom).contains(&y))));
            }
        }
    }
}
