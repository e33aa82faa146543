//! The paper's protocols (section 4) as values: which slices are learned from, which are tested, and what they are prompted with.
//!
//! Nothing here knows a model. A [`Protocol`] gives [`Trial`]s; whoever runs one learns from its annotated slices as they like,
//! and hands [`Trial::test`] a closure that segments a slice from prompts. The prompts are those of a [`SimulatedUser`], who sees the
//! ground truth: scores that come of them say so ([`Record::simulated_prompts`](crate::Record::simulated_prompts)).
//!
//! All comparisons are paired. Which slices are annotated and which are tested, and what is drawn on a test slice, depend on the
//! seed, the structure and the slice alone: every method meets the same ones. Only correcting clicks depend on what they correct.

mod correction;
mod prompt;
mod trial;
mod user;

pub use correction::{Found, Series};
pub use prompt::TestPrompt;
pub use trial::{FewSlices, Protocol, Survey, SurveyConfig, TrainTest, Trial, leave_one_out};
pub use user::{Method, SimulatedUser, Subject, TestedSlice};
