//! Prompt learning (paper Eq. 1) step by step: prompts are drawn anew in each iteration, the image encoder never changes.

mod state;

use std::{ops::ControlFlow, sync::OnceLock, time::Instant};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    optim::{AdamW, AdamWConfig, GradientsParams, Optimizer, adaptor::OptimizerAdaptor},
    tensor::{ElementConversion, Tensor, TensorData, backend::Backend},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::SamPredictor;
use sam_prompt::PromptBatch;
use serde::{Deserialize, Serialize};

use crate::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, EarlyStopping,
    decoding::Decoding,
    draw::{Sample, draw},
    gradients,
    loss::{binary_cross_entropy, dice_loss},
    target::low_res_target,
};

/// Keeps `AdamW`'s division from zero.
const ADAM_EPSILON: f32 = 1e-8;

/// The generator's stream that new parameters are drawn from; prompts are drawn from stream 0, so that they stay the same whatever
/// learns.
const PARAMETER_STREAM: u64 = 1;

/// Where learning stands; told to the observer after each iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The iteration just done, counted from 0.
    pub iteration: usize,
    /// How many there will be, unless learning ends early.
    pub iterations: usize,
    /// Its loss.
    pub loss: f32,
}

/// Why learning paused or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All iterations are done.
    Complete,
    /// The loss no longer fell, see [`EarlyStopping`].
    Converged,
    /// The observer asked for it; the learner can go on from there.
    Stopped,
}

/// Seconds that learning took, by what they were spent on; the rest went into drawing prompts and preparing images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// From prompts to the loss.
    pub forward: f64,
    /// From the loss to the gradients.
    pub backward: f64,
    /// From the gradients to new parameters.
    pub optimiser: f64,
}

/// What came out of learning.
#[derive(Debug, Clone)]
pub struct Learned<B: Backend> {
    /// What changed, to be put into the model by [`Adaptation::apply`].
    pub adaptation: Adaptation<B>,
    /// How it was learned.
    pub config: AssistConfig,
    /// The loss of each iteration.
    pub losses: Vec<f32>,
    /// How long it took, embeddings and pauses not included.
    pub seconds: f64,
    /// What of that went into the steps.
    pub timing: Timing,
}

/// Learning in progress: it can stop after any iteration and go on later, to the very same result; in another process too, by
/// [`Learner::save`] and [`Learner::resume`].
///
/// ```
/// # use burn_flex::Flex;
/// # use ndarray::{Array2, Array3};
/// # use sam_assist::{AnnotatedSlice, AssistConfig, Ending, Learner};
/// # use sam_core::{SamConfig, SamPredictor, ViTConfig};
/// # let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
/// # let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
/// # let image = Array3::from_shape_fn((40, 50, 1), |(row, _, _)| row as f32);
/// # let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
/// # let slices = [AnnotatedSlice::new(predictor.embed(image.view())?, outline)?];
/// use std::ops::ControlFlow;
///
/// let mut learner = Learner::new(&predictor, &slices, AssistConfig { iterations: 3, ..AssistConfig::points() })?;
/// learner.step()?;
/// assert_eq!(learner.run(&mut |_| ControlFlow::Break(()))?, Ending::Stopped); // after one more
/// assert_eq!(learner.run(&mut |_| ControlFlow::Continue(()))?, Ending::Complete);
/// let predictor = learner.finish().adaptation.apply(&predictor);
/// # Ok::<(), sam_assist::AssistError>(())
/// ```
pub struct Learner<B: Backend> {
    config: AssistConfig,
    slices: Vec<AnnotatedSlice<B>>,
    targets: Targets<B>,
    decoding: Decoding<B>,
    device: B::Device,
    adaptation: Adaptation<Autodiff<B>>,
    optimiser: OptimizerAdaptor<AdamW, Adaptation<Autodiff<B>>, Autodiff<B>>,
    rng: ChaCha8Rng,
    losses: Vec<f32>,
    seconds: f64,
    timing: Timing,
}

impl<B: Backend> Learner<B> {
    /// Prepares learning: projects each slice once, and draws what is new.
    ///
    /// # Errors
    /// [`AssistError::NoSlices`]; [`AssistError::Config`].
    pub fn new(
        predictor: &SamPredictor<B>,
        slices: &[AnnotatedSlice<B>],
        config: AssistConfig,
    ) -> Result<Self, AssistError> {
        config.check()?;
        if slices.is_empty() {
            return Err(AssistError::NoSlices);
        }
        let started = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(PARAMETER_STREAM);
        let adaptation = Adaptation::start(predictor, config.trained, config.members, config.initial_spread, &mut rng);
        let optimiser = AdamWConfig::new().with_epsilon(ADAM_EPSILON).with_weight_decay(config.weight_decay as f32);
        Ok(Self {
            targets: Targets::new(slices),
            decoding: Decoding::new(predictor, slices, config.trained),
            device: predictor.device(),
            adaptation: Adaptation::from_inner(adaptation).trainable(config.trained),
            optimiser: optimiser.init(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            losses: Vec::with_capacity(config.iterations),
            slices: slices.to_vec(),
            config,
            seconds: started.elapsed().as_secs_f64(),
            timing: Timing::default(),
        })
    }

    /// Prepares learning that goes on from what was learned before, of the same structure on the same model: from other slices perhaps,
    /// and in fewer iterations, see [`AssistConfig::warm`]. The optimiser starts anew.
    ///
    /// # Errors
    /// As [`Learner::new`]; [`AssistError::OtherLearning`] if something else was learned than `config` says.
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

    /// How learning is done.
    pub fn config(&self) -> &AssistConfig {
        &self.config
    }

    /// The loss of each iteration so far.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Whether nothing is left to do, and why; [`Learner::step`] would go on all the same.
    pub fn ending(&self) -> Option<Ending> {
        let converged = |stopping: EarlyStopping| stopping.has_converged(&self.losses);
        if self.losses.len() >= self.config.iterations {
            Some(Ending::Complete)
        } else {
            self.config.early_stopping.is_some_and(converged).then_some(Ending::Converged)
        }
    }

    /// One iteration: draws prompts, decodes them, and changes the parameters of the member whose turn it is.
    ///
    /// # Errors
    /// [`AssistError::Diverged`] if the loss is not finite; the parameters are then those before the step.
    pub fn step(&mut self) -> Result<Progress, AssistError> {
        let started = Instant::now();
        let iteration = self.losses.len();
        let samples = draw(&self.slices, iteration, &self.config, &mut self.rng)?;
        let prompts = self.batch(&samples)?;
        let target = Tensor::from_inner(self.targets.of(&samples, &self.slices, &self.device));
        let drawn: Vec<_> = samples.iter().map(|sample| sample.slice).collect();

        let forward = Instant::now();
        let member = &self.adaptation.members[iteration % self.config.members];
        let logits = self.decoding.forward(member, &drawn, &prompts)?.low_res;
        let loss =
            dice_loss(logits.clone(), target.clone()) * self.config.dice_weight + binary_cross_entropy(logits, target);
        let value = loss.clone().into_scalar().elem::<f32>();
        if !value.is_finite() {
            let learning_rate = self.config.rates(iteration).prompts;
            return Err(AssistError::Diverged { iteration, loss: value, learning_rate });
        }
        let backward = Instant::now();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.adaptation);
        self.wait();
        let optimiser = Instant::now();
        self.update(gradients, iteration);
        self.wait();
        let end = Instant::now();

        self.timing.forward += (backward - forward).as_secs_f64();
        self.timing.backward += (optimiser - backward).as_secs_f64();
        self.timing.optimiser += (end - optimiser).as_secs_f64();
        self.seconds += (end - started).as_secs_f64();
        self.losses.push(value);
        Ok(Progress { iteration, iterations: self.config.iterations, loss: value })
    }

    /// Goes on until all iterations are done, the loss no longer falls, or the observer stops it with [`ControlFlow::Break`].
    ///
    /// The observer is called after each iteration.
    ///
    /// # Errors
    /// [`AssistError::Diverged`], as [`Learner::step`].
    pub fn run(&mut self, observer: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Ending, AssistError> {
        loop {
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            if observer(self.step()?).is_break() {
                return Ok(Ending::Stopped);
            }
        }
    }

    /// What was learned so far.
    pub fn finish(self) -> Learned<B> {
        let Self { adaptation, config, losses, seconds, timing, .. } = self;
        Learned { adaptation: adaptation.valid(), config, losses, seconds, timing }
    }

    /// The samples' prompts, each in its own slice's frame.
    fn batch(&self, samples: &[Sample]) -> Result<PromptBatch<Autodiff<B>>, AssistError> {
        let scale = |sample: &Sample| self.slices[sample.slice].embedding().frame.scale();
        let prompts: Vec<_> = samples.iter().map(|sample| (&sample.prompts, scale(sample))).collect();
        Ok(PromptBatch::new(&prompts, &self.device)?)
    }

    /// Changes the parameters, each part at its own rate.
    fn update(&mut self, gradients: GradientsParams, iteration: usize) {
        let rates = self.config.rates(iteration);
        let mut adaptation = self.adaptation.clone();
        let mut gradients = match self.config.largest_gradient {
            Some(largest) => gradients::clip(gradients, &adaptation, largest),
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

    /// Until the device has done what it was told, so that each part's time is its own.
    fn wait(&self) {
        // A device that fails here fails the next operation, which says so.
        let _ = B::sync(&self.device);
    }
}

impl EarlyStopping {
    /// Whether the exponential mean of the losses has been without a new lowest for too long.
    fn has_converged(self, losses: &[f32]) -> bool {
        let mut losses = losses.iter().map(|&loss| f64::from(loss));
        let Some(mut mean) = losses.next() else { return false };
        let (mut lowest, mut waited) = (mean, 0);
        for loss in losses {
            mean = self.smoothing * mean + (1.0 - self.smoothing) * loss;
            waited += 1;
            if mean < lowest - self.least_gain {
                (lowest, waited) = (mean, 0);
            }
        }
        waited >= self.patience
    }
}

/// What the decoder should answer: each outline on the grid of the low-res logits, made when it is first asked for.
struct Targets<B: Backend> {
    side: usize,
    /// Of each slice: the whole outline, then each component; `[1, 1, side, side]`.
    slices: Vec<Vec<OnceLock<Tensor<B, 4>>>>,
}

impl<B: Backend> Targets<B> {
    /// Low-res logits are so many times larger than the embedding.
    const UPSCALING: usize = 4;

    fn new(slices: &[AnnotatedSlice<B>]) -> Self {
        let side = slices.first().map_or(0, |slice| Self::UPSCALING * slice.embedding().features.dims()[2]);
        let unmade = |slice: &AnnotatedSlice<B>| (0..=slice.parts().len()).map(|_| OnceLock::new()).collect();
        Self { side, slices: slices.iter().map(unmade).collect() }
    }

    /// The samples' answers: `[n, 1, side, side]`.
    fn of(&self, samples: &[Sample], slices: &[AnnotatedSlice<B>], device: &B::Device) -> Tensor<B, 4> {
        let target = |sample: &Sample| {
            let slice = &slices[sample.slice];
            let known = &self.slices[sample.slice][sample.part.map_or(0, |part| part + 1)];
            let rasterise = || {
                let answer = sample.part.map_or(slice.outline(), |part| &slice.parts()[part].mask);
                let values = low_res_target(answer.view(), &slice.embedding().frame, self.side);
                let values: Vec<f32> = values.into_iter().collect();
                Tensor::from_data(TensorData::new(values, [1, 1, self.side, self.side]), device)
            };
            known.get_or_init(rasterise).clone()
        };
        Tensor::cat(samples.iter().map(target).collect(), 0)
    }
}
