//! The Segment Anything Model (SAM) on burn: its parts, its weights, and prediction.
//!
//! Generic over `B: Backend`; the crate selects none. Names follow the official segment-anything package one for one, so that
//! whoever knows SAM knows where to look.
//!
//! - [`Sam`]: image encoder, prompt encoder and mask decoder, built from a [`SamConfig`] of any size.
//! - [`Checkpoint`]: PyTorch `.pth` and `.safetensors` weights, the variant inferred from the shapes.
//! - [`SamPredictor`]: embed an image once, prompt it many times.
//! - [`ImageEncoder`]: what turns images into embeddings; bring your own.
//! - [`EmbeddingStore`]: slices embedded once each, in memory over an [`EmbeddingCache`] on disk.
//! - [`Region`]: parts of an image at the model's full resolution, and tiles.
//! - [`automatic`]: everything on an image, from a grid of clicks.
//!
//! With the feature `flex`, `burn_flex::Flex` uses the kernels of the crate sam-flex for the image encoders and the mask decoder, which
//! makes embedding and prompting several times faster on a CPU; with `autodiff` as well, so does training. All other backends use
//! burn's operations.
//!
//! # Use
//!
//! ```toml
//! [dependencies]
//! sam-core = { version = "0.1", features = ["flex"] }
//! ```
//!
//! burn, ndarray and sam-prompt are re-exported, and with the feature `flex` the backend `Flex`, so that their versions fit.
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
//! Any config works without weights, for tests:
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
//! On a CPU all work is spread over rayon's pool; `RAYON_NUM_THREADS` sets its size. Call from within the pool
//! ([`sam_threads::in_pool`] around all of it): from other threads each operation is handed over to a pool that may sleep by then,
//! which costs a tenth of the time in learning, and more where the model is small. A predictor may answer many threads at once.
//!
//! # Deadlock hazard
//!
//! Two trainings at once in one pool can deadlock: burn-autodiff locks its graph while its operations wait for the pool, and a worker
//! that takes up another training while it waits then waits for itself. [`sam_threads::train`] runs a training so that this cannot
//! happen. sam-assist and sapnet call it; call it around trainings of your own.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod annotated;
mod area;
pub mod automatic;
mod axes;
mod cache;
mod checkpoint;
mod config;
mod error;
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
pub use checkpoint::Checkpoint;
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

/// The program of the README, compiled and run with the documentation's tests; it computes with `Flex`.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
