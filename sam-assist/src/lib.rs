//! SAM^assist: learns what a click means, from a few outlined slices.
//!
//! SAM's prompt encoder has 6,220 parameters. Trained alone, through the frozen mask decoder and on embeddings computed once, it
//! turns "some object here" into "the kidney here" within seconds (paper section 3.2.1, Eq. 1).
//!
//! - [`AnnotatedSlice`]: an embedded slice and the outline that a person drew on it.
//! - [`AssistConfig`]: every number of the learning, with its seed.
//! - [`learn`]: from those to what was [`Learned`]; [`Learner`] does it step by step, to stop and go on, also in
//!   another process.
//! - [`Adaptation`]: what learning changed, to be put into the model by [`Adaptation::apply`]. Beside the prompt encoder, it may hold
//!   extra tokens, a tuned decoder or low-rank adapters, as [`Trained`] says: to measure the paper's argument against fine-tuning.
//! - [`self_check`]: how well each annotated slice is segmented by what the others teach.
//! - [`PromptCard`]: what was learned, as one small file for other scans and other people.
//! - [`MultiClass`]: several cards on one embedding, each pixel to one structure.
//!
//! ```
//! use burn_flex::Flex;
//! use ndarray::{Array2, Array3};
//! use sam_assist::{AnnotatedSlice, AssistConfig, learn};
//! use sam_core::{SamConfig, SamPredictor, ViTConfig};
//!
//! let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
//! let slice = Array3::from_shape_fn((40, 50, 1), |(row, column, _)| if row > 20 && column > 25 { 200.0 } else { 20.0 });
//! let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
//!
//! let annotated = AnnotatedSlice::new(predictor.embed(slice.view())?, outline)?;
//! let config = AssistConfig { iterations: 3, ..AssistConfig::points() };
//! let learned = learn(&predictor, &[annotated], &config, &mut |_| std::ops::ControlFlow::Continue(()))?;
//! let predictor = learned.adaptation.apply(&predictor);
//! # Ok::<(), sam_assist::AssistError>(())
//! ```

#![forbid(unsafe_code)]

mod adaptation;
mod card;
mod config;
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
mod sealed;
mod self_check;
mod slice;
mod target;
mod token_side;

pub use adaptation::{Adaptation, Member};
pub use card::{CardMetadata, PromptCard, TrainingSlices};
pub use config::{AssistConfig, EarlyStopping, LearnedKind, Schedule, Trained};
pub use error::AssistError;
pub use frozen::FrozenDecoder;
pub use learn::learn;
pub use learner::{Ending, Learned, Learner, Progress, Timing};
pub use loss::{binary_cross_entropy, dice_loss};
pub use low_rank::LowRankAdapters;
pub use multiclass::{MultiClass, resolve_overlap};
pub use self_check::{CheckProgress, SelfCheck, self_check};
pub use slice::AnnotatedSlice;
pub use target::low_res_target;
