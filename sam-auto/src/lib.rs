//! SAM^auto: the rest of a volume without clicks, from a few annotated slices.
//!
//! So far it holds one way: [`propagate`], which walks outwards from the annotated slices and prompts each slice with the box and
//! points of its segmented neighbour's mask. The paper's prompt generators (propagation by intensity, classification of SAM's
//! features, coarse segmentation by SAP-Net) are not here yet.
//!
//! ```
//! use burn_flex::Flex;
//! use ndarray::{Array2, Array3};
//! use sam_auto::{PropagationConfig, propagate};
//! use sam_core::{SamConfig, SamPredictor, ViTConfig};
//!
//! let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
//! let slices = vec![Array3::from_elem((40, 50, 1), 90.0); 5];
//! let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
//!
//! let mut embed = |index: usize| Ok(predictor.embed(slices[index].view())?);
//! let annotated = [(2, outline)].into();
//! let masks = propagate(&predictor, slices.len(), &annotated, &mut embed, &PropagationConfig::default(), &mut |_| ())?;
//! assert_eq!(masks.len(), 5);
//! # Ok::<(), sam_auto::AutoError>(())
//! ```

mod error;
mod propagation;

pub use error::AutoError;
pub use propagation::{EmbedSlice, PropagationConfig, SegmentedSlice, propagate};
