// The program of the README uses the backend `Flex`.
#![cfg_attr(any(not(doctest), feature = "flex"), doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cases;
mod coarse_protocol;
pub mod curves;
mod data_source;
mod environment;
mod error;
mod event;
mod experiment;
mod few_slices;
mod generator_protocol;
mod journal;
mod learning;
mod mask_table;
mod mask_trials;
mod outlines;
pub mod picture;
mod plan;
mod prompting_protocol;
mod protocol;
pub mod quickstart;
mod sections;
mod setup;
pub mod table1;
mod trust_protocol;

pub use cases::{CaseSelection, CaseStructure};
pub use coarse_protocol::{CoarseProtocol, Variant};
pub use data_source::{DataSource, left_out};
pub use environment::Environment;
pub use error::ExperimentError;
pub use event::{Event, EventObserver, trace_notes};
pub use experiment::{Experiment, PAGE_RECORD, few_slices, page, run_experiments, write_page};
pub use few_slices::{FewSlicesProtocol, FewSlicesScore, FewSlicesTrial, add_peers, few_slices_csv};
pub use generator_protocol::GeneratorProtocol;
pub use journal::Journal;
pub use learning::LearningConfigs;
pub use mask_table::mask_table;
pub(crate) use outlines::OutlinedSlices;
pub use outlines::{OutlineSelection, spread};
pub use plan::{FewSlicesPlan, Plan};
pub use prompting_protocol::PromptingProtocol;
pub use protocol::{CaseSetup, Protocol, TrialConfig};
pub use setup::{FoundMask, Run, Setup, scores};
pub use trust_protocol::{
    ActiveLearning, ActiveLearningCurve, MeasuredSlice, MeasuredVolume, QueryStrategy, RankingCurve, ReviewOrder,
    TrustProtocol, fit_trust, model_without,
};

// The crates in this crate's signatures, so that their versions fit.
pub use burn;
pub use csv;
pub use sam_assist;
pub use sam_auto;
pub use sam_core::{self, ndarray};
#[cfg(feature = "flex")]
pub use sam_core::{Flex, FlexDevice};
pub use sam_data;
pub use sam_eval;
pub use sam_files;
pub use sam_prompt;
pub use sapnet;
pub use serde_json;
