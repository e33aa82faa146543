//! The Segment Anything Model (SAM) on burn: its parts, its weights, and prediction.
//!
//! Generic over `B: Backend`; the crate selects none. Names follow the official segment-anything package one for one, so that
//! whoever knows SAM knows where to look.
//!
//! - [`Sam`]: image encoder, prompt encoder and mask decoder, built from a [`SamConfig`] of any size.
//! - [`Checkpoint`]: PyTorch `.pth` and `.safetensors` weights, the variant inferred from the shapes.
//! - [`SamPredictor`]: embed an image once, prompt it many times.
//! - [`EmbeddingCache`]: embeddings on disk.
//! - [`Region`]: parts of an image at the model's full resolution, and tiles.
//! - [`automatic`]: everything on an image, from a grid of clicks.
//!
//! With the feature `flex`, `burn_flex::Flex` takes kernels of this crate's own, for the image encoders and, forwards and backwards, for the
//! mask decoder: embedding, learning and prompting take a fraction of the time on a CPU. All other backends are as fast as burn makes them.
//!
//! # Threads
//!
//! On a CPU all work is spread over rayon's global pool; `RAYON_NUM_THREADS` sets its size. Call from within the pool
//! (`rayon::scope(|_| ...)` around all of it): from other threads each operation is handed over to a pool that may sleep by then,
//! which costs a tenth of the time in learning, and more where the model is small. But once one thread learns there, let no other
//! learn at the same time: burn-autodiff locks its graphs while their operations wait for the pool, and a worker that took up other learning
//! meanwhile would wait for itself.
//!
//! ```
//! use burn_flex::Flex;
//! use ndarray::Array3;
//! use sam_core::{SamConfig, SamPredictor};
//! use sam_prompt::{Label, Point, Prompts};
//!
//! let device = Default::default();
//! let config = SamConfig::vit(sam_core::ViTConfig::new(32, 2, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&device), config.preprocess);
//!
//! let image = Array3::from_shape_fn((48, 64, 1), |(row, column, _)| (row * column % 256) as f32);
//! let embedding = predictor.embed(image.view())?;
//! let click = Point { x: 30.0, y: 20.0, label: Label::Foreground };
//! let prediction = predictor.predict(&embedding, &Prompts::from_points(vec![click]))?;
//! assert_eq!(prediction.mask().dim(), (48, 64));
//! # Ok::<(), sam_core::CoreError>(())
//! ```

mod annotated;
mod atomic;
pub mod automatic;
mod cache;
mod checkpoint;
mod config;
mod error;
mod hash;
pub mod image_encoder;
mod kernels;
mod mask_decoder;
mod mlp;
mod precision;
mod predictor;
mod region;
mod resize;
mod sam;
mod slices;
mod transform;
mod transformer;
mod words;

pub use annotated::AnnotatedSlice;
pub use atomic::write_whole;
pub use cache::{CacheConfig, EmbeddingCache, EmbeddingKey};
pub use checkpoint::Checkpoint;
pub use config::{EncoderConfig, SamConfig};
pub use error::{CoreError, KeyMismatch};
pub use hash::{hexadecimal, sha256_of_file};
pub use image_encoder::{ImageEncoder, ImageEncoderViT, TinyVit, TinyVitConfig, ViTConfig};
pub use mask_decoder::{DecoderPositions, MaskDecoder, MaskDecoderConfig, MaskLogits, MaskOutput};
pub use precision::Precision;
pub use predictor::{ImageEmbedding, MaskPrediction, SamPredictor};
pub use region::{OUTSIDE_LOGIT, Region, RegionEmbedding};
pub use resize::{bilinear, interpolation_matrix, postprocess_masks};
pub use sam::Sam;
pub use slices::{SliceError, SliceSource};
pub use transform::{Fit, Frame, Normalise, Preprocess, ResizeFilter};
pub use transformer::{ImagePositions, ProjectedImage, TwoWayTransformer, TwoWayTransformerConfig};
pub use words::printable;
