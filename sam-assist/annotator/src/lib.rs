// The program of the README computes with `Flex`.
#![cfg_attr(any(not(doctest), feature = "flex"), doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod annotated;
mod annotations;
mod annotator;
pub mod batch;
pub mod cards;
mod config;
mod error;
mod event;
mod expectation;
mod kept;
mod next_action;
mod output;
pub mod rounds;
pub mod session;
mod slice_list;
mod summary;
#[cfg(test)]
mod testing;
mod timing;
pub mod weights;

pub use annotated::{Annotated, AnnotatedStructure, SliceTrust};
pub use annotations::{Annotations, structure_name};
pub use annotator::{Annotator, AnnotatorBuilder, Start};
pub use config::AnnotateConfig;
pub use error::AnnotateError;
pub use event::{Event, Events, LearnedFrom, ignore_events};
pub use expectation::{DiceKnown, DiceUnknown, Expectation};
pub use kept::{KeptMasks, LeftOutDice, RoundTest};
pub use next_action::{Action, NextAction, Pace};
pub use output::{CheckedOutput, Output};
pub use rounds::{Corrections, DecisionError, Decisions, NamedStructure, Questioned, RoundOutcome, RoundStart};
pub use session::{Session, SessionError};
pub use slice_list::{EmptySlices, ParseEmptySlicesError, ParseSliceListError, SliceList};
pub use summary::{
    AbsentReason, AbsentSlice, AnnotationSummary, AxisSummary, MinOutline, Outline, ParseMinOutlineError, SlicePlace,
    StructureSummary,
};
pub use timing::StageSeconds;
pub use weights::{KnownModel, Weights, WeightsError};

// Re-exports of the crates in this crate's signatures, and of the types that most programs need.
pub use burn;
#[cfg(feature = "flex")]
pub use burn_flex::{self, Flex};
pub use csv;
pub use sam_assist::{self, AssistConfig, PromptCard};
pub use sam_auto;
pub use sam_core::{self, EmbeddingCache, Precision, SamPredictor};
pub use sam_data::{self, AxisReason, LabelVolume, Scan, SliceAxis, Window};
pub use sam_files;
pub use sam_prompt::{self, SliceNumber, ndarray, progress};
pub use serde_json;
