//! The Segment Anything Model (SAM) on burn: image encoder, prompt encoder, mask decoder, checkpoints and prediction.
//!
//! All types are generic over `B: Backend`; the crate selects no backend. Names follow the official segment-anything package one for one.
//!
//! - [`Sam`]: image encoder, prompt encoder and mask decoder, built from a [`SamConfig`] of any size.
//! - [`Checkpoint`]: PyTorch `.pth` and `.safetensors` weights, the variant inferred from the shapes.
//! - [`SamPredictor`]: embed an image once, prompt it many times.
//! - [`ImageEncoder`]: the trait of image encoders; implement it to use your own.
//! - [`EmbeddingStore`]: embeds each slice once; embeddings are kept in memory and in an [`EmbeddingCache`] on disk.
//! - [`Region`]: crops and tiles of an image, embedded at the model's full resolution.
//! - [`automatic`]: masks of everything on an image, from a grid of clicks.
//!
//! With the feature `flex`, the image encoders and the mask decoder run on the kernels of the crate sam-flex when the backend is
//! `burn_flex::Flex`. This makes embedding and prompting several times faster on a CPU. With the feature `autodiff` as well, training is
//! faster too. All other backends use burn's operations.
//!
//! # Use
//!
//! ```toml
//! [dependencies]
//! sam-core = { version = "0.1", features = ["flex"] }
//! ```
//!
//! The crate re-exports burn, ndarray and sam-prompt, and with the feature `flex` the backend `Flex`, so that their versions match.
//!
//! ```no_run
//! # #[cfg(feature = "flex")]
//! # {
//! use sam_core::{Checkpoint, Flex, FlexDevice, ndarray::Array3, sam_prompt::{BoundingBox, Prompts}};
//!
//! let predictor = Checkpoint::open("lite_medsam.pth")?.predictor::<Flex>(&FlexDevice)?;
//! // 8-bit levels, [rows, columns, channels]: bring CT and MR there with a window first.
//! let image = Array3::<u8>::zeros((512, 512, 1));
//! let embedding = predictor.embed(image.view())?;
//! let liver = BoundingBox { x_min: 100.0, y_min: 120.0, x_max: 290.0, y_max: 330.0 };
//! let mask = predictor.predict(&embedding, &Prompts::from_boxes(vec![liver]))?.mask();
//! # }
//! # Ok::<(), sam_core::CoreError>(())
//! ```
//!
//! Any config works without weights (random weights), for example in tests:
//!
//! ```
//! # #[cfg(feature = "flex")]
//! # {
//! use sam_core::{Flex, SamConfig, SamPredictor, ndarray::Array3, sam_prompt::{Label, Point, Prompts}};
//!
//! let device = Default::default();
//! let config = SamConfig::vit(sam_core::ViTConfig::new(32, 2, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&device), config.preprocess);
//!
//! let image = Array3::from_shape_fn((48, 64, 1), |(row, column, _)| (row * column % 256) as u8);
//! let embedding = predictor.embed(image.view())?;
//! let click = Point { x: 30.0, y: 20.0, label: Label::Foreground };
//! let prediction = predictor.predict(&embedding, &Prompts::from_points(vec![click]))?;
//! assert_eq!(prediction.mask().dim(), (48, 64));
//! # }
//! # Ok::<(), sam_core::CoreError>(())
//! ```
//!
//! # Threads
//!
//! On a CPU, all work is spread over rayon's thread pool; `RAYON_NUM_THREADS` sets its size. Run your program inside the pool: wrap all of
//! it in [`sam_threads::in_pool`]. From other threads, each operation is passed to the pool, whose threads may be asleep. This costs a
//! tenth of the training time, and more if the model is small. Several threads may call one predictor at the same time.
//!
//! # Two trainings at once
//!
//! Two trainings at the same time can deadlock if they share a thread pool, and on any threads they can lose gradients: [`sam_threads`] says
//! why. [`sam_threads::train`] runs one training at a time. sam-assist and sapnet call it; call it around your own trainings.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod annotated;
mod area;
pub mod automatic;
mod axes;
mod cache;
mod checkpoint;
mod config;
mod error;
mod finite;
pub mod image_encoder;
mod kernels;
mod mask_decoder;
mod mlp;
mod pillow;
mod precision;
mod predictor;
mod region;
mod resize;
mod sam;
mod slices;
mod store;
mod transform;
mod transformer;

pub use annotated::AnnotatedSlice;
pub use cache::{CacheConfig, EmbeddingCache, EmbeddingKey};
pub use checkpoint::{Checkpoint, NotWeights, OnnxError, OnnxFile, convert_onnx};
pub use config::{EncoderConfig, SamConfig};
pub use error::{CoreError, KeyMismatch, ReadError};
pub use image_encoder::{AnyImageEncoder, ImageEncoder, ImageEncoderViT, TinyVit, TinyVitConfig, ViTConfig};
pub use mask_decoder::{DecoderPositions, MaskDecoder, MaskDecoderConfig, MaskLogits, MaskOutput};
pub use precision::{Precision, PrecisionError};
pub use predictor::{ImageEmbedding, MaskPrediction, SamPredictor};
pub use region::{OUTSIDE_LOGIT, Region, RegionEmbedding};
pub use resize::{bilinear, postprocess_masks};
pub use sam::Sam;
pub use sam_prompt::ConfigError;
pub use slices::{ImageFn, ImageSource, SliceError, SliceSource};
pub use store::{EmbeddingStore, StoreCounts};
pub use transform::{Fit, Frame, Normalise, Preprocess, ResizeFilter};
pub use transformer::{
    ImagePositions, ProjectedImage, TwoWayAttentionBlock, TwoWayTransformer, TwoWayTransformerConfig,
};

pub use burn;
#[cfg(feature = "flex")]
pub use burn_flex::{Flex, FlexDevice};
pub use ndarray;
pub use sam_prompt::{self, interpolation_matrix};
pub use sam_threads;

/// The example program of the README, compiled and run as a documentation test with `Flex`.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
