//! The paper's protocols (section 4): which slices a model is trained on, which are tested, and with which prompts.
//!
//! The protocols do not depend on a model. A [`Protocol`] gives [`Trial`]s. The caller trains on a trial's annotated slices. For each
//! tested slice, it gives [`SimulatedUser::test`] a closure that segments the slice from prompts. The prompts are drawn from the ground
//! truth; records of such scores say so ([`Record::simulated_prompts`](crate::Record::simulated_prompts)).
//!
//! All comparisons are paired: annotated slices, tested slices and random prompts depend only on the seed, the structure and the
//! slice, so every method gets the same ones. Only correcting clicks also depend on the prediction that they correct.

mod correction;
mod prompt;
mod trial;
mod user;

pub use correction::{InteractionSeries, Prediction};
pub use prompt::TestPrompt;
pub use trial::{FewSlices, Protocol, Survey, SurveyConfig, TrainTest, Trial, leave_one_out};
pub use user::{SimulatedUser, TestSubject, TestedMethod, TestedSlice};
