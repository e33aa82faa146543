//! From frozen features to the vectors that prototypes are made of (Eq. 5).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use rand::Rng;

use crate::conv::{Conv3x3, Pointwise};
use crate::prototype::unit;
use crate::{Fusion, SapNetConfig, SapnetError};

/// Floor of a channel's standard deviation: a channel that never changes says nothing, and is not blown up.
const DEVIATION_FLOOR: f64 = 1e-6;

/// Brings every channel to mean 0 and deviation 1 over the annotated slices: encoders differ in their scale by far.
#[derive(Module, Debug)]
pub(crate) struct Standardise<B: Backend> {
    mean: Tensor<B, 4>,
    deviation: Tensor<B, 4>,
}

impl<B: Backend> Standardise<B> {
    /// # Shapes
    /// - features: `[n, channels, height, width]`
    pub(crate) fn of(features: Tensor<B, 4>) -> Self {
        let [n, channels, height, width] = features.dims();
        let flat = features.swap_dims(0, 1).reshape([channels, n * height * width]);
        let mean = flat.clone().mean_dim(1);
        let deviation = (flat - mean.clone()).square().mean_dim(1).sqrt().clamp_min(DEVIATION_FLOOR);
        let per_channel = |values: Tensor<B, 2>| values.reshape([1, channels, 1, 1]);
        Self { mean: per_channel(mean), deviation: per_channel(deviation) }
    }

    pub(crate) fn forward(&self, features: Tensor<B, 4>) -> Tensor<B, 4> {
        (features - self.mean.clone()) / self.deviation.clone()
    }
}

/// The fully convolutional network phi: 1 x 1 to the hidden channels, 3 x 3, 1 x 1 to those it gives; ReLU between, none at
/// the end, since the cosine needs signs.
#[derive(Module, Debug)]
struct Fcn<B: Backend> {
    reduce: Pointwise<B>,
    mix: Conv3x3<B>,
    expand: Pointwise<B>,
}

/// The network with the position encoding of one feature size.
#[derive(Module, Debug)]
pub(crate) struct Network<B: Backend> {
    fcn: Fcn<B>,
    /// `[1, channels, height, width]`, for late fusion of its length.
    position: Option<Tensor<B, 4>>,
    early: bool,
    feature_weight: f64,
}

impl<B: Backend> Network<B> {
    /// Draws the weights for features of some channels and one size.
    pub(crate) fn init(
        config: &SapNetConfig,
        channels: usize,
        size: [usize; 2],
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Result<Self, SapnetError> {
        let position = match config.fusion {
            Fusion::None => None,
            Fusion::Late => Some(unit_position(config, size, device)? * config.position_weight),
            Fusion::Early => Some(unit_position(config, size, device)? * (config.position.frequencies as f64).sqrt()),
        };
        let early = config.fusion == Fusion::Early;
        let input = channels + if early { 2 * config.position.frequencies } else { 0 };
        let hidden = config.network.hidden;
        let fcn = Fcn {
            reduce: Pointwise::init(input, hidden, rng, device),
            mix: Conv3x3::init(hidden, hidden, size, rng, device),
            expand: Pointwise::init(hidden, config.network.channels, rng, device),
        };
        Ok(Self { fcn, position, early, feature_weight: config.feature_weight })
    }

    /// # Shapes
    /// - features: `[n, channels, height, width]`, standardised
    /// - output: `[n, network and position channels, height, width]`
    pub(crate) fn forward(&self, features: Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, _, height, width] = features.dims();
        let position = |maps: &Tensor<B, 4>| {
            let [_, channels, ..] = maps.dims();
            maps.clone().expand([n, channels, height, width])
        };
        let input = match &self.position {
            Some(maps) if self.early => Tensor::cat(vec![features, position(maps)], 1),
            _ => features,
        };
        let embedded = self.fcn.forward(input.flatten(2, 3));
        let [_, channels, _] = embedded.dims();
        match &self.position {
            Some(maps) if !self.early => {
                let embedded = unit(embedded) * self.feature_weight;
                Tensor::cat(vec![embedded.reshape([n, channels, height, width]), position(maps)], 1)
            }
            _ => embedded.reshape([n, channels, height, width]),
        }
    }
}

impl<B: Backend> Fcn<B> {
    /// # Shapes
    /// - maps: `[n, input, pixels]`
    /// - output: `[n, channels, pixels]`
    fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        let reduced = relu(self.reduce.forward(maps));
        self.expand.forward(relu(self.mix.forward(reduced)))
    }
}

/// The position encoding, every pixel's vector of length 1.
fn unit_position<B: Backend>(
    config: &SapNetConfig,
    size: [usize; 2],
    device: &B::Device,
) -> Result<Tensor<B, 4>, SapnetError> {
    let position = config.position.init::<B>(device)?;
    Ok(position.forward(size).unsqueeze::<4>() / (config.position.frequencies as f64).sqrt())
}
