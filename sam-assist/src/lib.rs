//! SAM^assist: learns from a few outlined slices what a prompt means.
//!
//! SAM's prompt encoder has 6,220 parameters. Trained alone, through the frozen mask decoder and on embeddings that are computed
//! once, it turns "some object here" into "the kidney here" within seconds (paper section 3.2.1, Eq. 1).
//!
//! - [`AnnotatedSlice`]: an embedded slice and the outline that a person drew on it. An empty outline means that the structure is absent.
//! - [`AssistConfig`]: the hyperparameters and the seed, with presets for points, boxes and both.
//! - [`learn`]: trains and returns [`Learned`]; [`learn_structure`] scales the iterations to the slices and can continue from an earlier
//!   result; a [`Learner`] runs step by step, and can stop and resume in another process.
//! - [`Adaptation`]: the learned parameters; [`Adaptation::apply`] puts them into the model. [`Trained`] selects extra tokens, a tuned
//!   decoder or low-rank adapters in addition to the prompt encoder.
//! - [`self_check`]: leave-one-out Dice of the annotated slices.
//! - [`PromptCard`]: learned parameters as a small file for other scans and other people.
//! - [`MultiClass`]: several structures on one image, combined into one label map.
//!
//! Long calls take an [`Observer`](sam_prompt::progress::Observer), which reports progress and can stop them. All types are `Send` and
//! `Sync`; trainings on several threads take turns, see [`Learner`].
//!
//! ```
//! # #[cfg(feature = "flex")]
//! # {
//! use sam_assist::ndarray::{Array2, Array3};
//! use sam_assist::sam_core::{SamConfig, SamPredictor, ViTConfig};
//! use sam_assist::sam_prompt::progress::ignore_progress;
//! use sam_assist::{AnnotatedSlice, AssistConfig, Flex, learn};
//!
//! let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
//! let slice = Array3::from_shape_fn((40, 50, 1), |(row, column, _)| if row > 20 && column > 25 { 200 } else { 20 });
//! let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
//!
//! let annotated = AnnotatedSlice::new(0, predictor.embed(slice.view())?, outline)?;
//! let config = AssistConfig::points().with_iterations(3);
//! let learned = learn(&predictor, &[annotated], &config, &mut ignore_progress())?;
//! let predictor = learned.adaptation.apply(&predictor);
//! # }
//! # Ok::<(), sam_assist::AssistError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adaptation;
mod card;
mod checksummed;
mod config;
mod content_error;
mod corrective;
mod decoding;
mod draw;
mod error;
mod frozen;
mod gradients;
mod learn;
mod learner;
mod loss;
mod low_rank;
mod multiclass;
mod parameters;
mod schedule;
mod self_check;
mod setters;
mod slice;
mod target;
mod token_branch;

pub use adaptation::{Adaptation, Member};
pub use card::{CardMetadata, PromptCard, TrainingSlices};
pub use config::{AssistConfig, LearnedKind, Trained};
pub use content_error::ContentError;
pub use corrective::CorrectiveClicks;
pub use error::AssistError;
pub use frozen::FrozenDecoder;
pub use learn::{learn, learn_structure};
pub use learner::{Learned, Learner, StepSeconds};
pub use loss::{binary_cross_entropy, dice_loss};
pub use low_rank::LowRankAdapters;
pub use multiclass::{MultiClass, join_masks, overlapping, resolve_overlap};
pub use sam_core::AnnotatedSlice;
pub use sam_prompt::ConfigError;
pub use schedule::{EarlyStopping, Schedule};
pub use self_check::{SelfCheck, self_check};
pub use target::low_res_target;

// Re-exports of the crates in this crate's signatures, so that callers use the same versions.
pub use burn;
pub use sam_core::{self, ndarray};
#[cfg(feature = "flex")]
pub use sam_core::{Flex, FlexDevice};
pub use sam_prompt;

/// Compiles and runs the program of the README as a documentation test. It computes with `Flex`.
#[cfg(all(doctest, feature = "flex"))]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
