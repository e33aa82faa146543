//! Compares the compositions of burn's operations with the kernels of sam-flex.

use burn::{
    nn::{LayerNormConfig, LinearConfig},
    tensor::{DType, Distribution, Tensor, Tolerance, activation},
};
use burn_flex::{Flex, FlexDevice};
use burn_ndarray::NdArray;

use super::{
    Bottleneck, MapAttention, PairBias, QkvOrder, Upscaling,
    attention::{attend_from_few, attend_to_few},
    perceptron,
};

fn random<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice)
}

fn assert_near<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    found.into_data().assert_approx_eq(&expected.into_data(), Tolerance::<f32>::absolute(1e-4));
}

/// The tensor on a backend without kernels.
fn elsewhere<const D: usize>(tensor: &Tensor<Flex, D>) -> Tensor<NdArray, D> {
    Tensor::from_data(tensor.clone().into_data(), &burn_ndarray::NdArrayDevice::default())
}

fn back<const D: usize>(tensor: Tensor<NdArray, D>) -> Tensor<Flex, D> {
    Tensor::from_data(tensor.into_data(), &FlexDevice)
}

#[test]
fn attention_between_few_and_many_is_composed_in_two_ways() {
    let (tokens, pixels) = (random([2, 7, 32]), random([2, 1300, 32]));
    let scaled = |query: &Tensor<Flex, 3>| query.clone() / 8_f64.sqrt();
    let found = sam_flex::attention(&tokens, &pixels, &pixels, 4).expect("flex");
    assert_near(found, attend_from_few(scaled(&tokens), pixels.clone(), pixels.clone(), 4));
    let found = sam_flex::attention(&pixels, &tokens, &tokens, 4).expect("flex");
    assert_near(found, attend_to_few(scaled(&pixels), tokens.clone(), tokens, 4));
}

#[test]
fn attention_of_maps_is_composed() {
    for ([height, width], window) in [([11, 17], Some(7)), ([6, 5], None)] {
        let (heads, head_width, [rows, columns]) = (2, 8, window.map_or([height, width], |side| [side; 2]));
        let (qkv, padding) = (random([2, height, width, 3 * heads * head_width]), random([3 * heads * head_width]));
        let decomposed = PairBias::Decomposed {
            rows: random([rows, rows, head_width]),
            columns: random([columns, columns, head_width]),
        };
        let table = PairBias::Table(random([heads, rows * columns, rows * columns]));
        for (order, bias) in [(QkvOrder::PartsThenHeads, decomposed), (QkvOrder::HeadsThenParts, table)] {
            let attention = MapAttention { heads, window, order };
            let composed = attention.composed(qkv.clone(), padding.clone(), &bias);
            assert_near(attention.forward(qkv.clone(), padding.clone(), &bias), composed.clone());
            // burn's own operations need the bias in the same precision as the other inputs.
            let narrow = attention.composed(qkv.clone(), padding.clone(), &bias.cast(DType::BF16));
            let off = (narrow - composed).abs().max().into_scalar();
            assert!(off > 1e-5 && off < 0.2, "{off}");
        }
    }
}

#[test]
fn perceptrons_are_composed() {
    let norm = LayerNormConfig::new(24).init::<Flex>(&FlexDevice);
    let linear = |input: usize, output: usize| LinearConfig::new(input, output).init::<Flex>(&FlexDevice);
    let (first, second, x) = (linear(24, 96), linear(96, 24), random([2, 530, 24]));
    let parts = second.forward(activation::gelu(first.forward(norm.forward(x.clone()))));
    assert_near(perceptron(&norm, 1e-5, [&first, &second], x.clone()), x + parts);
}

#[test]
fn bottlenecks_are_composed() {
    for stride in [1, 2] {
        let maps = random([2, 13, 9, 6]);
        let layers = Bottleneck {
            widen: (random([6, 70]), random([70])),
            convolve: (random([9, 70]), random([70])),
            narrow: (random([70, 6]) / 70.0, random([6])),
            stride,
            returns: stride == 1,
        };
        let pair = |(weight, bias): &(Tensor<Flex, 2>, Tensor<Flex, 1>)| (elsewhere(weight), elsewhere(bias));
        let composed = Bottleneck {
            widen: pair(&layers.widen),
            convolve: pair(&layers.convolve),
            narrow: pair(&layers.narrow),
            stride,
            returns: layers.returns,
        };
        assert_near(layers.forward(maps.clone()), back(composed.forward(elsewhere(&maps))));
    }
}

#[test]
fn upscaling_is_composed() {
    let layers = Upscaling {
        first_weight: random([24, 4 * 12]),
        first_bias: random([4 * 12]),
        scale: random([12]),
        offset: random([12]),
        second_weight: random([12, 4 * 6]),
        second_bias: random([4 * 6]),
    };
    let (pixels, masks) = (random([2, 150, 24]), random([2, 3, 6]));
    let composed = layers.forward(pixels.clone()).matmul(masks.clone().transpose());
    assert_near(layers.masks(pixels, masks), composed);
}
