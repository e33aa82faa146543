//! Propagation from the annotated slices to their neighbours, and from these to the next slices.
//!
//! - [`points`]: the paper's Algorithm 1. Points move on where intensities stay similar; SAM segments afterwards.
//! - [`masks`]: each slice is prompted from the mask of its neighbour; SAM segments at each step, and a mask that fails ends the
//!   propagation.

mod masks;
mod points;

pub(crate) use masks::propagate_one_way;
pub use masks::{MaskPropagationConfig, propagate_masks};
pub use points::{PointGenerator, PointPropagationConfig};
