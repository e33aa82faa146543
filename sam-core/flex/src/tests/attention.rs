//! Compares attention with burn's operations, and attention of maps with loops in `f64`.

use burn::tensor::{Distribution, Tensor, activation::softmax, backend::Backend};
use burn_flex::{Flex, FlexDevice};
use proptest::prelude::*;

use super::{assert_agree, random};
use crate::{MapAttention, PairBias, QkvOrder};

/// Reference attention, head by head; shared samples are broadcast by the products.
fn reference<B: Backend>(inputs: [&Tensor<B, 3>; 3], heads: usize) -> Tensor<B, 3> {
    let [query, key, value] = inputs.map(|input| {
        let [n, count, channels] = input.dims();
        input.clone().reshape([n, count, heads, channels / heads]).swap_dims(1, 2)
    });
    let width = query.dims()[3];
    let attended = softmax((query / (width as f64).sqrt()).matmul(key.transpose()), 3).matmul(value);
    let [n, _, count, _] = attended.dims();
    attended.swap_dims(1, 2).reshape([n, count, heads * width])
}

#[test]
pub(super) fn attention_of_few_queries_agrees() {
    let (query, key, value) = (random([2, 7, 32]), random([2, 1300, 32]), random([2, 1300, 32]));
    let expected = reference([&query, &key, &value], 4);
    let found = crate::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query, &key, &value]);
}

#[test]
pub(super) fn attention_of_many_queries_agrees() {
    let (query, key, value) = (random([2, 1300, 32]), random([2, 7, 32]), random([2, 7, 32]));
    let expected = reference([&query, &key, &value], 4);
    let found = crate::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query, &key, &value]);
}

#[test]
pub(super) fn attention_to_an_image_that_all_samples_share_agrees() {
    let (tokens, image, values) = (random([3, 7, 32]), random([1, 1300, 32]), random([1, 1300, 32]));
    let expected = reference([&tokens, &image, &values], 4);
    let found = crate::attention(&tokens, &image, &values, 4).expect("flex");
    assert_agree(found, expected, &[&tokens, &image, &values]);

    let (image, keys, values) = (random([1, 1300, 32]), random([3, 7, 32]), random([3, 7, 32]));
    let expected = reference([&image, &keys, &values], 4);
    let found = crate::attention(&image, &keys, &values, 4).expect("flex");
    assert_agree(found, expected, &[&image, &keys, &values]);
}

#[test]
pub(super) fn inputs_without_gradient_are_left_alone() {
    let (query, key, value) = (random([2, 7, 32]), random([2, 1300, 32]).detach(), random([2, 1300, 32]).detach());
    let expected = reference([&query, &key, &value], 4);
    let found = crate::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&query]);

    let (query, key, value) = (random([2, 1300, 32]).detach(), random([2, 7, 32]), random([2, 7, 32]));
    let expected = reference([&query, &key, &value], 4);
    let found = crate::attention(&query, &key, &value, 4).expect("flex");
    assert_agree(found, expected, &[&key, &value]);
}

/// A position bias with its tensors.
pub(super) enum Bias {
    Decomposed(Tensor<Flex, 3>, Tensor<Flex, 3>),
    Table(Tensor<Flex, 3>),
}

impl Bias {
    pub(super) fn borrowed(&self) -> PairBias<'_, Flex> {
        match self {
            Self::Decomposed(rows, columns) => PairBias::Decomposed { rows, columns },
            Self::Table(table) => PairBias::Table(table),
        }
    }

    pub(super) fn narrow(&self) -> Self {
        match self {
            Self::Decomposed(rows, columns) => {
                Self::Decomposed(super::rounding::narrow(rows), super::rounding::narrow(columns))
            }
            Self::Table(table) => Self::Table(super::rounding::narrow(table)),
        }
    }
}

/// Number of channels of a head.
const WIDTH: usize = 8;

/// Random inputs: queries, keys and values of a map; those of a padded pixel; a decomposed bias and a table bias.
pub(super) fn map_inputs(
    n: usize,
    [height, width]: [usize; 2],
    heads: usize,
    window: Option<usize>,
) -> (Tensor<Flex, 4>, Tensor<Flex, 1>, (Bias, Bias)) {
    let random = |shape: [usize; 3]| Tensor::<Flex, 3>::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice);
    let channels = 3 * heads * WIDTH;
    let qkv = random([n, height * width, channels]).reshape([n, height, width, channels]);
    let padding = random([1, 1, channels]).reshape([channels]);
    let [rows, columns] = window.map_or([height, width], |side| [side, side]);
    let decomposed = Bias::Decomposed(random([rows, rows, WIDTH]), random([columns, columns, WIDTH]));
    (qkv, padding, (decomposed, Bias::Table(random([heads, rows * columns, rows * columns]))))
}

fn values<const D: usize>(tensor: &Tensor<Flex, D>) -> Vec<f32> {
    tensor.clone().into_data().to_vec().expect("values of f32")
}

fn assert_values(found: Tensor<Flex, 4>, expected: &[f64]) {
    let found = values(&found);
    assert_eq!(found.len(), expected.len());
    for (place, (&found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(found) - expected).abs() < 1e-4, "value {place}: {found}, not {expected}");
    }
}

/// Reference attention of each pixel to all pixels of its window, with plain loops.
fn naive_map_attention(
    attention: &MapAttention,
    qkv: &Tensor<Flex, 4>,
    padding: &Tensor<Flex, 1>,
    bias: &Bias,
) -> Vec<f64> {
    let ([n, height, width, _], heads) = (qkv.dims(), attention.heads);
    let (qkv, padding) = (values(qkv), values(padding));
    let [lines, line] = attention.window.map_or([height, width], |side| [side, side]);
    let vector = |part: usize, head: usize, sample: usize, [row, column]: [usize; 2]| {
        let first = match attention.order {
            QkvOrder::PartsThenHeads => (part * heads + head) * WIDTH,
            QkvOrder::HeadsThenParts => (head * 3 + part) * WIDTH,
        };
        let inside = row < height && column < width;
        let source =
            if inside { &qkv[((sample * height + row) * width + column) * padding.len()..] } else { &padding[..] };
        source[first..first + WIDTH].iter().map(|&value| f64::from(value)).collect::<Vec<_>>()
    };
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
    let bias = bias_of_pairs(bias, [lines, line]);
    let mut output = Vec::new();
    for place in 0..n * height * width * heads {
        let (head, pixel) = (place % heads, place / heads);
        let (sample, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        let query = vector(0, head, sample, [row, column]);
        let [top, left] = [row / lines * lines, column / line * line];
        let keys = (0..lines * line).map(|key| [top + key / line, left + key % line]);
        let scores: Vec<_> = keys
            .clone()
            .enumerate()
            .map(|(index, key)| {
                dot(&query, &vector(1, head, sample, key)) / (WIDTH as f64).sqrt()
                    + bias(head, &query, (row - top) * line + column - left, index)
            })
            .collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<_> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f64 = shares.iter().sum();
        let mut sums = [0.0; WIDTH];
        for (key, share) in keys.zip(shares) {
            let value = vector(2, head, sample, key);
            sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += value * share / total);
        }
        output.extend(sums);
    }
    output
}

/// The bias of a query and a key, from the head, the query, its position in the window and the key's position.
fn bias_of_pairs(bias: &Bias, [lines, line]: [usize; 2]) -> impl Fn(usize, &[f64], usize, usize) -> f64 {
    let (first, second) = match bias {
        Bias::Decomposed(rows, columns) => (values(rows), Some(values(columns))),
        Bias::Table(table) => (values(table), None),
    };
    move |head, query, from, to| {
        let Some(columns) = &second else { return f64::from(first[(head * lines * line + from) * lines * line + to]) };
        let dot = |table: &[f32], pair: usize| {
            table[pair * WIDTH..].iter().zip(query).map(|(&embedding, query)| f64::from(embedding) * query).sum::<f64>()
        };
        dot(&first, from / line * lines + to / line) + dot(columns, from % line * line + to % line)
    }
}

/// Asserts that the attention of a map agrees with the reference, for both kinds of bias.
fn assert_map_attention_agrees(n: usize, [height, width]: [usize; 2], heads: usize, window: Option<usize>) {
    let (qkv, padding, biases) = map_inputs(n, [height, width], heads, window);
    for (order, bias) in [(QkvOrder::PartsThenHeads, &biases.0), (QkvOrder::HeadsThenParts, &biases.1)] {
        let attention = MapAttention { heads, window, order };
        let found = crate::map_attention(&attention, &qkv, &padding, &bias.borrowed()).expect("flex");
        assert_values(found, &naive_map_attention(&attention, &qkv, &padding, bias));
    }
}

#[test]
pub(super) fn attention_over_more_keys_than_a_tile_agrees() {
    assert_map_attention_agrees(1, [37, 41], 2, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attention_within_windows(
        n in 1..3_usize,
        size in [1..20_usize, 1..20_usize],
        heads in 1..4_usize,
        window in prop::option::of(1..9_usize),
    ) {
        assert_map_attention_agrees(n, size, heads, window);
    }
}

#[test]
fn map_attention_has_no_kernel_under_autodiff() {
    let (qkv, padding) = (random([1, 4, 4, 12]), random([12]));
    let table = random([1, 16, 16]);
    let attention = MapAttention { heads: 1, window: None, order: QkvOrder::PartsThenHeads };
    assert!(crate::map_attention(&attention, &qkv, &padding, &PairBias::Table(&table)).is_none());
}

pub(super) fn attention_within_windows_agrees() {
    attention_within_windows();
}
