//! SAM^auto: segments the rest of a volume without a person, from a few annotated slices.
//!
//! [`Strategy`] selects by configuration how. By default, the shape between the outlines, the image's edges near it, a pixel classifier and the
//! model, prompted with that shape, are fused. Or the model alone segments a slice: a [`PromptGenerator`] that is fitted to the annotated slices prompts it, or
//! [`propagate_masks`] does, from the mask of the neighbour. [`TrustConfig`] ranks the result.
//!
//! - [`Strategy`]: fits, then segments a volume. Its documentation has a table of which learning goes with which prompts.
//! - [`GeneratorConfig`] and [`FittedGenerators`]: generators by name ([`GeneratorKind`]), fitted once.
//! - [`CoarseConfig`]: prompts from coarse maps of SAP-Net, PANet or a [`LinearClassifier`]; [`PromptExtraction`] configures them.
//! - [`GateConfig`]: whether a slice shows the structure; a [`Gated`] generator prompts only these slices.
//! - [`FusionConfig`]: fuses the shape between outlines, the image's edges, a pixel classifier and the model.
//!   [`FusionConfig::expected_dice`] leaves out outlines to tell what Dice is to be expected.
//! - [`ShapePrior`]: the shape between outlines, without the image; [`ShapeGenerator`] prompts with it.
//! - [`RandomWalker`]: moves an uncertain edge onto the image's edges.
//! - [`PixelClassifier`]: what inside and outside look like, learned from the outlined slices.
//! - [`VolumeSegmenter`]: applies generators and a predictor to a volume.
//! - [`SliceScorer`]: how sure a fitted strategy is of each pixel, where several structures claim it.
//! - [`TrustMeter`], [`TrustModel`], [`rank`]: how far each slice can be trusted, and which a person should look at first.
//!
//! Slices come from a [`SliceSource`](sam_core::SliceSource). Long calls take an [`Observer`](sam_prompt::progress::Observer), which
//! reports progress and can stop them. All types own or share what they need and are `Send` and `Sync`.
//!
//! ```
//! # #[cfg(feature = "flex")]
//! # {
//! use sam_auto::ndarray::{Array2, Array3, Axis};
//! use sam_auto::sam_core::{AnnotatedSlice, ImageEmbedding, SamConfig, SamPredictor, SliceError, SliceSource, ViTConfig};
//! use sam_auto::sam_prompt::progress::ignore_progress;
//! use sam_auto::{Flex, GeneratorKind, GeneratorStrategy, Strategy, TrustConfig};
//!
//! struct Images(SamPredictor<Flex>, Vec<Array3<u8>>);
//!
//! impl SliceSource<Flex> for Images {
//!     fn count(&self) -> usize {
//!         self.1.len()
//!     }
//!
//!     fn image(&self, index: usize) -> Result<Array3<u8>, SliceError> {
//!         self.1.get(index).cloned().ok_or_else(|| SliceError::new(index, "no such slice"))
//!     }
//!
//!     fn embedding(&self, index: usize) -> Result<ImageEmbedding<Flex>, SliceError> {
//!         self.0.embed(self.image(index)?.view()).map_err(|error| SliceError::new(index, error))
//!     }
//! }
//!
//! let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
//! let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
//! let image = outline.mapv(|inside| if inside { 200 } else { 20 }).insert_axis(Axis(2));
//! let source = Images(predictor.clone(), vec![image; 4]);
//!
//! let annotated = vec![AnnotatedSlice::new(2, source.embedding(2)?, outline)?];
//! let strategy = Strategy::Generators(GeneratorStrategy::new(GeneratorKind::Classification));
//! let fitted = strategy.fit(annotated, &source, &mut ignore_progress())?;
//! let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
//! assert_eq!(found.slices.len(), 4);
//! let ranking = TrustConfig::new(0).rank(&fitted, &predictor, &found, &source, &mut ignore_progress())?;
//! assert_eq!(ranking.slices.len(), 3);
//! # }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clean_up;
mod coarse;
mod ensemble;
mod error;
mod extraction;
mod fusion;
mod gate;
mod generator;
mod generators;
mod levels;
mod mask_stats;
mod parts;
mod pixel_classifier;
mod propagation;
mod random;
mod segmentation;
mod segmenter;
mod shape;
mod strategy;
mod trust;
mod walker;

pub use clean_up::CleanUp;
pub use coarse::{ClassifierConfig, CoarseConfig, CoarseGenerator, CoarseMethod, LinearClassifier, SharedSegmenter};
pub use ensemble::Vote;
pub use error::AutoError;
pub use extraction::PromptExtraction;
pub use fusion::{ExpectedDice, FusionConfig, FusionWeights, LeftOutModel, LeftOutOutline, PartDice};
pub use gate::{Gate, GateConfig, Gated};
pub use generator::{PromptGenerator, SliceContext};
pub use generators::{FittedGenerators, GeneratorConfig, GeneratorKind};
pub use parts::PromptParts;
pub use pixel_classifier::{PixelClassifier, PixelClassifierConfig};
pub use propagation::{MaskPropagationConfig, PointGenerator, PointPropagationConfig, propagate_masks};
pub use sam_prompt::ConfigError;
pub use segmentation::{KnownMasks, Segmentation, SegmentedSlice};
pub use segmenter::{SegmenterConfig, VolumeSegmenter};
pub use shape::{Presence, PriorSlice, ShapeConfig, ShapeGenerator, ShapePrior, WithinOutlines, mean_gap};
pub use strategy::{FittedStrategy, GeneratorStrategy, SliceScorer, Strategy, StrategyKind};
pub use trust::{
    LinearTrust, Measurement, RankedSlice, Ranking, Signal, TrustConfig, TrustMeter, TrustMeterConfig, TrustModel,
    TrustSignals, rank, suggest_next,
};
pub use walker::{RandomWalker, Seed};

// Re-exports of the crates in this crate's signatures, so that callers use the same versions.
pub use burn;
pub use sam_assist;
pub use sam_core::{self, ndarray};
#[cfg(feature = "flex")]
pub use sam_core::{Flex, FlexDevice};
pub use sam_prompt::{self, rand};
pub use sapnet;

/// Compiles and runs the program of the README as a documentation test. It computes with `Flex`.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
