//! Freehand drawings, converted to what SAM reads: points, boxes and low-res logits.

mod lasso;
mod logits;
mod scribble;

pub use lasso::Lasso;
pub use logits::{MASK_STRENGTH, mask_logits};
pub use scribble::Scribble;

use crate::{PromptError, prompt};

/// Checks that coordinates, of any unit, are finite.
pub(crate) fn check_finite<T: Into<f64>>(
    what: &'static str,
    position: impl IntoIterator<Item = T>,
) -> Result<(), PromptError> {
    let finite = position.into_iter().all(|coordinate| coordinate.into().is_finite());
    if finite { Ok(()) } else { Err(PromptError::NotFinite { what }) }
}

/// Checks that a path, of any unit, has enough vertices and that they are finite.
fn check_path<P, T>(what: &'static str, path: &[P], needed: usize) -> Result<(), PromptError>
where
    P: Copy + IntoIterator<Item = T>,
    T: Into<f64>,
{
    if path.len() < needed {
        return Err(PromptError::ShortPath { what, needed, found: path.len() });
    }
    path.iter().try_for_each(|&vertex| check_finite(what, vertex))
}

/// Checks that all vertices lie on pixels of the image.
fn check_inside(what: &'static str, path: &[[f32; 2]], height: usize, width: usize) -> Result<(), PromptError> {
    path.iter().try_for_each(|&vertex| prompt::check_inside(what, vertex, height, width))
}
