//! A linear classifier of SAM's features, pixel by pixel: the paper's "prompt classification".

use burn::tensor::{Tensor, activation::sigmoid, backend::Backend};
use sam_prompt::{
    ConfigError,
    progress::{Observer, Progress, Stage},
};
use sapnet::{AnnotatedFeatures, BilinearResize, CoarseSegmenter, FourierPositionConfig, SapnetError, check_query};
use serde::{Deserialize, Serialize};

use crate::AutoError;

/// Configuration of a [`LinearClassifier`]. The paper describes the method without hyperparameters or results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifierConfig {
    /// Weight of the L2 penalty, relative to the mean loss of a pixel.
    pub l2: f64,
    /// Number of optimiser steps. The loss is convex, so more steps come closer to its only minimum.
    pub iterations: usize,
    /// Encoding of a pixel's position as additional features; `None` for the image features alone.
    pub position: Option<FourierPositionConfig>,
}

sam_assist::__setters!(ClassifierConfig {
    with_l2 => l2: f64,
    with_iterations => iterations: usize,
    with_position => position: Option<FourierPositionConfig>,
});

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self { l2: 1e-3, iterations: 200, position: Some(FourierPositionConfig::default()) }
    }
}

impl ClassifierConfig {
    /// Checks every value. [`ClassifierConfig::fit`] does it first.
    ///
    /// # Errors
    /// [`AutoError::Config`] or, for the position encoding, [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        ConfigError::check_positive("classifier.l2", self.l2)?;
        ConfigError::check_count("classifier.iterations", self.iterations)?;
        Ok(self.position.as_ref().map_or(Ok(()), FourierPositionConfig::check)?)
    }

    /// Fits the classifier. Nothing is random: the same slices give the same classifier. The observer is called with [`Stage::Fit`]
    /// after each iteration.
    ///
    /// # Errors
    /// As [`ClassifierConfig::check`]; [`AutoError::Stopped`] if the observer stops it before the last iteration.
    pub fn fit<B: Backend>(
        &self,
        slices: &AnnotatedFeatures<B>,
        observer: &mut Observer<'_>,
    ) -> Result<LinearClassifier<B>, AutoError> {
        self.check()?;
        let features = slices.features().clone();
        let [_, channels, height, width] = features.dims();
        let position = match &self.position {
            Some(config) => Some(config.init::<B>(&features.device())?.forward([height, width])),
            None => None,
        };
        let weights = pixel_weights(slices);
        let samples = samples(features, position.as_ref());
        let scaling = Scaling::of(samples.clone(), weights.clone().abs().sum_dim(1));
        let mut coefficients = descend(scaling.apply(samples), weights, self, observer)?;
        let bias = coefficients.clone().narrow(0, 0, 1);
        let count = coefficients.dims()[0] - 1;
        coefficients = coefficients.narrow(0, 1, count);
        Ok(LinearClassifier { coefficients, bias, scaling, position, expected: [channels, height, width] })
    }
}

/// A logistic regression on the features of single pixels, fitted to annotated slices.
///
/// Structure and background have equal total weight, whatever their areas. The outline is finer than the features, so each pixel of the
/// features counts for both classes, weighted by bilinear interpolation.
///
/// # Source
/// Paper, Section "prompt classification"; features of 64 x 64 pixels and logistic regression as in few-shot-self-prompt-SAM.
#[derive(Debug, Clone)]
pub struct LinearClassifier<B: Backend> {
    /// `[features, 1]`
    coefficients: Tensor<B, 2>,
    /// `[1, 1]`
    bias: Tensor<B, 2>,
    scaling: Scaling<B>,
    /// `[channels, height, width]`
    position: Option<Tensor<B, 3>>,
    expected: [usize; 3],
}

impl<B: Backend> CoarseSegmenter<B> for LinearClassifier<B> {
    fn predict(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3>, SapnetError> {
        check_query(&features, self.expected, size)?;
        let [count, _, height, width] = features.dims();
        let resize = BilinearResize::new([height, width], size, &features.device());
        let samples = self.scaling.apply(samples(features, self.position.as_ref()));
        let logits = samples.matmul(self.coefficients.clone()) + self.bias.clone();
        Ok(sigmoid(resize.forward(logits.reshape([count, 1, height, width]))).squeeze_dim(1))
    }
}

/// The features of all pixels, one row per pixel.
///
/// # Shapes
/// - features: `[n, channels, height, width]`
/// - position: `[more, height, width]`
/// - output: `[n * height * width, channels + more]`
fn samples<B: Backend>(features: Tensor<B, 4>, position: Option<&Tensor<B, 3>>) -> Tensor<B, 2> {
    let [count, _, height, width] = features.dims();
    let all = match position {
        Some(position) => {
            let position = position.clone().unsqueeze_dim::<4>(0).repeat_dim(0, count);
            Tensor::cat(vec![features, position], 1)
        }
        None => features,
    };
    let channels = all.dims()[1];
    all.permute([0, 2, 3, 1]).reshape([count * height * width, channels])
}

/// Weight of each pixel of the features for the object and for the background. Each column sums to one half.
///
/// # Shapes
/// - output: `[n * height * width, 2]`, the object first
fn pixel_weights<B: Backend>(slices: &AnnotatedFeatures<B>) -> Tensor<B, 2> {
    let [count, _, height, width] = slices.features().dims();
    let [_, rows, columns] = slices.foreground().dims();
    let resize = BilinearResize::new([height, width], [rows, columns], &slices.features().device());
    let share = |mask: &Tensor<B, 3, burn::tensor::Bool>| {
        let weight = resize.adjoint(mask.clone().float().unsqueeze_dim(1)).reshape([count * height * width, 1]);
        weight.clone() / (weight.sum().reshape([1, 1]) * 2.0)
    };
    Tensor::cat(vec![share(slices.foreground()), share(slices.background())], 1)
}

/// Standardises each feature to mean 0 and deviation 1, so that one penalty fits all features.
#[derive(Debug, Clone)]
struct Scaling<B: Backend> {
    /// `[1, features]`
    mean: Tensor<B, 2>,
    /// `[1, features]`
    deviation: Tensor<B, 2>,
}

impl<B: Backend> Scaling<B> {
    /// # Shapes
    /// - samples: `[n, features]`
    /// - weights: `[n, 1]`, sum 1
    fn of(samples: Tensor<B, 2>, weights: Tensor<B, 2>) -> Self {
        let mean = (samples.clone() * weights.clone()).sum_dim(0);
        let variance = ((samples - mean.clone()).square() * weights).sum_dim(0);
        // A constant feature carries no information, whatever it is divided by.
        Self { mean, deviation: (variance + 1e-12).sqrt() }
    }

    fn apply(&self, samples: Tensor<B, 2>) -> Tensor<B, 2> {
        (samples - self.mean.clone()) / self.deviation.clone()
    }
}

/// Steps of the power method. The largest curvature is needed only to some percent.
const POWER_STEPS: usize = 12;

/// Minimises the logistic loss by Nesterov's accelerated gradient. The curvature determines the step size.
///
/// # Shapes
/// - samples: `[n, features]`
/// - weights: `[n, 2]`, object and background
/// - output: `[1 + features, 1]`, the bias first
///
/// # Errors
/// [`AutoError::Stopped`] if the observer stops it before the last iteration.
fn descend<B: Backend>(
    samples: Tensor<B, 2>,
    weights: Tensor<B, 2>,
    config: &ClassifierConfig,
    observer: &mut Observer<'_>,
) -> Result<Tensor<B, 2>, AutoError> {
    let (count, device) = (samples.dims()[0], samples.device());
    let samples = Tensor::cat(vec![Tensor::ones([count, 1], &device), samples], 1);
    let features = samples.dims()[1];
    let transposed = samples.clone().transpose();
    let (object, background) = (weights.clone().narrow(1, 0, 1), weights.narrow(1, 1, 1));
    let both = object.clone() + background;
    let mut direction = Tensor::<B, 2>::ones([features, 1], &device);
    let mut curvature = Tensor::<B, 2>::ones([1, 1], &device);
    for _ in 0..POWER_STEPS {
        direction = direction.clone() / direction.square().sum().sqrt().reshape([1, 1]);
        direction = transposed.clone().matmul(samples.clone().matmul(direction) * both.clone());
        curvature = direction.clone().square().sum().sqrt().reshape([1, 1]);
    }
    // The slope of a sigmoid is at most a quarter. The power method underestimates the curvature; adding a tenth is safe.
    let step = (curvature * (1.1 / 4.0) + config.l2).recip();
    // The penalty does not apply to the bias.
    let penalty =
        Tensor::cat(vec![Tensor::zeros([1, 1], &device), Tensor::full([features - 1, 1], config.l2, &device)], 0);
    let mut here = Tensor::<B, 2>::zeros([features, 1], &device);
    let (mut ahead, mut momentum) = (here.clone(), 1.0_f64);
    for iteration in 1..=config.iterations {
        let error = sigmoid(samples.clone().matmul(ahead.clone())) * both.clone() - object.clone();
        let gradient = transposed.clone().matmul(error) + ahead.clone() * penalty.clone();
        let next = ahead - gradient * step.clone();
        let following = f64::midpoint(1.0, (1.0 + 4.0 * momentum * momentum).sqrt());
        ahead = next.clone() + (next.clone() - here) * ((momentum - 1.0) / following);
        (here, momentum) = (next, following);
        let stops = observer(&Progress::new(Stage::Fit, iteration, config.iterations)).is_break();
        if stops && iteration < config.iterations {
            return Err(AutoError::Stopped);
        }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use burn::tensor::TensorData;
    use burn_flex::{Flex, FlexDevice};
    use sam_prompt::progress::ignore_progress;

    use super::*;

    /// Two slices. The second channel is high on the object's columns; the first channel is noise.
    fn slices(columns: std::ops::Range<usize>) -> AnnotatedFeatures<Flex> {
        let noise = |at: usize| ((at * 7919) % 101) as f32 / 101.0;
        let at = |at: usize| if columns.contains(&(at % 8)) { 3.0 } else { 1.0 } + noise(at);
        let features = (0..2).flat_map(|_| (0..64).map(noise).chain((0..64).map(at))).collect::<Vec<f32>>();
        let features = Tensor::from_data(TensorData::new(features, [2, 2, 8, 8]), &FlexDevice);
        let inside = |at: usize| columns.contains(&(at % 16 / 2));
        let object: Vec<bool> = (0..512).map(inside).collect();
        let object =
            Tensor::<Flex, 3, burn::tensor::Bool>::from_data(TensorData::new(object, [2, 16, 16]), &FlexDevice);
        AnnotatedFeatures::new(features, object.clone(), object.bool_not()).expect("matching shapes")
    }

    #[test]
    fn what_is_linearly_separable_is_separated() {
        let slices = slices(2..4);
        let config = ClassifierConfig { position: None, ..ClassifierConfig::default() };
        let classifier = config.fit(&slices, &mut ignore_progress()).expect("valid slices");
        let found = classifier.segment(slices.features().clone(), [8, 8]).expect("the same features");
        let found: Vec<bool> = found.into_data().iter::<bool>().collect();
        let expected: Vec<bool> = (0..128).map(|at| (2..4).contains(&(at % 8))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn where_looks_say_nothing_position_does() {
        let shown = slices(2..4);
        // Features of other columns: only the position identifies the object.
        let other = AnnotatedFeatures::new(
            slices(0..1).features().clone(),
            shown.foreground().clone(),
            shown.background().clone(),
        )
        .expect("matching shapes");
        let share = |position| {
            let config = ClassifierConfig { position, ..ClassifierConfig::default() };
            let classifier = config.fit(&other, &mut ignore_progress()).expect("valid slices");
            let found = classifier.segment(other.features().clone(), [16, 16]).expect("the same features");
            let right = found.equal(other.foreground().clone()).int().sum().into_scalar();
            right as f32 / 512.0
        };
        // Interpolated to a finer grid, a map of object and background of equal weight is off by a pixel along the borders.
        let (with, without) = (share(Some(FourierPositionConfig::default())), share(None));
        assert!(with > 0.85 && without < 0.5, "{with} with the position, {without} without");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for config in [
            ClassifierConfig { l2: 0.0, ..ClassifierConfig::default() },
            ClassifierConfig { l2: f64::NAN, ..ClassifierConfig::default() },
            ClassifierConfig { iterations: 0, ..ClassifierConfig::default() },
        ] {
            let refused = config.fit(&slices(2..4), &mut ignore_progress());
            assert!(matches!(refused, Err(AutoError::Config { .. })), "{config:?}");
        }
    }

    #[test]
    fn a_stopped_fit_stops_at_once_and_gives_nothing() {
        let config = ClassifierConfig { iterations: 5, ..ClassifierConfig::default() };
        for (stop_after, is_stopped) in [(1, true), (3, true), (5, false)] {
            let mut seen = Vec::new();
            let fitted = config.fit(&slices(2..4), &mut |progress: &Progress| {
                seen.push((progress.done, progress.total));
                if progress.done == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(matches!(fitted, Err(AutoError::Stopped)), is_stopped, "{stop_after}");
            assert_eq!(seen, (1..=stop_after).map(|done| (done, 5)).collect::<Vec<_>>());
        }
        let position = Some(FourierPositionConfig::default().with_frequencies(0));
        let config = ClassifierConfig { position, ..ClassifierConfig::default() };
        assert!(matches!(config.check(), Err(AutoError::Coarse(_))), "{config:?}");
    }
}
