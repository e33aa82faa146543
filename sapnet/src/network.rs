//! The network from frozen features to pixel vectors (Eq. 5).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use rand::Rng;

use crate::conv::{Conv3x3, Pointwise};
use crate::prototype::{PixelVectors, Position};
use crate::{Fusion, SapNetConfig, SapnetError};

/// Floor of a channel's standard deviation, so that a constant channel is not amplified.
const DEVIATION_FLOOR: f64 = 1e-6;

/// Standardises every channel to mean 0 and deviation 1 over the annotated slices, because the scales of encoders differ greatly.
#[derive(Module, Debug)]
pub(crate) struct Standardise<B: Backend> {
    mean: Tensor<B, 3>,
    deviation: Tensor<B, 3>,
}

impl<B: Backend> Standardise<B> {
    /// # Shapes
    /// - features: `[n, channels, height, width]`
    pub(crate) fn of(features: Tensor<B, 4>) -> Self {
        let [n, channels, height, width] = features.dims();
        let flat = features.swap_dims(0, 1).reshape([channels, n * height * width]);
        let mean = flat.clone().mean_dim(1);
        let deviation = (flat - mean.clone()).square().mean_dim(1).sqrt().clamp_min(DEVIATION_FLOOR);
        let per_channel = |values: Tensor<B, 2>| values.reshape([1, channels, 1]);
        Self { mean: per_channel(mean), deviation: per_channel(deviation) }
    }

    /// # Shapes
    /// - features: `[n, channels, height, width]`
    /// - output: `[n, pixels, channels]`
    pub(crate) fn forward(&self, features: Tensor<B, 4>) -> Tensor<B, 3> {
        ((features.flatten::<3>(2, 3) - self.mean.clone()) / self.deviation.clone()).swap_dims(1, 2)
    }
}

/// The fully convolutional network phi: 1 x 1 to the hidden channels, 3 x 3, 1 x 1 to the output channels. The first two are followed by a
/// ReLU. The last is not, because the cosine needs signs.
#[derive(Module, Debug)]
struct Fcn<B: Backend> {
    reduce: Pointwise<B>,
    mix: Conv3x3<B>,
    expand: Pointwise<B>,
}

/// The network with the position encoding of one feature size.
#[derive(Module, Debug)]
pub(crate) struct Network<B: Backend> {
    /// The encoding that joins the features before the network, `[1, pixels, channels]`.
    before: Option<Tensor<B, 3>>,
    fcn: Fcn<B>,
    /// The encoding that joins the features after the network.
    behind: Option<Position<B>>,
}

impl<B: Backend> Network<B> {
    /// Draws the weights for this number of channels and this feature size.
    pub(crate) fn init(
        config: &SapNetConfig,
        channels: usize,
        size: [usize; 2],
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Result<Self, SapnetError> {
        let frequencies = config.position.frequencies;
        let encoding = || -> Result<Tensor<B, 3>, SapnetError> {
            let position = config.position.init::<B>(device)?;
            Ok(position.forward(size).flatten::<2>(1, 2).transpose().unsqueeze())
        };
        let (before, behind) = match config.fusion {
            Fusion::None => (None, None),
            Fusion::Early => (Some(encoding()?), None),
            Fusion::Late => {
                // Every pixel's encoding has this length.
                let vectors = encoding()? / (frequencies as f64).sqrt();
                let (weight, feature_weight) = (config.position_weight, config.feature_weight);
                (None, Some(Position { vectors, weight, feature_weight }))
            }
        };
        let input = channels + if before.is_some() { 2 * frequencies } else { 0 };
        let hidden = config.network.hidden;
        let fcn = Fcn {
            reduce: Pointwise::init(input, hidden, rng, device),
            mix: Conv3x3::init(hidden, hidden, size, rng, device),
            expand: Pointwise::init(hidden, config.network.channels, rng, device),
        };
        Ok(Self { before, fcn, behind })
    }

    /// # Shapes
    /// - features: `[n, pixels, channels]`, standardised
    pub(crate) fn forward(&self, features: Tensor<B, 3>) -> PixelVectors<B> {
        let input = match &self.before {
            Some(maps) => {
                let ([n, pixels, _], [_, _, channels]) = (features.dims(), maps.dims());
                Tensor::cat(vec![features, maps.clone().expand([n, pixels, channels])], 2)
            }
            None => features,
        };
        PixelVectors::new(self.fcn.forward(input), self.behind.clone())
    }
}

impl<B: Backend> Fcn<B> {
    /// # Shapes
    /// - maps: `[n, pixels, input]`
    /// - output: `[n, pixels, channels]`
    fn forward(&self, maps: Tensor<B, 3>) -> Tensor<B, 3> {
        let reduced = relu(self.reduce.forward(maps));
        self.expand.forward(relu(self.mix.forward(reduced)))
    }
}
