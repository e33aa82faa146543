//! Prompt learning (paper Eq. 1), step by step. Each iteration draws prompts; the image encoder is frozen.

mod state;

use std::{fmt, time::Instant};

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    optim::{AdamW, AdamWConfig, GradientsParams, Optimizer, adaptor::OptimizerAdaptor},
    tensor::{ElementConversion, Tensor, backend::Backend},
};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::{
    PromptBatch,
    progress::{Observer, Progress, Stage, StopReason},
};
use sam_threads::{train, train_unobserved};
use serde::{Deserialize, Serialize};

use crate::{
    Adaptation, AssistConfig, AssistError, EarlyStopping,
    corrective::corrective_click,
    decoding::Decoding,
    draw::{Sample, draw},
    gradients,
    loss::{binary_cross_entropy, dice_loss},
    slice::TrainingSlice,
    target::Targets,
};

/// Added to the denominator of `AdamW`, so that it is never 0.
const ADAM_EPSILON: f32 = 1e-8;

/// Random stream of new parameters. Prompts are drawn from stream 0, so they do not depend on what is trained.
const PARAMETER_STREAM: u64 = 1;

/// Training time in seconds for each part of a step. The rest of the time goes into drawing prompts and preparing images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StepSeconds {
    /// From prompts to the loss.
    pub forward: f64,
    /// From the loss to the gradients.
    pub backward: f64,
    /// From the gradients to new parameters.
    pub optimiser: f64,
}

/// The result of learning.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Learned<B: Backend> {
    /// The learned parameters; [`Adaptation::apply`] puts them into the model.
    pub adaptation: Adaptation<B>,
    /// The config that it was learned with.
    pub config: AssistConfig,
    /// Why learning ended; [`StopReason::Stopped`] marks a partial result.
    pub stop_reason: StopReason,
    /// The loss of each iteration.
    pub losses: Vec<f32>,
    /// Training time in seconds, without embedding and pauses.
    pub seconds: f64,
    /// Training time of the parts of the steps.
    pub step_seconds: StepSeconds,
}

/// Training in progress. It can stop after any iteration and continue to the same result, also in another process: see [`Learner::save`]
/// and [`Learner::resume`].
///
/// # Threads
///
/// Two trainings at once on one rayon pool can deadlock: burn-autodiff holds a graph lock while it blocks on the pool, so a worker that
/// steals the second training waits for itself. Therefore [`Learner::run`] and [`Learner::step`] run one at a time in a process; callers on
/// other threads wait for their turn. An observer must not wait for a training on another thread.
///
/// ```
/// # use burn_flex::Flex;
/// # use ndarray::{Array2, Array3};
/// # use sam_assist::{AssistConfig, Learner};
/// # use sam_core::{AnnotatedSlice, SamConfig, SamPredictor, ViTConfig};
/// # let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
/// # let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
/// # let image = Array3::from_shape_fn((40, 50, 1), |(row, _, _)| row as u8);
/// # let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
/// # let slices = [AnnotatedSlice::new(0, predictor.embed(image.view())?, outline)?];
/// use std::ops::ControlFlow;
///
/// use sam_prompt::progress::{StopReason, ignore_progress};
///
/// let mut learner = Learner::new(&predictor, &slices, AssistConfig::points().with_iterations(3))?;
/// learner.step()?;
/// assert_eq!(learner.run(&mut |_| ControlFlow::Break(()))?, StopReason::Stopped); // after one more
/// assert_eq!(learner.run(&mut ignore_progress())?, StopReason::Complete);
/// let predictor = learner.finish().adaptation.apply(&predictor);
/// # Ok::<(), sam_assist::AssistError>(())
/// ```
pub struct Learner<B: Backend> {
    config: AssistConfig,
    slices: Vec<TrainingSlice<B>>,
    targets: Targets<B>,
    decoding: Decoding<B>,
    device: B::Device,
    /// SHA-256 of the model's weights, if the model knows it.
    weights_sha256: Option<String>,
    adaptation: Adaptation<Autodiff<B>>,
    optimiser: OptimizerAdaptor<AdamW, Adaptation<Autodiff<B>>, Autodiff<B>>,
    rng: ChaCha8Rng,
    losses: Vec<f32>,
    seconds: f64,
    step_seconds: StepSeconds,
}

/// Maps of one channel: `[n, 1, side, side]` as one array for each.
fn low_res_arrays<B: Backend>(maps: Tensor<B, 4>) -> Vec<Array2<f32>> {
    let [_, _, rows, columns] = maps.dims();
    let values = maps.into_data().convert::<f32>().into_vec::<f32>().unwrap_or_default();
    let map = |values: &[f32]| Array2::from_shape_fn((rows, columns), |(row, column)| values[row * columns + column]);
    values.chunks_exact(rows * columns).map(map).collect()
}

impl<B: Backend> fmt::Debug for Learner<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learner")
            .field("config", &self.config)
            .field("slices", &self.slices.len())
            .field("iterations_done", &self.losses.len())
            .field("seconds", &self.seconds)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Learner<B> {
    /// Prepares learning: projects each slice once and draws new parameters. Slices with an empty outline are skipped.
    ///
    /// # Errors
    /// [`AssistError::NoSlices`] if no slice shows the structure; [`AssistError::Config`].
    pub fn new(
        predictor: &SamPredictor<B>,
        slices: &[AnnotatedSlice<B>],
        config: AssistConfig,
    ) -> Result<Self, AssistError> {
        config.check()?;
        let started = Instant::now();
        let slices: Vec<_> = slices.iter().filter_map(TrainingSlice::new).collect();
        if slices.is_empty() {
            return Err(AssistError::NoSlices);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(PARAMETER_STREAM);
        let adaptation = Adaptation::start(predictor, config.trained, config.members, config.initial_spread, &mut rng);
        let optimiser = AdamWConfig::new().with_epsilon(ADAM_EPSILON).with_weight_decay(config.weight_decay as f32);
        Ok(Self {
            targets: Targets::new(&slices),
            decoding: Decoding::new(predictor, &slices, config.trained),
            device: predictor.device(),
            weights_sha256: predictor.weights_sha256().map(str::to_owned),
            adaptation: Adaptation::from_inner(adaptation).trainable(config.trained),
            optimiser: optimiser.init(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            losses: Vec::with_capacity(config.iterations),
            slices,
            config,
            seconds: started.elapsed().as_secs_f64(),
            step_seconds: StepSeconds::default(),
        })
    }

    /// Prepares learning that continues from an earlier result of the same structure and model. The slices may differ. See
    /// [`AssistConfig::warm`] for the number of iterations. The optimiser starts with zero moments.
    ///
    /// # Errors
    /// As [`Learner::new`]; [`AssistError::OtherLearning`] if `start` was learned with another [`Trained`](crate::Trained) or number of
    /// members.
    pub fn warm(
        predictor: &SamPredictor<B>,
        slices: &[AnnotatedSlice<B>],
        start: &Adaptation<B>,
        config: AssistConfig,
    ) -> Result<Self, AssistError> {
        let AssistConfig { trained, members, .. } = config;
        if !start.is_of(trained, members) {
            return Err(AssistError::OtherLearning { expected: format!("{members} times {trained:?}") });
        }
        let adaptation = Adaptation::from_inner(start.clone()).trainable(trained);
        Ok(Self { adaptation, ..Self::new(predictor, slices, config)? })
    }

    /// The configuration.
    pub fn config(&self) -> &AssistConfig {
        &self.config
    }

    /// The loss of each iteration so far.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Why learning has ended, or `None` if iterations are left. [`Learner::step`] can still continue.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let converged = |stopping: EarlyStopping| stopping.has_converged(&self.losses);
        if self.losses.len() >= self.config.iterations {
            Some(StopReason::Complete)
        } else {
            self.config.early_stopping.is_some_and(converged).then_some(StopReason::Converged)
        }
    }

    /// Runs one iteration: draws prompts, decodes them, and updates one ensemble member. Waits while another training runs: see
    /// [`Learner`].
    ///
    /// # Errors
    /// [`AssistError::Diverged`] if the loss is not finite; the parameters are then those before the step.
    /// [`AssistError::NothingToLearnFrom`] if that is so in the first step.
    pub fn step(&mut self) -> Result<Progress, AssistError> {
        train_unobserved(|| self.step_alone())
    }

    /// Runs until all iterations are done, the loss no longer falls, or the observer stops it. Waits while another training runs: see
    /// [`Learner`]. The observer is called after each iteration, on this thread.
    ///
    /// # Errors
    /// [`AssistError::Diverged`] and [`AssistError::NothingToLearnFrom`], as [`Learner::step`].
    pub fn run(&mut self, observer: &mut Observer<'_>) -> Result<StopReason, AssistError> {
        train(|report| self.run_alone(report), observer)
    }

    fn run_alone(&mut self, observer: &mut Observer<'_>) -> Result<StopReason, AssistError> {
        loop {
            if let Some(reason) = self.stop_reason() {
                return Ok(reason);
            }
            if observer(&self.step_alone()?).is_break() {
                return Ok(StopReason::Stopped);
            }
        }
    }

    /// Returns the result so far.
    pub fn finish(self) -> Learned<B> {
        let stop_reason = self.stop_reason().unwrap_or(StopReason::Stopped);
        let Self { adaptation, config, losses, seconds, step_seconds, .. } = self;
        let (iterations, loss, slices) = (losses.len(), losses.last().copied(), self.slices.len());
        tracing::info!(iterations, seconds, loss, members = config.members, ?stop_reason, "learned");
        tracing::debug!(
            forward = step_seconds.forward,
            backward = step_seconds.backward,
            slices,
            "seconds of the steps' parts"
        );
        Learned { adaptation: adaptation.valid(), config, stop_reason, losses, seconds, step_seconds }
    }

    /// Runs one iteration. The caller makes sure that no other training runs.
    fn step_alone(&mut self) -> Result<Progress, AssistError> {
        let started = Instant::now();
        let iteration = self.losses.len();
        let mut samples = draw(&self.slices, iteration, &self.config, &mut self.rng)?;
        let target = self.targets.of(&samples, &self.slices, &self.device);

        let forward = Instant::now();
        self.correct(&mut samples, &target)?;
        let prompts = self.batch(&samples)?;
        let target = Tensor::from_inner(target);
        let (loss, value) = self.loss(&samples, &prompts, target)?;
        let backward = Instant::now();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.adaptation);
        self.wait();
        let optimiser = Instant::now();
        self.update(gradients, iteration);
        self.wait();
        let end = Instant::now();

        self.step_seconds.forward += (backward - forward).as_secs_f64();
        self.step_seconds.backward += (optimiser - backward).as_secs_f64();
        self.step_seconds.optimiser += (end - optimiser).as_secs_f64();
        self.seconds += (end - started).as_secs_f64();
        self.losses.push(value);
        Ok(Progress::new(Stage::Learn, iteration + 1, self.config.iterations).with_loss(value))
    }

    /// The loss of the samples, as a tensor and as a finite number.
    fn loss(
        &mut self,
        samples: &[Sample],
        prompts: &PromptBatch<Autodiff<B>>,
        target: Tensor<Autodiff<B>, 4>,
    ) -> Result<(Tensor<Autodiff<B>, 1>, f32), AssistError> {
        let iteration = self.losses.len();
        let drawn: Vec<_> = samples.iter().map(|sample| sample.slice).collect();
        let member = &self.adaptation.members[iteration % self.config.members];
        let logits = self.decoding.forward(member, &drawn, prompts)?.low_res;
        let loss =
            dice_loss(logits.clone(), target.clone()) * self.config.dice_weight + binary_cross_entropy(logits, target);
        let value = loss.clone().into_scalar().elem::<f32>();
        if value.is_finite() {
            return Ok((loss, value));
        }
        if iteration == 0 {
            return Err(AssistError::NothingToLearnFrom { loss: value });
        }
        let learning_rate = self.config.rates(iteration).prompts;
        Err(AssistError::Diverged { iteration, loss: value, learning_rate })
    }

    /// Adds corrective clicks to the prompts of some samples, if this iteration has them.
    fn correct(&mut self, samples: &mut [Sample], target: &Tensor<B, 4>) -> Result<(), AssistError> {
        let iteration = self.losses.len();
        let Some(corrective) = self.config.corrective.filter(|corrective| corrective.is_in(iteration)) else {
            return Ok(());
        };
        let member = self.adaptation.members[iteration % self.config.members].clone().no_grad();
        let drawn: Vec<_> = samples.iter().map(|sample| sample.slice).collect();
        let targets = low_res_arrays(target.clone());
        for _ in 0..self.rng.random_range(1..=corrective.most) {
            let prompts = self.batch(samples)?;
            let found = low_res_arrays(self.decoding.forward(&member, &drawn, &prompts)?.low_res.inner());
            for ((sample, logits), target) in samples.iter_mut().zip(found).zip(&targets) {
                let frame = self.slices[sample.slice].embedding().frame();
                sample.prompts.points.extend(corrective_click(logits.view(), target.view(), &frame, &mut self.rng)?);
                if corrective.mask {
                    sample.prompts.mask = Some(logits);
                }
            }
        }
        Ok(())
    }

    /// The prompts of the samples, each scaled from its own slice's frame.
    fn batch(&self, samples: &[Sample]) -> Result<PromptBatch<Autodiff<B>>, AssistError> {
        let scale = |sample: &Sample| self.slices[sample.slice].embedding().frame().scale();
        let prompts: Vec<_> = samples.iter().map(|sample| (&sample.prompts, scale(sample))).collect();
        Ok(PromptBatch::new(&prompts, &self.device)?)
    }

    /// Updates the parameters. The decoder has its own learning rate.
    fn update(&mut self, gradients: GradientsParams, iteration: usize) {
        let rates = self.config.rates(iteration);
        // A clone shares its tensors; the optimiser replaces those that have gradients.
        let mut adaptation = self.adaptation.clone();
        let mut gradients = match self.config.max_grad_norm {
            Some(max_norm) => gradients::clip(gradients, &adaptation, max_norm),
            None => gradients,
        };
        let member = &adaptation.members[iteration % self.config.members];
        if member.changes_decoder() {
            let of_decoder = [
                gradients::take(&mut gradients, &member.mask_decoder, 1.0),
                gradients::take(&mut gradients, &member.adapters, 1.0),
            ];
            for gradients in of_decoder {
                adaptation = self.optimiser.step(rates.decoder, adaptation, gradients);
            }
        }
        self.adaptation = self.optimiser.step(rates.prompts, adaptation, gradients);
    }

    /// Waits until the device has finished its queue, so that the time of each part is measured separately.
    fn wait(&self) {
        // If the device fails here, the next operation returns its error.
        let _ = B::sync(&self.device);
    }
}
