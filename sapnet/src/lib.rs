//! Few-shot coarse segmentation: SAP-Net, the spatial-aware prototypical network of SAM^auto, and PANet, which it extends. From feature
//! maps and a few masks, they predict coarse masks.
//!
//! The crate does not depend on SAM: features may come from any frozen encoder. It is generic over burn's backend.
//!
//! - [`AnnotatedFeatures`]: features and masks of the annotated slices of a case.
//! - [`SapNet`]: trained on them, with [`SapNetConfig`] (paper, section 3.2.2); [`SapNetTrainer`] trains step by step.
//! - [`PaNet`]: the baseline without training.
//! - [`CoarseSegmenter`]: segments other slices; implemented by both.
//! - [`Support`]: N-way, K-shot episodes with the alignment loss (paper, Eq. 3 and 4).
//! - [`masked_average`] and [`cosine_logits`]: a class as one vector, and the similarity of pixels to it (paper, Eq. 4).
//! - [`FourierPosition`]: position encoding (paper, Eq. 6).
//! - [`BiasedDiceLoss`] and [`cross_entropy`]: losses (paper, Eq. 7).
//! - [`BilinearResize`]: bilinear interpolation as two matrix products.
//!
//! Top-K post-processing of coarse masks is `sam_prompt::largest_components`.
//!
//! Prototypes, distances, losses and gradients are tested against outputs of PANet's own code, position encodings against SAM's. Eq. 7 has
//! no reference code: it is tested against values of the formula as we read it.
//!
//! # Use
//! ```toml
//! [dependencies]
//! sapnet = "0.1"
//! burn-flex = "0.21" # or another backend of burn 0.21
//! ```
//! [`burn`] is re-exported. Its version must be 0.21: `cargo add burn-flex` takes a later one that does not fit.
//!
//! # Example
//!
//! One annotated slice segments another; here the features are the grey values and their complement.
//!
//! ```
//! use sapnet::burn::tensor::{Bool, Tensor, TensorData};
//! use sapnet::progress::ignore_progress;
//! use sapnet::{AnnotatedFeatures, CoarseSegmenter, PaNet, SapNet, SapNetConfig, SupportConfig};
//! type B = burn_flex::Flex;
//!
//! let device = Default::default();
//! // [slices, channels, height, width] and [slices, mask_height, mask_width].
//! let features = Tensor::<B, 4>::from_data([[[[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9], [0.2, 0.8]]]], &device);
//! let object = Tensor::<B, 3, Bool>::from_data([[[true, false], [true, false]]], &device);
//! let annotated = AnnotatedFeatures::new(features.clone(), object.clone(), object.bool_not())?;
//!
//! let untrained = PaNet::fit(&annotated, &SupportConfig::default())?;
//! let config = SapNetConfig::default().with_iterations(20);
//! let trained = SapNet::fit(&annotated, &config, &mut ignore_progress())?;
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
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

mod annotated;
mod config;
mod conv;
mod draw;
mod episode;
mod error;
mod loss;
mod network;
mod position;
mod prototype;
mod random;
mod resize;
mod sap_net;
mod segmenter;
mod setters;
mod trainer;

pub use annotated::AnnotatedFeatures;
pub use burn;
pub use config::{EpisodeConfig, Fusion, NetworkConfig, SapNetConfig};
pub use episode::{Segmentation, Support, SupportConfig};
pub use error::SapnetError;
pub use loss::{BiasedDiceLoss, BiasedDiceLossConfig, cross_entropy};
pub use position::{FourierPosition, FourierPositionConfig};
pub use prototype::{cosine_logits, masked_average};
pub use resize::BilinearResize;
pub use sam_prompt::ConfigError;
pub use sam_prompt::progress;
pub use sap_net::SapNet;
pub use segmenter::{CoarseSegmenter, PaNet, check_query};
pub use trainer::SapNetTrainer;

/// Compiles and runs the program of the README as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
