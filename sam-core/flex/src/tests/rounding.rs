//! Compares products in bf16 with products of factors rounded beforehand, so that a kernel that does not round fails.

use burn::{
    module::Param,
    nn::{LayerNormConfig, Linear, LinearConfig},
    tensor::{DType, Tensor, TensorData, activation, bf16},
};
use burn_flex::{Flex, FlexDevice};

use super::{attention::map_inputs, random};
use crate::{MapAttention, QkvOrder};

/// The largest deviation, divided by the largest expected value.
fn deviation<const D: usize>(found: &Tensor<Flex, D>, expected: &Tensor<Flex, D>) -> f32 {
    let off = (found.clone() - expected.clone()).abs().max().into_scalar();
    off / expected.clone().abs().max().into_scalar()
}

/// Asserts equality with the product of rounded factors, up to the order of the sums in f32.
fn assert_equal<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    let off = deviation(&found, &expected);
    assert!(off < 1e-6, "{off} of the largest value");
}

/// Asserts that a result is close to that of f32 but not equal, so factors were rounded. A unit in the last place of bf16 is 2^-8.
fn assert_rounded<const D: usize>(found: Tensor<Flex, D>, full: Tensor<Flex, D>) {
    let off = deviation(&found, &full);
    assert!(off < 0.02, "{off} of the largest value");
    assert!(off > 1e-5, "nothing was rounded: {off} of the largest value");
}

pub(super) fn narrow<const D: usize>(tensor: &Tensor<Flex, D>) -> Tensor<Flex, D> {
    tensor.clone().cast(DType::BF16)
}

/// Rounds to the nearest bf16 value and converts back to f32.
///
/// [`narrow`] is not used here: burn-flex 0.21 casts via f64, and half 2.7 ignores the last 32 bits of an f64. So a value just above the
/// middle of two neighbours counts as the middle. This rounds about one of 25,000 random values in the wrong direction, an error of 9e-4 of
/// the largest product.
fn rounded<const D: usize>(tensor: &Tensor<Flex, D>) -> Tensor<Flex, D> {
    let values: Vec<f32> = tensor.to_data().iter().map(|value: f32| bf16::from_f32(value).to_f32()).collect();
    Tensor::from_data(TensorData::new(values, tensor.shape()), &FlexDevice)
}

/// Tests always have an implementation: at least the plain loops.
#[test]
fn products_in_bf16_are_tested_on_every_processor() {
    assert!(crate::bf16::is_available());
}

#[test]
fn products_with_matrices_of_bf16_are_those_of_rounded_factors() {
    let (x, weight, bias) = (random([2, 530, 24]).inner(), random([24, 40]).inner(), random([40]).inner());
    let (narrowed, offset) = (narrow(&weight), bias.clone().unsqueeze());
    let expected = rounded(&x).matmul(narrowed.clone().cast(DType::F32).unsqueeze()) + offset.clone();
    let full = crate::affine(&x, &weight, &offset).expect("flex");
    let found = crate::affine(&x, &narrowed, &offset).expect("flex");
    assert_rounded(found.clone(), full);
    assert_equal(found, expected.clone());
    let lying = narrow(&weight.transpose()).transpose();
    assert_equal(crate::affine(&x, &lying, &offset).expect("flex"), expected.clone());
    let activated = crate::affine_gelu(&x, &narrowed, &offset).expect("flex");
    assert_equal(activated, activation::gelu(expected.clone()));
    let onto = random([2, 530, 40]).inner();
    assert_equal(crate::affine_onto(&x, &narrowed, &bias, &onto).expect("flex"), onto + expected);
}

#[test]
fn perceptrons_with_matrices_of_bf16_round_both_products() {
    let norm = LayerNormConfig::new(24).init::<Flex>(&FlexDevice);
    let linear = |input: usize, output: usize| LinearConfig::new(input, output).init::<Flex>(&FlexDevice);
    let (mut layers, x) = ([linear(24, 96), linear(96, 24)], random([2, 530, 24]).inner());
    let bias = |layer: &Linear<Flex>| layer.bias.as_ref().expect("it has one").val();
    let scales = [norm.gamma.val(), norm.beta.as_ref().expect("it has one").val()];
    let forward = |[first, second]: &[Linear<Flex>; 2]| {
        let (weights, biases) = ([first.weight.val(), second.weight.val()], [bias(first), bias(second)]);
        let layers = [(&weights[0], &biases[0]), (&weights[1], &biases[1])];
        crate::perceptron(&x, scales.each_ref(), 1e-5, layers).expect("flex")
    };
    let full = forward(&layers);
    for index in 0..2 {
        let whole = layers[index].weight.clone();
        layers[index].weight = Param::from_tensor(narrow(&whole.val()));
        assert_rounded(forward(&layers), full.clone());
        layers[index].weight = whole;
    }
}

#[test]
fn attention_with_a_bias_of_bf16_is_rounded() {
    for (size, window) in [([37, 41], None), ([11, 17], Some(7))] {
        let (qkv, padding, (decomposed, table)) = map_inputs(1, size, 2, window);
        for bias in [decomposed, table] {
            let attention = MapAttention { heads: 2, window, order: QkvOrder::PartsThenHeads };
            let narrowed = bias.narrow();
            let found = crate::map_attention(&attention, &qkv, &padding, &narrowed.borrowed()).expect("flex");
            let full = crate::map_attention(&attention, &qkv, &padding, &bias.borrowed()).expect("flex");
            assert_rounded(found, full);
        }
    }
}
