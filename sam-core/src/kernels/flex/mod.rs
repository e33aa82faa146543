//! Kernels for burn-flex: forwards and backwards what learning runs through, forwards alone what only image encoders need.
//!
//! Each kernel computes on plain `f32` slices, in parallel over rows with rayon and vectorised for whatever the processor has. Where a
//! weight or a bias is a tensor of `bf16`, what it is multiplied with is rounded to that as well ([`bf16`]); all else stays `f32`.
//! [`record`] is all that they share with burn: it takes the slices out of the tensors and, under autodiff, puts the kernel into
//! the graph.

#![expect(
    clippy::inline_always,
    reason = "what runs inside `vectorised` must be inlined to be compiled for its instructions"
)]

mod add;
mod affine;
mod attention;
mod bf16;
mod bottleneck;
mod depthwise;
mod fill;
mod gelu;
mod map_attention;
mod matrix;
mod norm;
mod perceptron;
mod record;
mod rows;
mod simd;
#[cfg(test)]
mod tests;
mod upscale;
mod weight;

use burn::tensor::{DType, Tensor, backend::Backend};

use super::{Bottleneck, MapAttention, PairBias};
use record::{primitive, run, run_untracked};
use weight::Weight;

/// Rows that one task works through: enough to make it worth a task, few enough to stay in the second-level cache.
const BLOCK_ROWS: usize = 512;

/// `x W + b`; none for another backend or type.
pub(super) fn affine<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, D>,
) -> Option<Tensor<B, D>> {
    run(affine::Affine, [primitive(x), primitive(weight), primitive(bias)])
        .or_else(|| affine_then(x, weight, bias, |_| ()))
}

/// `x W + b` and GELU; none for another backend or type, and under autodiff: learning has a use for what lies between.
pub(super) fn affine_gelu<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, D>,
) -> Option<Tensor<B, D>> {
    affine_then(x, weight, bias, gelu::activate)
}

fn affine_then<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, D>,
    finish: impl Fn(&mut [f32]) + Sync,
) -> Option<Tensor<B, D>> {
    let weight = Weight::of(weight)?;
    run_untracked([primitive(x), primitive(bias)], |[x, bias]| affine::forward([x, bias], &weight, finish))
}

/// `onto + x W + b`; none for another backend or type, and under autodiff.
pub(super) fn affine_onto<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 1>,
    onto: &Tensor<B, D>,
) -> Option<Tensor<B, D>> {
    let weight = Weight::of(weight)?;
    run_untracked([primitive(x), primitive(bias), primitive(onto)], |inputs| affine::forward_onto(inputs, &weight))
}

/// Norm, affine map, GELU, affine map, and what it all began with added; none for another backend or type, and under autodiff.
pub(super) fn perceptron<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    [scale, offset]: [&Tensor<B, 1>; 2],
    epsilon: f64,
    layers: [(&Tensor<B, 2>, &Tensor<B, 1>); 2],
) -> Option<Tensor<B, D>> {
    let [(first, first_bias), (second, second_bias)] = layers;
    let [first, second] = [Weight::of(first)?, Weight::of(second)?];
    let inputs = [primitive(x), primitive(scale), primitive(offset), primitive(first_bias), primitive(second_bias)];
    run_untracked(inputs, |inputs| perceptron::forward(inputs, epsilon as f32, [&first, &second]))
}

/// Convolution of each channel by itself; none for another backend or type, and under autodiff.
pub(super) fn depthwise<B: Backend>(
    maps: &Tensor<B, 4>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 1>,
    stride: usize,
) -> Option<Tensor<B, 4>> {
    run_untracked([primitive(maps), primitive(weight), primitive(bias)], |inputs| depthwise::forward(inputs, stride))
}

/// A bottleneck; none for another backend or type, and under autodiff.
pub(super) fn bottleneck<B: Backend>(layers: &Bottleneck<B>, maps: &Tensor<B, 4>) -> Option<Tensor<B, 4>> {
    let Bottleneck { widen, convolve, narrow, stride, returns } = layers;
    let inputs = [
        primitive(maps),
        primitive(&widen.0),
        primitive(&widen.1),
        primitive(&convolve.0),
        primitive(&convolve.1),
        primitive(&narrow.0),
        primitive(&narrow.1),
    ];
    run_untracked(inputs, |inputs| bottleneck::forward(inputs, *stride, *returns))
}

/// The sum of two maps; none for another backend or type.
pub(super) fn add<B: Backend>(left: &Tensor<B, 3>, right: &Tensor<B, 3>) -> Option<Tensor<B, 3>> {
    run(add::Add, [primitive(left), primitive(right)])
}

/// Layer normalisation over the last axis; none for another backend or type.
pub(super) fn layer_norm<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    scale: &Tensor<B, 1>,
    offset: &Tensor<B, 1>,
    epsilon: f64,
) -> Option<Tensor<B, D>> {
    let kernel = norm::Norm { epsilon: epsilon as f32 };
    run(kernel, [primitive(x), primitive(scale), primitive(offset)])
}

/// GELU; none for another backend or type.
pub(super) fn gelu<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Option<Tensor<B, D>> {
    run(gelu::Gelu, [primitive(x)])
}

/// Attention; none for another backend or type.
pub(super) fn attention<B: Backend>(
    query: &Tensor<B, 3>,
    key: &Tensor<B, 3>,
    value: &Tensor<B, 3>,
    heads: usize,
) -> Option<Tensor<B, 3>> {
    run(attention::Attention { heads }, [primitive(query), primitive(key), primitive(value)])
}

/// Self-attention of a map's pixels; none for another backend or type, and under autodiff: image encoders do not learn.
///
/// With a bias of bf16, queries, keys, shares and values are rounded to that for the products, where the processor has them.
pub(super) fn map_attention<B: Backend>(
    attention: &MapAttention,
    qkv: &Tensor<B, 4>,
    padding: &Tensor<B, 1>,
    bias: &PairBias<B>,
) -> Option<Tensor<B, 4>> {
    use map_attention::{Bias, forward};
    let (qkv, padding) = (primitive(qkv), primitive(padding));
    let rounded = bias.dtype() == DType::BF16 && bf16::is_available();
    let bias = if bias.dtype() == DType::BF16 { &bias.cast(DType::F32) } else { bias };
    match bias {
        PairBias::Decomposed { rows, columns } => {
            run_untracked([qkv, padding, primitive(rows), primitive(columns)], |[qkv, padding, rows, columns]| {
                let bias = Bias::Decomposed { rows: &rows.values(), columns: &columns.values() };
                forward(attention, qkv, padding, &bias, rounded)
            })
        }
        PairBias::Table(table) => run_untracked([qkv, padding, primitive(table)], |[qkv, padding, table]| {
            forward(attention, qkv, padding, &Bias::Table(&table.values()), rounded)
        }),
    }
}

/// The way from pixels to masks; none for another backend or type.
pub(super) fn upscale<B: Backend>(
    layers: &super::Upscaling<B>,
    pixels: &Tensor<B, 3>,
    masks: &Tensor<B, 3>,
    epsilon: f64,
) -> Option<Tensor<B, 3>> {
    let kernel = upscale::Upscale { epsilon: epsilon as f32 };
    let inputs = [
        primitive(pixels),
        primitive(&layers.first_weight),
        primitive(&layers.first_bias),
        primitive(&layers.scale),
        primitive(&layers.offset),
        primitive(&layers.second_weight),
        primitive(&layers.second_bias),
        primitive(masks),
    ];
    run(kernel, inputs)
}
