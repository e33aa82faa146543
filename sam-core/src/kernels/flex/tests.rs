//! The kernels against burn's own operations, forwards and backwards.

use std::sync::atomic::Ordering;

use burn::{
    backend::Autodiff,
    module::Param,
    nn::{LayerNormConfig, LinearConfig},
    tensor::{DType, Distribution, Tensor, activation, backend::AutodiffBackend},
};
use burn_flex::{Flex, FlexDevice};

use proptest::prelude::*;

use super::super::{Bottleneck, MapAttention, PairBias, QkvOrder, attend_from_few, attend_to_few, perceptron};
use super::simd::WITHOUT_VECTORS;

type B = Autodiff<Flex>;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice).require_grad()
}

/// Both outputs and all their gradients, for one and the same gradient of the output.
fn assert_agree<const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>, inputs: &[&dyn Gradient]) {
    let weight = random(found.dims()).detach();
    let tolerance = burn::tensor::Tolerance::<f32>::absolute(2e-4);
    found.clone().inner().into_data().assert_approx_eq(&expected.clone().inner().into_data(), tolerance);
    let found = (found * weight.clone()).sum().backward();
    let expected = (expected * weight).sum().backward();
    for (index, input) in inputs.iter().enumerate() {
        let (found, expected) = (input.of(&found), input.of(&expected));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
                "gradient {index}: {found}, not {expected}"
            );
        }
    }
}

/// Inputs of any rank.
trait Gradient {
    fn of(&self, gradients: &<B as AutodiffBackend>::Gradients) -> Vec<f32>;
}

impl<const D: usize> Gradient for Tensor<B, D> {
    fn of(&self, gradients: &<B as AutodiffBackend>::Gradients) -> Vec<f32> {
        self.grad(gradients).expect("each input is tracked").into_data().to_vec().expect("values of f32")
    }
}

#[test]
fn gelu_agrees() {
    let x = random([3, 700, 13]);
    assert_agree(super::gelu(&x).expect("flex"), activation::gelu(x.clone()), &[&x]);
}

#[test]
fn layer_norm_agrees() {
    let (x, scale, offset) = (random([2, 600, 37]), random([37]), random([37]));
    let centred = x.clone() - x.clone().mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    let expected = centred / (variance + 1e-5).sqrt() * scale.clone().unsqueeze() + offset.clone().unsqueeze();
    let found = super::layer_norm(&x, &scale, &offset, 1e-5).expect("flex");
    assert_agree(found, expected, &[&x, &scale, &offset]);
}

#[test]
fn affine_agrees_on_weights_in_either_order() {
    let (x, weight, bias) = (random([2, 530, 24]), random([24, 40]), random([1, 1, 40]));
    let expected = x.clone().matmul(weight.clone().unsqueeze()) + bias.clone();
    assert_agree(super::affine(&x, &weight, &bias).expect("flex"), expected, &[&x, &weight, &bias]);

    let (x, lying, bias) = (random([2, 530, 24]), random([40, 24]), random([1, 530, 40]));
    let expected = x.clone().matmul(lying.clone().transpose().unsqueeze()) + bias.clone();
    let found = super::affine(&x, &lying.clone().transpose(), &bias).expect("flex");
    assert_agree(found, expected, &[&x, &lying, &bias]);
}

#[test]
fn attention_of_few_queries_agrees() {
    let (query, key, value) = (random([2, 7, 32]), random([2, 1300, 32]), random([2, 1300, 32]));
    let scaled = query.clone() / 8_f64.sqrt();
    let expected = attend_from_few(scaled, key.clone(), value.clone(), 4);
    let found = super::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query, &key, &value]);
}

#[test]
fn attention_of_many_queries_agrees() {
    let (query, key, value) = (random([2, 1300, 32]), random([2, 7, 32]), random([2, 7, 32]));
    let scaled = query.clone() / 8_f64.sqrt();
    let expected = attend_to_few(scaled, key.clone(), value.clone(), 4);
    let found = super::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query, &key, &value]);
}

#[test]
fn sums_with_what_all_samples_or_all_pixels_share_agree() {
    for other in [[2, 600, 12], [1, 600, 12], [2, 1, 12], [1, 1, 12]] {
        let (left, right) = (random([2, 600, 12]), random(other));
        assert_agree(super::add(&left, &right).expect("flex"), left.clone() + right.clone(), &[&left, &right]);
        let (left, right) = (random(other), random([2, 600, 12]));
        assert_agree(super::add(&left, &right).expect("flex"), left.clone() + right.clone(), &[&left, &right]);
    }
}

#[test]
fn attention_to_an_image_that_all_samples_share_agrees() {
    let (tokens, image, values) = (random([3, 7, 32]), random([1, 1300, 32]), random([1, 1300, 32]));
    let expected = attend_from_few(tokens.clone() / 8_f64.sqrt(), image.clone(), values.clone(), 4);
    let found = super::attention(&tokens, &image, &values, 4).expect("flex");
    assert_agree(found, expected, &[&tokens, &image, &values]);

    let (image, keys, values) = (random([1, 1300, 32]), random([3, 7, 32]), random([3, 7, 32]));
    let expected = attend_to_few(image.clone() / 8_f64.sqrt(), keys.clone(), values.clone(), 4);
    let found = super::attention(&image, &keys, &values, 4).expect("flex");
    assert_agree(found, expected, &[&image, &keys, &values]);
}

#[test]
fn inputs_without_gradient_are_left_alone() {
    let (query, key, value) = (random([2, 7, 32]), random([2, 1300, 32]).detach(), random([2, 1300, 32]).detach());
    let expected = attend_from_few(query.clone() / 8_f64.sqrt(), key.clone(), value.clone(), 4);
    let found = super::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query]);

    let (query, key, value) = (random([2, 1300, 32]).detach(), random([2, 7, 32]), random([2, 7, 32]));
    let expected = attend_to_few(query.clone() / 8_f64.sqrt(), key.clone(), value.clone(), 4);
    let found = super::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&key, &value]);
}

#[test]
fn upscaling_agrees_with_its_parts() {
    let layers = super::super::Upscaling {
        first_weight: random([24, 4 * 12]),
        first_bias: random([4 * 12]),
        scale: random([12]),
        offset: random([12]),
        second_weight: random([12, 4 * 6]),
        second_bias: random([4 * 6]),
    };
    let (pixels, masks) = (random([2, 150, 24]), random([2, 3, 6]));
    let expected = layers.forward(pixels.clone()).matmul(masks.clone().transpose());
    let found = super::upscale(&layers, &pixels, &masks, 1e-6).expect("flex");
    let super::super::Upscaling { first_weight, first_bias, scale, offset, second_weight, second_bias } = &layers;
    assert_agree(
        found,
        expected,
        &[&pixels, first_weight, first_bias, scale, offset, second_weight, second_bias, &masks],
    );
}

#[test]
fn other_types_are_left_to_burn() {
    let x = random([4, 8]).inner().cast(burn::tensor::DType::F64);
    assert!(super::gelu(&x).is_none());
}

/// A map that windows cut into, or none; each with both kinds of bias.
fn assert_map_attention_agrees(n: usize, [height, width]: [usize; 2], heads: usize, window: Option<usize>) {
    let head_width = 8;
    let random = |shape: [usize; 3]| Tensor::<Flex, 3>::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice);
    let channels = heads * head_width;
    let qkv = random([n, height * width, 3 * channels]).reshape([n, height, width, 3 * channels]);
    let padding = random([1, 1, 3 * channels]).reshape([3 * channels]);
    let [rows, columns] = window.map_or([height, width], |side| [side, side]);
    let decomposed = PairBias::Decomposed {
        rows: random([rows, rows, head_width]),
        columns: random([columns, columns, head_width]),
    };
    let table = PairBias::Table(random([heads, rows * columns, rows * columns]));
    for (order, bias) in [(QkvOrder::PartsThenHeads, decomposed), (QkvOrder::HeadsThenParts, table)] {
        let attention = MapAttention { heads, window, order };
        let found = super::map_attention(&attention, &qkv, &padding, &bias).expect("flex");
        let expected = attention.composed(qkv.clone(), padding.clone(), &bias);
        let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-4);
        found.into_data().assert_approx_eq(&expected.into_data(), tolerance);
    }
}

#[test]
fn attention_over_more_keys_than_a_tile_agrees() {
    assert_map_attention_agrees(1, [37, 41], 2, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attention_within_windows_agrees(
        n in 1..3_usize,
        size in [1..20_usize, 1..20_usize],
        heads in 1..4_usize,
        window in prop::option::of(1..9_usize),
    ) {
        assert_map_attention_agrees(n, size, heads, window);
    }
}

#[test]
fn affine_maps_with_gelu_agree() {
    let (x, weight, bias) = (random([2, 530, 24]).inner(), random([24, 40]).inner(), random([40]).inner());
    let found = super::affine_gelu(&x, &weight, &bias.clone().unsqueeze()).expect("flex");
    let expected = activation::gelu(x.matmul(weight.unsqueeze()) + bias.unsqueeze());
    assert_near(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn depthwise_convolutions_agree(
        n in 1..3_usize,
        size in [1..14_usize, 1..14_usize],
        channels in 1..70_usize,
        side in prop::sample::select(vec![1_usize, 3, 5]),
        stride in 1..3_usize,
    ) {
        let maps = random([n, size[0], size[1], channels]).inner();
        let (weight, bias) = (random([side * side, channels]).inner(), random([channels]).inner());
        let found = super::depthwise(&maps, &weight, &bias, stride).expect("flex");
        // Under autodiff, burn's own operations.
        let tracked = Tensor::<B, 4>::from_inner(maps);
        let (weight, bias) = (Tensor::from_inner(weight), Tensor::from_inner(bias));
        let expected = super::super::depthwise(tracked, weight, bias, stride).inner();
        let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-4);
        found.into_data().assert_approx_eq(&expected.into_data(), tolerance);
    }
}

#[test]
fn map_attention_under_autodiff_is_left_to_burn() {
    let (qkv, padding) = (random([1, 4, 4, 12]), random([12]));
    let bias = PairBias::Table(random([1, 16, 16]));
    let attention = MapAttention { heads: 1, window: None, order: QkvOrder::PartsThenHeads };
    assert!(super::map_attention(&attention, &qkv, &padding, &bias).is_none());
    assert_eq!(attention.forward(qkv, padding, &bias).dims(), [1, 4, 4, 4]);
}

#[test]
fn affine_maps_onto_something_agree() {
    let [x, onto] = [random([2, 530, 24]).inner(), random([2, 530, 40]).inner()];
    let (weight, bias) = (random([24, 40]).inner(), random([40]).inner());
    let found = super::affine_onto(&x, &weight, &bias, &onto).expect("flex");
    assert_near(found, onto + x.matmul(weight.unsqueeze()) + bias.unsqueeze());
}

fn assert_near<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    found.into_data().assert_approx_eq(&expected.into_data(), burn::tensor::Tolerance::<f32>::absolute(1e-4));
}

#[test]
fn perceptrons_agree_with_their_parts() {
    let norm = LayerNormConfig::new(24).init::<Flex>(&FlexDevice);
    let linear = |input: usize, output: usize| LinearConfig::new(input, output).init::<Flex>(&FlexDevice);
    let (first, second, x) = (linear(24, 96), linear(96, 24), random([2, 530, 24]).inner());
    let parts = second.forward(activation::gelu(first.forward(norm.forward(x.clone()))));
    assert_near(perceptron(&norm, 1e-5, [&first, &second], x.clone()), x + parts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bottlenecks_agree(
        n in 1..3_usize,
        size in [1..30_usize, 1..14_usize],
        channels in 1..9_usize,
        wide in 1..150_usize,
        stride in 1..3_usize,
    ) {
        let maps = random([n, size[0], size[1], channels]);
        let layers = Bottleneck {
            widen: (random([channels, wide]), random([wide])),
            convolve: (random([9, wide]), random([wide])),
            narrow: (random([wide, channels]) / wide as f64, random([channels])),
            stride,
            returns: stride == 1,
        };
        // Under autodiff, burn's own operations.
        let expected = layers.forward(maps.clone()).inner();
        let inner = |(weight, bias): (Tensor<B, 2>, Tensor<B, 1>)| (weight.inner(), bias.inner());
        let Bottleneck { widen, convolve, narrow, stride, returns } = layers;
        let layers = Bottleneck {
            widen: inner(widen),
            convolve: inner(convolve),
            narrow: inner(narrow),
            stride,
            returns,
        };
        assert_near(super::bottleneck(&layers, &maps.inner()).expect("flex"), expected);
    }
}

/// Near, and not the same: products were rounded, where this processor has products of rounded factors.
fn assert_rounded<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    let spread = expected.clone().abs().max().into_scalar();
    let off = (found - expected).abs().max().into_scalar() / spread;
    // A unit in the last place of bf16 is 2^-8.
    assert!(off < 0.02, "{off} of the largest value");
    assert!(off > 1e-5 || !super::bf16::is_available(), "nothing was rounded");
}

fn narrow<const D: usize>(tensor: &Tensor<Flex, D>) -> Tensor<Flex, D> {
    tensor.clone().cast(DType::BF16)
}

#[test]
fn products_with_matrices_of_bf16_are_near_those_with_f32() {
    let (x, weight, bias) = (random([2, 530, 24]).inner(), random([24, 40]).inner(), random([40]).inner());
    let (rounded, offset) = (narrow(&weight), bias.clone().unsqueeze());
    let full = super::affine(&x, &weight, &offset).expect("flex");
    assert_rounded(super::affine(&x, &rounded, &offset).expect("flex"), full.clone());
    let lying = narrow(&weight.transpose()).transpose();
    assert_rounded(super::affine(&x, &lying, &offset).expect("flex"), full.clone());
    let activated = super::affine_gelu(&x, &rounded, &offset).expect("flex");
    assert_rounded(activated, activation::gelu(full.clone()));
    let onto = random([2, 530, 40]).inner();
    assert_rounded(super::affine_onto(&x, &rounded, &bias, &onto).expect("flex"), onto + full);
}

#[test]
fn perceptrons_with_matrices_of_bf16_are_near_those_with_f32() {
    let norm = LayerNormConfig::new(24).init::<Flex>(&FlexDevice);
    let linear = |input: usize, output: usize| LinearConfig::new(input, output).init::<Flex>(&FlexDevice);
    let (mut layers, x) = ([linear(24, 96), linear(96, 24)], random([2, 530, 24]).inner());
    let full = perceptron(&norm, 1e-5, [&layers[0], &layers[1]], x.clone());
    for layer in &mut layers {
        layer.weight = Param::from_tensor(narrow(&layer.weight.val()));
    }
    assert_rounded(perceptron(&norm, 1e-5, [&layers[0], &layers[1]], x), full);
}

#[test]
fn attention_with_a_bias_of_bf16_is_near_that_with_f32() {
    for (size, window) in [([37, 41], None), ([11, 17], Some(7))] {
        let random = |shape: [usize; 3]| Tensor::<Flex, 3>::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice);
        let (heads, width, [rows, columns]) = (2, 8, window.map_or(size, |side| [side; 2]));
        let channels = 3 * heads * width;
        let qkv = random([1, size[0] * size[1], channels]).reshape([1, size[0], size[1], channels]);
        let padding = random([1, 1, channels]).reshape([channels]);
        let biases = [
            PairBias::Decomposed { rows: random([rows, rows, width]), columns: random([columns, columns, width]) },
            PairBias::Table(random([heads, rows * columns, rows * columns])),
        ];
        for bias in biases {
            let attention = MapAttention { heads, window, order: QkvOrder::PartsThenHeads };
            let answer = |bias| super::map_attention(&attention, &qkv, &padding, bias).expect("flex");
            let rounded = bias.cast(DType::BF16);
            assert_rounded(answer(&rounded), answer(&bias));
            // Burn's own operations bring the bias to the precision of all else.
            assert_rounded(attention.composed(qkv.clone(), padding.clone(), &rounded), answer(&bias));
        }
    }
}

/// Other tests may run at the same time; they then show the same.
#[test]
fn kernels_agree_on_a_processor_without_vectors() {
    WITHOUT_VECTORS.store(true, Ordering::Relaxed);
    gelu_agrees();
    layer_norm_agrees();
    affine_agrees_on_weights_in_either_order();
    affine_maps_with_gelu_agree();
    affine_maps_onto_something_agree();
    perceptrons_agree_with_their_parts();
    bottlenecks_agree();
    depthwise_convolutions_agree();
    sums_with_what_all_samples_or_all_pixels_share_agree();
    attention_of_few_queries_agrees();
    attention_of_many_queries_agrees();
    attention_over_more_keys_than_a_tile_agrees();
    attention_within_windows_agrees();
    upscaling_agrees_with_its_parts();
    WITHOUT_VECTORS.store(false, Ordering::Relaxed);
}
