//! Freehand drawings, reduced to what SAM reads: points, boxes and low-res logits.

mod lasso;
mod logits;
mod scribble;

pub use lasso::Lasso;
pub use logits::{MASK_STRENGTH, mask_logits};
pub use scribble::Scribble;

use crate::PromptError;

/// Checks that a path has the vertices it needs, each of them on the pixels of the image.
fn check_path(
    what: &'static str,
    path: &[[f32; 2]],
    needed: usize,
    height: usize,
    width: usize,
) -> Result<(), PromptError> {
    if path.len() < needed {
        return Err(PromptError::ShortPath { what, needed, found: path.len() });
    }
    // The image ends half a pixel beyond its first and last centres; a NaN lies in no range.
    let fits = |at: f32, side: usize| (-0.5..=side as f32 - 0.5).contains(&at);
    match path.iter().find(|[x, y]| !fits(*x, width) || !fits(*y, height)) {
        Some(&[x, y]) => Err(PromptError::OutsideImage { what, x, y, width, height }),
        None => Ok(()),
    }
}
