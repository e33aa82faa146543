//! Drawn masks as SAM's mask prompt.

use ndarray::{Array2, ArrayView2};

use crate::PromptError;

/// Logit of a drawn pixel: confident, but within the range of SAM's own low-res logits, whose magnitude reaches about 10 to 20.
///
/// Source: SAM 2 feeds given masks to its memory as logits of -10 and 10 (`sam2_base.py`, `_use_mask_as_output`).
pub const MASK_STRENGTH: f32 = 10.0;

/// Converts a drawn mask to low-res logits for [`Prompts::mask`](crate::Prompts): `strength` inside the object, `-strength` outside.
///
/// SAM reads mask prompts in the frame of its own input: an image is resized to `resized` rows and columns, then padded at the
/// bottom and right to a square of side `padded`, and `low_res` logits cover each side of that square. Each logit is the share of
/// its square that the mask covers, from 0 to 1, stretched to `-strength..=strength`; so logits are negative on padding, and 0 where
/// the mask covers one half.
///
/// # Shapes
/// - mask: `[rows, columns]` of the image
/// - output: `[low_res, low_res]`; SAM has `padded` 1024 and `low_res` 256
///
/// # Errors
/// [`PromptError::MaskFrame`] if the image is empty or does not fit the square, [`PromptError::InvalidRange`] if the strength is
/// negative or not finite.
pub fn mask_logits(
    mask: ArrayView2<'_, bool>,
    resized: (usize, usize),
    padded: usize,
    low_res: usize,
    strength: f32,
) -> Result<Array2<f32>, PromptError> {
    let (rows, columns) = mask.dim();
    let fits = |original: usize, resized: usize| original > 0 && (1..=padded).contains(&resized);
    if low_res == 0 || !fits(rows, resized.0) || !fits(columns, resized.1) {
        return Err(PromptError::MaskFrame { original: (rows, columns), resized, padded, low_res });
    }
    if !strength.is_finite() || strength < 0.0 {
        return Err(PromptError::InvalidRange { name: "strength of a mask prompt", value: strength, least: 0.0 });
    }
    let cell = padded as f64 / low_res as f64;
    let down = shares(low_res, cell, rows, resized.0 as f64 / rows as f64);
    let across = shares(low_res, cell, columns, resized.1 as f64 / columns as f64);
    let covered = down.dot(&mask.mapv(|inside| f64::from(u8::from(inside)))).dot(&across.t());
    Ok(covered.mapv(|share| strength * (2.0 * share.clamp(0.0, 1.0) - 1.0) as f32))
}

/// The share of each cell that each pixel covers, along one axis: `[cells, pixels]`. A cell is `cell` wide, a pixel `pixel`.
fn shares(cells: usize, cell: f64, pixels: usize, pixel: f64) -> Array2<f64> {
    Array2::from_shape_fn((cells, pixels), |(at_cell, at_pixel)| {
        let start = (at_cell as f64 * cell).max(at_pixel as f64 * pixel);
        let end = ((at_cell + 1) as f64 * cell).min((at_pixel + 1) as f64 * pixel);
        (end - start).max(0.0) / cell
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::*;

    #[test]
    fn logits_are_shares_of_the_padded_square() {
        // Two rows of four pixels, enlarged by a factor of 2, in a square of side 8 with one logit for each mask pixel.
        let mask = array![[true, true, true, false], [true, true, false, false]];
        let found = mask_logits(mask.view(), (4, 8), 8, 4, 10.0).expect("the frame fits");
        let (upper, lower) = found.view().split_at(Axis(0), 2);
        assert_eq!(upper, array![[10.0, 10.0, 10.0, -10.0], [10.0, 10.0, -10.0, -10.0]]);
        assert_eq!(lower, array![[-10.0; 4], [-10.0; 4]], "padding is outside");
        let coarse = mask_logits(mask.view(), (4, 8), 8, 2, 10.0).expect("the frame fits");
        assert_eq!(coarse, array![[10.0, -5.0], [-10.0, -10.0]]);
    }

    #[test]
    fn impossible_frames_are_errors() {
        let mask = Array2::from_elem((4, 4), true);
        for (resized, padded, low_res) in [((9, 8), 8, 2), ((0, 8), 8, 2), ((8, 8), 8, 0), ((8, 8), 0, 2)] {
            let found = mask_logits(mask.view(), resized, padded, low_res, 1.0);
            assert!(matches!(found, Err(PromptError::MaskFrame { .. })), "{resized:?} {padded} {low_res}");
        }
        let empty = mask_logits(Array2::from_elem((0, 4), true).view(), (8, 8), 8, 2, 1.0);
        assert!(matches!(empty, Err(PromptError::MaskFrame { .. })));
        let unsure = mask_logits(mask.view(), (8, 8), 8, 2, f32::NAN);
        assert!(matches!(unsure, Err(PromptError::InvalidRange { .. })));
    }
}
