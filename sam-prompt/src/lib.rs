//! Prompts for the Segment Anything Model (SAM): what they are, how to draw them from a mask, and how SAM embeds them.
//!
//! This is the vocabulary that every crate of the workspace speaks, so it sits at the bottom and is useful alone: without the
//! feature `encoder` it holds no deep-learning library at all.
//!
//! - [`Prompts`]: points with labels, boxes and a mask, for one object, in pixels of the image.
//! - [`Scribble`], [`Lasso`] and [`mask_logits`]: freehand drawings, reduced to points, boxes and logits.
//! - [`PromptDocument`]: all of these for many objects and slices, in pixels or patient millimetres, as JSON.
//! - [`PointSampler`], by [`SamplingScheme`] or as [`Uniform`], [`Center`] and [`Boundary`]: pixels to click on.
//! - [`PromptDraw`] and [`BoxJitter`]: whole prompts drawn from an outline, as the paper simulates them for learning.
//! - [`CorrectionClick`]: the click that corrects a prediction's largest error.
//! - [`SliceSelection`] and [`choose_background`]: which slices of a volume to annotate.
//! - [`components`], [`distance_transform`] and their like: what all of these ask of a mask.
//! - [`progress`]: the observer that every long call of the workspace reports to.
//! - `PromptEncoder` (feature `encoder`): SAM's own prompt encoder, generic over burn's `Backend`.
//!
//! ```
//! use ndarray::Array2;
//! use rand::SeedableRng;
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

mod distance;
mod document;
mod drawing;
#[cfg(feature = "encoder")]
mod encoder;
mod error;
mod mask;
pub mod progress;
mod prompt;
mod sampler;
mod slices;

pub use distance::distance_transform;
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
pub use mask::{bounding_box, component_masks, components, dilate, erode};
pub use ndarray;
pub use prompt::{BoundingBox, Label, Point, Prompts};
pub use sampler::{
    Boundary, BoxJitter, Center, CorrectionClick, JitterRange, Placement, PointSampler, PromptDraw, PromptKind,
    SamplingScheme, Uniform, draw_points,
};
pub use slices::{SliceSelection, choose_background};
