//! Saving a learner and resuming it in another process. One file holds everything that changes from step to step.

use std::{collections::BTreeMap, path::Path};

use burn::{
    backend::Autodiff,
    module::{Module, ModuleVisitor, Param},
    optim::{AdamW, AdamWState, AdaptiveMomentumState, Optimizer, adaptor::OptimizerAdaptor, record::AdaptorRecord},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_files::{Sha256Hasher, sanitize};
use serde::{Deserialize, Serialize};

use super::{Learner, StepSeconds};
use crate::{
    Adaptation, AssistConfig, AssistError, ContentError,
    card::{check_weights, is_sha256},
    checksummed::{Content, Format, Tensors, check_finite},
    parameters::{self, keep_path},
    slice::TrainingSlice,
    token_branch::Path as ModulePath,
};

/// File format of learner states.
const FORMAT: Format = Format { name: "state of a learner", entry: "learner_state", version: 2 };
/// Name of the tensor that holds the loss of each iteration.
const LOSSES: &str = "losses";
/// Prefixes of the names of parameters and of their moments.
const PARAMETERS: &str = "parameters.";
const MOMENTS: [&str; 2] = ["moment_1.", "moment_2."];

/// The part of a state that is not stored as tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    weights_sha256: String,
    /// SHA-256 of the outlines.
    outlines_sha256: String,
    config: AssistConfig,
    /// Position of the random generator for prompts.
    drawn_words: u64,
    /// Number of updates of each parameter. Parameters that no prompt has reached yet are missing.
    steps: BTreeMap<String, usize>,
    seconds: f64,
    // Keeps the name in saved files.
    #[serde(rename = "timing")]
    step_seconds: StepSeconds,
}

type Optimiser<B> = OptimizerAdaptor<AdamW, Adaptation<Autodiff<B>>, Autodiff<B>>;
type OptimiserRecord<B> = <Optimiser<B> as Optimizer<Adaptation<Autodiff<B>>, Autodiff<B>>>::Record;

impl<B: Backend> Learner<B> {
    /// Writes the state atomically, so that [`Learner::resume`] can continue from it.
    ///
    /// # Errors
    /// [`AssistError::Unwritable`]; [`AssistError::UnknownWeights`] if the model does not know its weights' SHA-256.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), AssistError> {
        let sha256 = self.weights_sha256.as_deref().ok_or(AssistError::UnknownWeights)?;
        self.save_for(path, sha256)
    }

    /// Like [`Learner::save`], for a model whose weights have this SHA-256.
    ///
    /// # Errors
    /// [`AssistError::Unwritable`]; [`AssistError::StateContent`] if `weights_sha256` is not a SHA-256 in hexadecimal.
    pub fn save_for(&self, path: impl AsRef<Path>, weights_sha256: &str) -> Result<(), AssistError> {
        let mut moments = ReadMoments {
            record: self.optimiser.to_record(),
            tensors: Tensors::new(),
            steps: BTreeMap::new(),
            path: ModulePath::default(),
        };
        self.adaptation.visit(&mut moments);
        let ReadMoments { mut tensors, steps, .. } = moments;
        let values = parameters::read(&self.adaptation);
        tensors.extend(values.into_iter().map(|(path, data)| (format!("{PARAMETERS}{path}"), data)));
        tensors.insert(LOSSES.to_owned(), TensorData::new(self.losses.clone(), [self.losses.len()]));
        let state = State {
            weights_sha256: weights_sha256.to_owned(),
            outlines_sha256: outlines_sha256(&self.slices),
            config: self.config.clone(),
            // A word has 32 bits, and no training draws 2^64 words.
            drawn_words: self.rng.get_word_pos() as u64,
            steps,
            seconds: self.seconds,
            step_seconds: self.step_seconds,
        };
        let content = Content::new(state, tensors);
        check(&content).map_err(|source| AssistError::StateContent { source })?;
        FORMAT.save(&content, path.as_ref())
    }

    /// Resumes a saved learner with the same model and slices. On this backend, the result equals that of a learner that was never stopped.
    ///
    /// # Errors
    /// [`AssistError::Unreadable`], [`AssistError::Corrupt`], [`AssistError::FormatVersion`] if the file is not a learner's state;
    /// [`AssistError::OtherWeights`], [`AssistError::OtherShape`] or [`AssistError::OtherSlices`] if it belongs to another model or to
    /// other outlines; [`AssistError::UnknownWeights`] if the model does not know its weights' SHA-256. Images are not compared, because
    /// backends embed them with different last bits.
    pub fn resume(
        path: impl AsRef<Path>,
        predictor: &SamPredictor<B>,
        slices: &[AnnotatedSlice<B>],
    ) -> Result<Self, AssistError> {
        let sha256 = predictor.weights_sha256().ok_or(AssistError::UnknownWeights)?;
        Self::resume_for(path, predictor, sha256, slices)
    }

    /// Like [`Learner::resume`], for a model whose weights have this SHA-256.
    ///
    /// # Errors
    /// As [`Learner::resume`].
    pub fn resume_for(
        path: impl AsRef<Path>,
        predictor: &SamPredictor<B>,
        weights_sha256: &str,
        slices: &[AnnotatedSlice<B>],
    ) -> Result<Self, AssistError> {
        let path = path.as_ref();
        let Content { about: state, tensors, .. } = FORMAT.load(path, check)?;
        let what = format!("the learner of {}", path.display());
        check_weights(&what, &state.weights_sha256, weights_sha256)?;
        let mut learner = Self::new(predictor, slices, state.config)?;
        if state.outlines_sha256 != outlines_sha256(&learner.slices) {
            return Err(AssistError::OtherSlices { path: path.to_path_buf() });
        }
        learner.adaptation = parameters::fill(learner.adaptation, &under(PARAMETERS, &tensors), &what)?;
        let mut moments = FillMoments {
            record: learner.optimiser.to_record(),
            tensors: &tensors,
            steps: &state.steps,
            path: ModulePath::default(),
        };
        learner.adaptation.visit(&mut moments);
        learner.optimiser = learner.optimiser.load_record(moments.record);
        learner.rng.set_word_pos(u128::from(state.drawn_words));
        learner.losses = tensors.get(LOSSES).map(|losses| losses.iter().collect()).unwrap_or_default();
        learner.seconds = state.seconds;
        learner.step_seconds = state.step_seconds;
        Ok(learner)
    }
}

/// Checks the content of a state.
fn check(content: &Content<State>) -> Result<(), ContentError> {
    let Content { about, tensors, .. } = content;
    about.config.check_stored()?;
    for hash in [&about.weights_sha256, &about.outlines_sha256] {
        if !is_sha256(hash) {
            return Err(ContentError::NoSha256 { what: "a SHA-256", found: hash.clone() });
        }
    }
    let values = under(PARAMETERS, tensors);
    parameters::check_size(about.config.trained, about.config.members, &values)?;
    if tensors.get(LOSSES).is_none_or(|losses| losses.shape.len() != 1) {
        return Err(ContentError::NoLosses);
    }
    for (path, &steps) in &about.steps {
        let shape = values.get(path).map(|data| &data.shape);
        let moments = MOMENTS.map(|moment| tensors.get(&format!("{moment}{path}")).map(|data| &data.shape));
        if steps == 0 || shape.is_none() || moments != [shape, shape] {
            return Err(ContentError::Moments { path: sanitize(path) });
        }
    }
    check_finite(tensors)
}

/// The tensors whose names begin with a prefix. The prefix is removed from the names.
fn under(prefix: &str, tensors: &Tensors) -> Tensors {
    tensors.iter().filter_map(|(name, data)| Some((name.strip_prefix(prefix)?.to_owned(), data.clone()))).collect()
}

/// SHA-256 of all training outlines in their order, each with its size.
fn outlines_sha256<B: Backend>(slices: &[TrainingSlice<B>]) -> String {
    let mut hasher = Sha256Hasher::new();
    for slice in slices {
        let outline = slice.outline();
        hasher.update(format!("{:?}", outline.dim()));
        hasher.update(outline.iter().map(|&inside| u8::from(inside)).collect::<Vec<_>>());
    }
    hasher.finish().to_string()
}

/// Collects the moments of each parameter.
struct ReadMoments<B: Backend> {
    record: OptimiserRecord<B>,
    tensors: Tensors,
    steps: BTreeMap<String, usize>,
    path: ModulePath,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for ReadMoments<B> {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        let Some(record) = self.record.get(&parameter.id) else { return };
        let AdaptiveMomentumState { time, moment_1, moment_2, .. } = record.clone().into_state::<D>().momentum;
        let path = self.path.name();
        for (moment, values) in MOMENTS.into_iter().zip([moment_1, moment_2]) {
            self.tensors.insert(format!("{moment}{path}"), values.into_data().convert_dtype(DType::F32));
        }
        self.steps.insert(path, time);
    }
}

/// Restores the moments of each parameter.
struct FillMoments<'a, B: Backend> {
    record: OptimiserRecord<B>,
    tensors: &'a Tensors,
    steps: &'a BTreeMap<String, usize>,
    path: ModulePath,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for FillMoments<'_, B> {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        let path = self.path.name();
        let moments = MOMENTS.map(|moment| self.tensors.get(&format!("{moment}{path}")));
        // Names and shapes were checked when the file was read.
        let (Some(&steps), [Some(first), Some(second)]) = (self.steps.get(&path), moments) else { return };
        let device = parameter.val().device();
        let moment = |data: &TensorData| Tensor::<B, D>::from_data(data.clone(), &device);
        let state = AdamWState::new(AdaptiveMomentumState::new(steps, moment(first), moment(second)));
        self.record.insert(parameter.id, AdaptorRecord::from_state(state));
    }
}
