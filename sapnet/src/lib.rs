//! SAP-Net, the spatial-aware prototypical network of SAM^auto, and the PANet it extends: feature maps and a few masks
//! in, coarse masks out.
//!
//! The crate knows no SAM and no image: features may come from any frozen encoder. It is generic over burn's backend and
//! selects none.
//!
//! **What is here so far** are the parts without trainable numbers, held against outputs of PANet's and SAM's own
//! code (Eq. 7 has none: against values of the formula as we read it):
//!
//! | Module | Holds | Source |
//! |---|---|---|
//! | `position` | [`FourierPosition`]: where a pixel is, as channels | paper, Eq. 6 |
//! | `prototype` | [`masked_average`] and [`cosine_logits`]: a class as one vector, and how alike a pixel is | paper, Eq. 4 |
//! | `episode` | [`Support`]: annotated slices that segment other slices, with the alignment loss | paper, Eq. 3 and 4 |
//! | `loss` | [`BiasedDiceLoss`] and [`cross_entropy`] | paper, Eq. 7 |
//! | `resize` | [`BilinearResize`]: bilinear interpolation as two matrix products | – |
//! | `error` | [`SapnetError`] | – |
//!
//! **What is not here yet**: the trainable network that joins features and position (Eq. 5), the drawing of episodes
//! from annotated slices, and training. Until then this is PANet on features as they come.
//!
//! # Example
//!
//! One annotated slice segments another; here the features are the grey values and their complement.
//!
//! ```
//! use burn::tensor::{Bool, Tensor, TensorData};
//! use sapnet::{Support, SupportConfig};
//! type B = burn_flex::Flex;
//!
//! let device = Default::default();
//! let features = Tensor::<B, 3>::from_data([[[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9], [0.2, 0.8]]], &device);
//! let object = Tensor::<B, 2, Bool>::from_data([[true, false], [true, false]], &device);
//!
//! // One class, one annotated slice: [ways, shots, channels, height, width] and [ways, shots, height, width].
//! let foreground = object.unsqueeze::<4>();
//! let support = Support::new(
//!     &SupportConfig::new(),
//!     features.clone().unsqueeze::<5>(),
//!     foreground.clone(),
//!     foreground.bool_not(),
//! )?;
//!
//! let other_slice = features.flip([2]).unsqueeze::<4>();
//! let coarse = support.segment(other_slice)?.classes();
//! coarse.into_data().assert_eq(&TensorData::from([[[0, 1], [0, 1]]]), false);
//! # Ok::<(), sapnet::SapnetError>(())
//! ```

mod episode;
mod error;
mod loss;
mod position;
mod prototype;
mod resize;

pub use episode::{Segmentation, Support, SupportConfig};
pub use error::SapnetError;
pub use loss::{BiasedDiceLoss, BiasedDiceLossConfig, cross_entropy};
pub use position::{FourierPosition, FourierPositionConfig};
pub use prototype::{cosine_logits, masked_average};
pub use resize::BilinearResize;
