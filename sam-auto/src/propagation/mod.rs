//! From the annotated slices to their neighbours, and on to theirs.
//!
//! - [`seeds`]: the paper's Algorithm 1. Points are handed on where intensities stay alike; SAM is asked afterwards.
//! - [`masks`]: the segmented neighbour's mask is handed on as prompts; SAM is asked at each step, and mistakes can end the walk.

mod masks;
mod seeds;

pub use masks::{MaskPropagationConfig, propagate_masks};
pub use seeds::{SeedGenerator, SeedPropagationConfig};
