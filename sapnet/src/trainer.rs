//! Training on episodes, step by step.

use std::fmt;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, ElementConversion, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::progress::{Observer, Progress, Stage, StopReason};
use sam_threads::train;

use crate::draw::Episode;
use crate::episode::{Shot, margins};
use crate::loss::two_class_cross_entropy;
use crate::network::{Network, Standardise};
use crate::prototype::PixelVectors;
use crate::segmenter::Prototypes;
use crate::{AnnotatedFeatures, BiasedDiceLoss, BilinearResize, SapNet, SapNetConfig, SapnetError, Support};

/// Added to the denominator of Adam, so that it is never 0.
const ADAM_EPSILON: f32 = 1e-8;

/// Random stream of the weights. Episodes are drawn from stream 0, so they do not depend on the network's size.
const WEIGHT_STREAM: u64 = 1;

/// Training of a [`SapNet`]. It can stop after any iteration and continue later, with the same result.
pub struct SapNetTrainer<B: Backend> {
    config: SapNetConfig,
    /// Channels, height and width of the features.
    expected: [usize; 3],
    standardise: Standardise<B>,
    slices: Vec<Slice<B>>,
    to_image: BilinearResize<B>,
    shows_object: Vec<bool>,
    dice: BiasedDiceLoss,
    network: Network<Autodiff<B>>,
    optimiser: OptimizerAdaptor<AdamW, Network<Autodiff<B>>, Autodiff<B>>,
    rng: ChaCha8Rng,
    losses: Vec<f32>,
}

/// An annotated slice, prepared once for all episodes.
struct Slice<B: Backend> {
    /// Standardised, `[1, pixels, channels]`.
    features: Tensor<Autodiff<B>, 3>,
    shot: Shot<Autodiff<B>>,
}

impl<B: Backend> SapNetTrainer<B> {
    /// Prepares the training: standardises the features and draws the network's weights.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if the configuration is invalid.
    pub fn new(slices: &AnnotatedFeatures<B>, config: SapNetConfig) -> Result<Self, SapnetError> {
        config.check()?;
        let [_, channels, height, width] = slices.features().dims();
        let device = slices.features().device();
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(WEIGHT_STREAM);
        let network = Network::init(&config, channels, [height, width], &mut rng, &device)?;
        let standardise = Standardise::of(slices.features().clone());
        let [_, mask_height, mask_width] = slices.foreground().dims();
        let to_image = BilinearResize::new([height, width], [mask_height, mask_width], &device);
        let optimiser = AdamWConfig::new().with_epsilon(ADAM_EPSILON).with_weight_decay(config.weight_decay as f32);
        Ok(Self {
            slices: (0..slices.count()).map(|index| Slice::new(slices, index, &standardise, &to_image)).collect(),
            to_image,
            shows_object: slices.shows_object(),
            expected: [channels, height, width],
            standardise,
            dice: config.dice.init()?,
            network,
            optimiser: optimiser.init(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            losses: Vec::with_capacity(config.iterations),
            config,
        })
    }

    /// The loss of each iteration so far.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Runs until all iterations are done or the observer stops it.
    ///
    /// The observer is called after each iteration, with [`Stage::Fit`] and the iteration's loss. A training that it stopped can be
    /// continued by another call, with the same result as without the interruption.
    ///
    /// Waits until no other training of this process runs, see [`sam_threads`].
    ///
    /// # Errors
    /// [`SapnetError::Diverged`] if the loss is not finite. The network then has the weights from before the failed iteration.
    pub fn run(&mut self, observer: &mut Observer<'_>) -> Result<StopReason, SapnetError> {
        train(|report| self.run_alone(report), observer)
    }

    fn run_alone(&mut self, observer: &mut Observer<'_>) -> Result<StopReason, SapnetError> {
        while self.losses.len() < self.config.iterations {
            if observer(&self.step()?).is_break() {
                break;
            }
        }
        Ok(stop_reason(&self.losses, &self.config))
    }

    /// Runs one iteration: splits the annotated slices, segments the query, and updates the network.
    ///
    /// # Errors
    /// [`SapnetError::Diverged`] if the loss is not finite; the network is not updated then.
    fn step(&mut self) -> Result<Progress, SapnetError> {
        let episode = self.config.episode.draw(&self.shows_object, &mut self.rng);
        let loss = self.loss(&episode);
        let value = loss.clone().into_scalar().elem::<f32>();
        if !value.is_finite() {
            return Err(self.diverged(value));
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimiser.step(self.config.learning_rate, self.network.clone(), gradients);
        self.losses.push(value);
        Ok(Progress::new(Stage::Fit, self.losses.len(), self.config.iterations).with_loss(value))
    }

    /// Returns the network as trained so far, with all annotated slices as its support. [`SapNet::stop_reason`] says whether the training
    /// was complete.
    ///
    /// # Errors
    /// [`SapnetError::Diverged`] if the last iteration led to weights that are not finite.
    pub fn finish(self) -> Result<SapNet<B>, SapnetError> {
        let network = self.network.valid();
        let images =
            self.slices.iter().map(|slice| (network.forward(slice.features.clone().inner()), slice.shot.valid()));
        let support = Support::of_shots(self.config.support, images.collect(), self.expected, self.to_image.clone());
        let prototypes = Prototypes::of(&support, self.config.support);
        // Huge weights overflow to NaN, or to lengths whose reciprocal is 0.
        let network_part = prototypes.vectors().clone().narrow(1, 0, self.config.network.channels);
        let squares = network_part.square().sum().into_scalar().elem::<f32>();
        if !(squares.is_finite() && squares > 0.0) {
            return Err(self.diverged(f32::NAN));
        }
        Ok(SapNet {
            config: self.config,
            standardise: self.standardise,
            network,
            prototypes,
            expected: self.expected,
            losses: self.losses,
        })
    }

    /// Loss of an episode: of the query segmented with the support, and of the support segmented with the query's prediction.
    fn loss(&self, episode: &Episode) -> Tensor<Autodiff<B>, 1> {
        let config = &self.config;
        let support = episode.support.iter().map(|&slice| (self.embed(slice), self.slices[slice].shot.clone()));
        let to_image = BilinearResize::from_inner(self.to_image.clone());
        let support = Support::of_shots(config.support, support.collect(), self.expected, to_image);
        let query: Vec<_> = episode.query.iter().map(|&slice| self.embed(slice)).collect();
        let coarse = support.coarse(&query);
        let loss = self.query_loss(support.to_image(margins(coarse.clone())).flatten(1, 3), &episode.query);
        if config.alignment_weight > 0.0 {
            loss + support.alignment(&query, &coarse) * config.alignment_weight
        } else {
            loss
        }
    }

    /// Cross-entropy and biased Dice loss of the margins of some slices, `[n, mask_pixels]`.
    fn query_loss(&self, margins: Tensor<Autodiff<B>, 2>, slices: &[usize]) -> Tensor<Autodiff<B>, 1> {
        let of = |part: fn(&Shot<Autodiff<B>>) -> &Tensor<Autodiff<B>, 2>| {
            Tensor::cat(slices.iter().map(|&slice| part(&self.slices[slice].shot).clone()).collect(), 0)
        };
        let (object, annotated) = (of(|shot| &shot.object), of(|shot| &shot.annotated));
        // Pixels that were not annotated do not count.
        let dice = self.dice.forward(sigmoid(margins.clone()) * annotated.clone(), object.clone());
        let cross_entropy = two_class_cross_entropy(margins, object, annotated).mean();
        cross_entropy * self.config.cross_entropy_weight + dice * self.config.dice_weight
    }

    /// Vectors of a slice. Slices are embedded one by one, so that a map stays in the processor's cache.
    fn embed(&self, slice: usize) -> PixelVectors<Autodiff<B>> {
        self.network.forward(self.slices[slice].features.clone())
    }

    fn diverged(&self, loss: f32) -> SapnetError {
        SapnetError::Diverged { iteration: self.losses.len(), loss, learning_rate: self.config.learning_rate }
    }
}

impl<B: Backend> fmt::Debug for SapNetTrainer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("SapNetTrainer");
        text.field("config", &self.config).field("slices", &self.slices.len()).field("losses", &self.losses);
        text.finish_non_exhaustive()
    }
}

/// Why a training with these losses ended. Only the observer stops it before its last iteration.
pub(crate) fn stop_reason(losses: &[f32], config: &SapNetConfig) -> StopReason {
    if losses.len() < config.iterations { StopReason::Stopped } else { StopReason::Complete }
}

impl<B: Backend> Slice<B> {
    fn new(
        slices: &AnnotatedFeatures<B>,
        index: usize,
        standardise: &Standardise<B>,
        to_image: &BilinearResize<B>,
    ) -> Self {
        let features = standardise.forward(slices.features().clone().narrow(0, index, 1));
        // Copied once to the transposed order, instead of in every iteration.
        let features = Tensor::<B, 3>::from_data(features.to_data(), &features.device());
        let mask = |masks: &Tensor<B, 3, Bool>| masks.clone().narrow(0, index, 1);
        let shot = Shot::new(mask(slices.foreground()), mask(slices.background()), to_image);
        Self { features: Tensor::from_inner(features), shot: shot.tracked() }
    }
}
