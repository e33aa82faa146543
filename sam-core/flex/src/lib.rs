#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! Kernels compute on plain `f32` slices, in parallel over rows with rayon. If a weight or a bias is a tensor of `bf16`, the other factor
//! is rounded to `bf16` too, and the products are summed in `f32`; everything else stays in `f32`. The module `record` extracts the slices
//! from the tensors and, under autodiff, registers the kernel in the graph.

#![expect(
    clippy::inline_always,
    reason = "what runs inside `vectorised` must be inlined to be compiled for its instructions"
)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

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

use std::any::TypeId;

use burn::tensor::{DType, Tensor, backend::Backend};
use burn_flex::Flex;

use record::{primitive, run, run_untracked};
use weight::Weight;

// Re-exported because the public signatures use them.
pub use burn;
pub use burn_flex;

/// Rows per task: enough to be worth a task, few enough to stay in the second-level cache.
const BLOCK_ROWS: usize = 512;

/// Whether a backend's kernels multiply by `bf16` matrices while everything else stays in `f32`. True for `Flex` only.
pub fn multiplies_in_bf16<B: Backend>() -> bool {
    TypeId::of::<B>() == TypeId::of::<Flex>()
}

/// Affine map `x W + b` over the last axis. `None` for another backend or element type.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: 1 or the output's length along each axis except the last (with more than three
///   axes, 1 along all of them); output: `[..., output]`
pub fn affine<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, D>,
) -> Option<Tensor<B, D>> {
    run(affine::Affine, [primitive(x), primitive(weight), primitive(bias)])
        .or_else(|| affine_then(x, weight, bias, |_| ()))
}

/// GELU of `x W + b`. `None` for another backend or element type, and under autodiff, where the gradient needs `x W + b` itself.
///
/// # Shapes
/// - as for [`affine`]
pub fn affine_gelu<B: Backend, const D: usize>(
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

/// Affine map added to a tensor: `onto + x W + b`. `None` for another backend or element type, and under autodiff.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: `[output]`; onto and output: `[..., output]`
pub fn affine_onto<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 1>,
    onto: &Tensor<B, D>,
) -> Option<Tensor<B, D>> {
    let weight = Weight::of(weight)?;
    run_untracked([primitive(x), primitive(bias), primitive(onto)], |inputs| affine::forward_onto(inputs, &weight))
}

/// The second half of a transformer block: layer norm, affine map, GELU, affine map, plus the residual `x`. `None` for another backend or
/// element type, and under autodiff.
///
/// # Shapes
/// - x and output: `[..., channels]`; scale and offset of the norm: `[channels]`; layers, each a weight and a bias:
///   `[channels, hidden]` and `[hidden]`, `[hidden, channels]` and `[channels]`
pub fn perceptron<B: Backend, const D: usize>(
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

/// A depthwise convolution with zero padding. `None` for another backend or element type, and under autodiff.
///
/// # Shapes
/// - maps: `[n, h, w, channels]`; weight: `[side * side, channels]`, an odd side; bias: `[channels]`; output: `[n, h / stride, w / stride,
///   channels]`, rounded up
pub fn depthwise<B: Backend>(
    maps: &Tensor<B, 4>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 1>,
    stride: usize,
) -> Option<Tensor<B, 4>> {
    run_untracked([primitive(maps), primitive(weight), primitive(bias)], |inputs| depthwise::forward(inputs, stride))
}

/// Layers of an inverted bottleneck block, each a weight and a bias.
#[derive(Debug)]
pub struct Bottleneck<'a, B: Backend> {
    /// Affine map to the wide channels: `[input, wide]` and `[wide]`; followed by GELU.
    pub widen: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Depthwise convolution as in [`depthwise`]: `[side * side, wide]` and `[wide]`; followed by GELU.
    pub convolve: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Affine map to the output's channels: `[wide, output]` and `[output]`.
    pub narrow: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Stride of the convolution.
    pub stride: usize,
    /// Whether the input is added to the output, followed by GELU.
    pub returns: bool,
}

/// Computes a [`Bottleneck`]. `None` for another backend or element type, and under autodiff.
///
/// # Shapes
/// - maps: `[n, h, w, input]`; output: `[n, h / stride, w / stride, output]`, rounded up
pub fn bottleneck<B: Backend>(layers: &Bottleneck<'_, B>, maps: &Tensor<B, 4>) -> Option<Tensor<B, 4>> {
    let Bottleneck { widen, convolve, narrow, stride, returns } = layers;
    let inputs = [
        primitive(maps),
        primitive(widen.0),
        primitive(widen.1),
        primitive(convolve.0),
        primitive(convolve.1),
        primitive(narrow.0),
        primitive(narrow.1),
    ];
    run_untracked(inputs, |inputs| bottleneck::forward(inputs, *stride, *returns))
}

/// The sum of two maps; each may have length 1 along any axis except the last. `None` for another backend or element type.
///
/// # Shapes
/// - left, right and output: `[n, pixels, channels]`
pub fn add<B: Backend>(left: &Tensor<B, 3>, right: &Tensor<B, 3>) -> Option<Tensor<B, 3>> {
    run(add::Add, [primitive(left), primitive(right)])
}

/// Layer normalisation over the last axis. `None` for another backend or element type.
///
/// # Shapes
/// - x and output: `[..., channels]`; scale and offset: `[channels]`
pub fn layer_norm<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    scale: &Tensor<B, 1>,
    offset: &Tensor<B, 1>,
    epsilon: f64,
) -> Option<Tensor<B, D>> {
    let kernel = norm::Norm { epsilon: epsilon as f32 };
    run(kernel, [primitive(x), primitive(scale), primitive(offset)])
}

/// Exact GELU, with the error function. `None` for another backend or element type.
pub fn gelu<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Option<Tensor<B, D>> {
    run(gelu::Gelu, [primitive(x)])
}

/// Scaled dot-product attention; the heads are contiguous in the channels. `None` for another backend or element type.
///
/// # Shapes
/// - query: `[n, queries, channels]`; key and value: `[n, keys, channels]`, where `n` may be 1 for one or two of them; output:
///   `[n, queries, channels]`
pub fn attention<B: Backend>(
    query: &Tensor<B, 3>,
    key: &Tensor<B, 3>,
    value: &Tensor<B, 3>,
    heads: usize,
) -> Option<Tensor<B, 3>> {
    run(attention::Attention { heads }, [primitive(query), primitive(key), primitive(value)])
}

/// Config of the self-attention of a map: heads, windows, and the order of queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub struct MapAttention {
    /// Number of heads.
    pub heads: usize,
    /// Side of the windows, padded at the bottom and right; `None` for attention over the whole map.
    pub window: Option<usize>,
    /// Order of queries, keys and values in the channels.
    pub order: QkvOrder,
}

/// Order of queries, keys and values of all heads in the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkvOrder {
    /// `[3, heads, width]`: the queries of all heads first.
    PartsThenHeads,
    /// `[heads, 3, width]`: queries, keys and values of the first head first.
    HeadsThenParts,
}

/// Position bias: a term added to the score of two pixels in a window, by their positions.
#[derive(Debug)]
pub enum PairBias<'a, B: Backend> {
    /// The product of the unscaled query and the embedding of the distance, for rows and for columns.
    Decomposed {
        /// From the query's row to the key's: `[h, h, width]`.
        rows: &'a Tensor<B, 3>,
        /// From the query's column to the key's: `[w, w, width]`.
        columns: &'a Tensor<B, 3>,
    },
    /// One value for each pair of pixels: `[heads, pixels, pixels]`.
    Table(&'a Tensor<B, 3>),
}

/// Self-attention between the pixels of a map. `None` for another backend or element type, and under autodiff, because image encoders are
/// never trained.
///
/// If the bias is `bf16` and the processor has instructions for it, queries, keys, attention weights and values are rounded to `bf16` for
/// the products.
///
/// # Shapes
/// - qkv: `[n, h, w, 3 * channels]`; padding: the value of a padded pixel, `[3 * channels]`; output: `[n, h, w, channels]`
pub fn map_attention<B: Backend>(
    attention: &MapAttention,
    qkv: &Tensor<B, 4>,
    padding: &Tensor<B, 1>,
    bias: &PairBias<'_, B>,
) -> Option<Tensor<B, 4>> {
    use map_attention::{Bias, forward};
    let (qkv, padding) = (primitive(qkv), primitive(padding));
    let (PairBias::Decomposed { rows: first, .. } | PairBias::Table(first)) = bias;
    let is_narrow = first.dtype() == DType::BF16;
    let rounded = is_narrow && bf16::is_available();
    let wide =
        |tensor: &Tensor<B, 3>| primitive(&if is_narrow { tensor.clone().cast(DType::F32) } else { tensor.clone() });
    match bias {
        PairBias::Decomposed { rows, columns } => {
            run_untracked([qkv, padding, wide(rows), wide(columns)], |[qkv, padding, rows, columns]| {
                let bias = Bias::Decomposed { rows: &rows.values(), columns: &columns.values() };
                forward(attention, qkv, padding, &bias, rounded)
            })
        }
        PairBias::Table(table) => run_untracked([qkv, padding, wide(table)], |[qkv, padding, table]| {
            forward(attention, qkv, padding, &Bias::Table(&table.values()), rounded)
        }),
    }
}

/// Layers of an upscaling to four times the resolution, each pixel by itself: affine map to a block of 2 x 2 pixels, norm, GELU, affine map
/// to a block of 2 x 2 pixels, GELU.
#[derive(Debug)]
pub struct Upscaling<'a, B: Backend> {
    /// Weight and bias of the first affine map: `[channels, 4 * middle]` and `[4 * middle]`.
    pub first: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Scale and offset of the norm: `[middle]` each.
    pub norm: (&'a Tensor<B, 1>, &'a Tensor<B, 1>),
    /// Epsilon of the norm.
    pub epsilon: f64,
    /// Weight and bias of the second affine map: `[middle, 4 * last]` and `[4 * last]`.
    pub second: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
}

/// The product of the output of [`Upscaling`] and each mask's weights. `None` for another backend or element type.
///
/// # Shapes
/// - pixels: `[n, pixels, channels]`; masks: `[n, masks, last]`; output: `[n, 16 * pixels, masks]`, in order of nested blocks
pub fn upscale<B: Backend>(
    layers: &Upscaling<'_, B>,
    pixels: &Tensor<B, 3>,
    masks: &Tensor<B, 3>,
) -> Option<Tensor<B, 3>> {
    let Upscaling { first, norm, epsilon, second } = layers;
    let kernel = upscale::Upscale { epsilon: *epsilon as f32 };
    let inputs = [
        primitive(pixels),
        primitive(first.0),
        primitive(first.1),
        primitive(norm.0),
        primitive(norm.1),
        primitive(second.0),
        primitive(second.1),
        primitive(masks),
    ];
    run(kernel, inputs)
}
