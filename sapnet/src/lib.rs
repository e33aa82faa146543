//! SAP-Net, the spatial-aware prototypical network of SAM^auto, and the PANet it extends: feature maps and a few masks
//! in, coarse masks out.
//!
//! The crate knows no SAM and no image: features may come from any frozen encoder. It is generic over burn's backend and
//! selects none.
//!
//! | Module | Holds | Source |
//! |---|---|---|
//! | `annotated` | [`AnnotatedSlices`]: features and masks of the slices a person annotated | – |
//! | `config` | [`SapNetConfig`]: every number | – |
//! | `segmenter` | [`CoarseSegmenter`]: what segments other slices, and [`PaNet`], which needs no training | PANet |
//! | `sap_net` | [`SapNet`]: fitted to annotated slices | paper, section 3.2.2 |
//! | `learner` | [`Learner`]: its training, step by step | paper, Eq. 3 |
//! | `network` | the network on frozen features, and positions beside it | paper, Eq. 5 |
//! | `position` | [`FourierPosition`]: where a pixel is, as channels | paper, Eq. 6 |
//! | `prototype` | [`masked_average`] and [`cosine_logits`]: a class as one vector, and how alike a pixel is | paper, Eq. 4 |
//! | `episode` | [`Support`]: N-way, K-shot episodes, with the alignment loss | paper, Eq. 3 and 4 |
//! | `loss` | [`BiasedDiceLoss`] and [`cross_entropy`] | paper, Eq. 7 |
//! | `components` | [`largest_components`]: top-K post-processing | paper, section 3.2.2 |
//! | `resize` | [`BilinearResize`]: bilinear interpolation as two matrix products | – |
//! | `error` | [`SapnetError`] | – |
//!
//! Prototypes, distances, losses and gradients are held against outputs of PANet's own code, positions against SAM's. Eq. 7
//! has no code: it is held against values of the formula as we read it.
//!
//! # Example
//!
//! One annotated slice segments another; here the features are the grey values and their complement.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use burn::tensor::{Bool, Tensor, TensorData};
//! use sapnet::{AnnotatedSlices, CoarseSegmenter, PaNet, SapNet, SapNetConfig, SupportConfig};
//! type B = burn_flex::Flex;
//!
//! let device = Default::default();
//! // [slices, channels, height, width] and [slices, mask_height, mask_width].
//! let features = Tensor::<B, 4>::from_data([[[[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9], [0.2, 0.8]]]], &device);
//! let object = Tensor::<B, 3, Bool>::from_data([[[true, false], [true, false]]], &device);
//! let annotated = AnnotatedSlices::new(features.clone(), object.clone(), object.bool_not())?;
//!
//! let untrained = PaNet::fit(&annotated, &SupportConfig::default())?;
//! let config = SapNetConfig { iterations: 20, ..SapNetConfig::default() };
//! let trained = SapNet::fit(&annotated, &config, &mut |_| ControlFlow::Continue(()))?;
//!
//! let other_slice = features.clone().flip([3]);
//! let mask = untrained.segment(other_slice, [2, 2])?;
//! mask.into_data().assert_eq(&TensorData::from([[[false, true], [false, true]]]), false);
//! // Positions tie SAP-Net to where the object was annotated.
//! let mask = trained.segment(features, [2, 2])?;
//! mask.into_data().assert_eq(&TensorData::from([[[true, false], [true, false]]]), false);
//! # Ok::<(), sapnet::SapnetError>(())
//! ```

#![forbid(unsafe_code)]

mod annotated;
mod components;
mod config;
mod conv;
mod draw;
mod episode;
mod error;
mod learner;
mod loss;
mod network;
mod position;
mod prototype;
mod random;
mod resize;
mod sap_net;
mod segmenter;

pub use annotated::AnnotatedSlices;
pub use components::largest_components;
pub use config::{EpisodeConfig, Fusion, NetworkConfig, SapNetConfig};
pub use episode::{Segmentation, Support, SupportConfig};
pub use error::SapnetError;
pub use learner::{Ending, Learner, Progress};
pub use loss::{BiasedDiceLoss, BiasedDiceLossConfig, cross_entropy};
pub use ndarray;
pub use position::{FourierPosition, FourierPositionConfig};
pub use prototype::{cosine_logits, masked_average};
pub use resize::BilinearResize;
pub use sap_net::SapNet;
pub use segmenter::{CoarseSegmenter, PaNet, check_query};
