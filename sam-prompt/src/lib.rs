//! Prompts for the Segment Anything Model (SAM): points, boxes, drawings and masks, samplers that draw them from a mask, and SAM's
//! prompt encoder.
//!
//! All crates of the workspace build on these types. The crate is useful alone: without the feature `encoder` it depends on no
//! deep-learning library.
//!
//! - [`Prompts`]: points with labels, boxes and a mask, for one object, in pixels of the image.
//! - [`Scribble`], [`Lasso`] and [`mask_logits`]: freehand drawings, converted to points, boxes and logits.
//! - [`PromptDocument`]: prompts for many objects and slices, in pixels or patient millimetres, as JSON.
//! - [`PointSampler`], by name ([`SamplingScheme`]) or as [`Uniform`], [`Center`] and [`Boundary`]: choose pixels to click on.
//! - [`PromptDraw`] and [`BoxJitter`]: draw whole prompts from an outline, as the paper simulates them for training.
//! - [`CorrectionClick`]: the click that corrects the largest error of a prediction. [`ClickReach`]: what a click changes of a mask.
//! - [`SliceSelection`] and [`choose_background`]: choose the slices of a volume to annotate.
//! - [`components`], [`component_boxes`], [`largest_components`], [`mask_iou`], [`mask_dice`], [`distance_transform`], [`signed_distance`], ...: operations on masks.
//! - [`PixelAspect`]: how much farther apart rows are than columns; [`signed_distance_with`] measures with it.
//! - [`interpolation_matrix`]: the weights of a bilinear resize.
//! - [`progress`]: the observer of every long call of the workspace.
//! - [`error_chain`]: an error with its causes, in one line.
//! - [`counted`]: a number with its noun, such as `1 slice`.
//! - [`ConfigError`]: the error for a config value that is out of range.
//! - `PromptEncoder` (feature `encoder`): SAM's prompt encoder, generic over burn's `Backend`.
//!
//! # Use
//! ```toml
//! [dependencies]
//! sam-prompt = "0.1"
//! # Or, with SAM's prompt encoder, which brings burn 0.21:
//! # sam-prompt = { version = "0.1", features = ["encoder"] }
//! rand_chacha = { version = "0.10", default-features = false } # or another generator for rand 0.10
//! ```
//! The crates in the signatures are re-exported: [`ndarray`], [`rand`] and, with the feature `encoder`, `burn`.
//!
//! ```
//! use sam_prompt::ndarray::Array2;
//! use sam_prompt::rand::SeedableRng;
//! use sam_prompt::{Label, PointSampler, Prompts, Uniform};
//!
//! let organ = Array2::from_shape_fn((64, 64), |(row, column)| row > 20 && column > 30);
//! let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
//! let clicks = Uniform::default().sample(organ.view(), Label::Foreground, 3, &mut rng)?;
//! let prompts = Prompts::from_points(clicks);
//! assert!(prompts.points.iter().all(|click| click.x > 30.0 && click.y > 20.0));
//! # Ok::<(), sam_prompt::PromptError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chain;
mod config_error;
mod counted;
mod distance;
mod document;
mod drawing;
#[cfg(feature = "encoder")]
mod encoder;
mod error;
mod interpolation;
mod mask;
mod pixel_aspect;
pub mod progress;
mod prompt;
mod sampler;
mod slice_number;
mod slices;

#[cfg(feature = "encoder")]
pub use burn;
pub use chain::error_chain;
pub use config_error::ConfigError;
pub use counted::counted;
pub use distance::{distance_transform, signed_distance, signed_distance_with};
pub use document::{
    CutAxis, DocumentError, DrawnMask, ObjectPrompts, PatientBox, PatientPoint, PatientPrompts, PromptDocument,
    SliceGeometry, SlicePrompts,
};
pub use drawing::{Lasso, MASK_STRENGTH, Scribble, mask_logits};
#[cfg(feature = "encoder")]
pub use encoder::{
    LayerNorm2d, PositionEncoding, PromptBatch, PromptEmbeddings, PromptEncoder, PromptEncoderConfig, Token, TokenKind,
};
pub use error::PromptError;
pub use interpolation::interpolation_matrix;
pub use mask::{
    ClickReach, bounding_box, component_boxes, component_masks, components, dilate, erode, is_mask_empty,
    largest_components, mask_area, mask_dice, mask_iou,
};
pub use ndarray;
pub use pixel_aspect::PixelAspect;
pub use prompt::{BoundingBox, Label, Point, Prompts};
pub use rand;
pub use sampler::{
    Boundary, BoxJitter, Center, CorrectionClick, JitterRange, Placement, PointSampler, PromptDraw, PromptKind,
    Replacement, SamplingScheme, Uniform, draw_points,
};
pub use slice_number::{ParseSliceNumberError, SliceNumber};
pub use slices::{SliceSelection, choose_background};

/// The example of the README, run as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
