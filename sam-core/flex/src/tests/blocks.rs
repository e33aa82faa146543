//! Compares whole blocks with burn's operations.

use burn::{
    nn::{LayerNormConfig, LinearConfig},
    tensor::{Tensor, activation, backend::Backend, module::conv2d, ops::ConvOptions},
};
use burn_flex::{Flex, FlexDevice};
use proptest::prelude::*;

use super::{B, assert_agree, assert_near, random};
use crate::{Bottleneck, Upscaling};

/// A depthwise convolution, composed of burn's operations.
fn depthwise<B: Backend>(maps: Tensor<B, 4>, weight: Tensor<B, 2>, bias: Tensor<B, 1>, stride: usize) -> Tensor<B, 4> {
    let [taps, channels] = weight.dims();
    let side = taps.isqrt();
    let weight = weight.transpose().reshape([channels, 1, side, side]);
    let options = ConvOptions::new([stride; 2], [side / 2; 2], [1, 1], channels);
    conv2d(maps.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}

fn affine<B: Backend, const D: usize>(x: Tensor<B, D>, (weight, bias): (&Tensor<B, 2>, &Tensor<B, 1>)) -> Tensor<B, D> {
    x.matmul(weight.clone().unsqueeze()) + bias.clone().unsqueeze()
}

#[test]
pub(super) fn upscaling_agrees_with_its_parts() {
    let epsilon = 1e-6;
    let (first, second) = ((random([24, 4 * 12]), random([4 * 12])), (random([12, 4 * 6]), random([4 * 6])));
    let (scale, offset) = (random([12]), random([12]));
    let (pixels, masks): (Tensor<B, 3>, Tensor<B, 3>) = (random([2, 150, 24]), random([2, 3, 6]));
    let doubled = affine(pixels.clone(), (&first.0, &first.1)).reshape([2, 4 * 150, 12]);
    let centred = doubled.clone() - doubled.mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    let norm = centred / (variance + epsilon).sqrt() * scale.clone().unsqueeze() + offset.clone().unsqueeze();
    let twice = affine(activation::gelu(norm), (&second.0, &second.1)).reshape([2, 16 * 150, 6]);
    let expected = activation::gelu(twice).matmul(masks.clone().transpose());
    let layers =
        Upscaling { first: (&first.0, &first.1), norm: (&scale, &offset), epsilon, second: (&second.0, &second.1) };
    let found = crate::upscale(&layers, &pixels, &masks).expect("flex");
    assert_agree(found, expected, &[&pixels, &first.0, &first.1, &scale, &offset, &second.0, &second.1, &masks]);
}

#[test]
pub(super) fn perceptrons_agree_with_their_parts() {
    let norm = LayerNormConfig::new(24).init::<Flex>(&FlexDevice);
    let linear = |input: usize, output: usize| LinearConfig::new(input, output).init::<Flex>(&FlexDevice);
    let (first, second, x) = (linear(24, 96), linear(96, 24), random([2, 530, 24]).inner());
    let parts = second.forward(activation::gelu(first.forward(norm.forward(x.clone()))));
    let bias = |layer: &burn::nn::Linear<Flex>| layer.bias.as_ref().expect("it has one").val();
    let found = crate::perceptron(
        &x,
        [&norm.gamma.val(), &norm.beta.as_ref().expect("it has one").val()],
        1e-5,
        [(&first.weight.val(), &bias(&first)), (&second.weight.val(), &bias(&second))],
    );
    assert_near(found.expect("flex"), x + parts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn depthwise_convolutions(
        n in 1..3_usize,
        size in [1..14_usize, 1..14_usize],
        channels in 1..70_usize,
        side in prop::sample::select(vec![1_usize, 3, 5]),
        stride in 1..3_usize,
    ) {
        let maps = random([n, size[0], size[1], channels]).inner();
        let (weight, bias) = (random([side * side, channels]).inner(), random([channels]).inner());
        let found = crate::depthwise(&maps, &weight, &bias, stride).expect("flex");
        assert_near(found, depthwise(maps, weight, bias, stride));
    }

    #[test]
    fn bottlenecks(
        n in 1..3_usize,
        size in [1..30_usize, 1..14_usize],
        channels in 1..9_usize,
        wide in 1..150_usize,
        stride in 1..3_usize,
    ) {
        let maps = random([n, size[0], size[1], channels]).inner();
        let layer = |input: usize, output: usize| (random([input, output]).inner(), random([output]).inner());
        let (widen, convolve, narrow) = (layer(channels, wide), layer(9, wide), layer(wide, channels));
        let narrow = (narrow.0 / wide as f64, narrow.1);
        let returns = stride == 1;
        let between = activation::gelu(affine(maps.clone(), (&widen.0, &widen.1)));
        let between = activation::gelu(depthwise(between, convolve.0.clone(), convolve.1.clone(), stride));
        let expected = affine(between, (&narrow.0, &narrow.1));
        let expected = if returns { activation::gelu(expected + maps.clone()) } else { expected };
        let layers = Bottleneck {
            widen: (&widen.0, &widen.1),
            convolve: (&convolve.0, &convolve.1),
            narrow: (&narrow.0, &narrow.1),
            stride,
            returns,
        };
        assert_near(crate::bottleneck(&layers, &maps).expect("flex"), expected);
    }
}

pub(super) fn depthwise_convolutions_agree() {
    depthwise_convolutions();
}

pub(super) fn bottlenecks_agree() {
    bottlenecks();
}
