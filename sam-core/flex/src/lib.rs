#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! Kernels compute on plain `f32` slices, in parallel over rows with rayon. Where a weight or a bias is a tensor of `bf16`, the other
//! factor is rounded to `bf16` as well and the products are summed up in `f32`; all else stays `f32`. The module `record` takes the
//! slices out of the tensors and, under autodiff, puts the kernel into the graph.

#![expect(
    clippy::inline_always,
    reason = "what runs inside `vectorised` must be inlined to be compiled for its instructions"
)]
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

// Both are in the signatures.
pub use burn;
pub use burn_flex;

/// Rows that one task works through: enough to make it worth a task, few enough to stay in the second-level cache.
const BLOCK_ROWS: usize = 512;

/// Whether a backend's kernels multiply by matrices of `bf16` while all else stays in `f32`. True for `Flex` alone.
pub fn multiplies_in_bf16<B: Backend>() -> bool {
    TypeId::of::<B>() == TypeId::of::<Flex>()
}

/// `x W + b` over the last axis. `None` for another backend or element type.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: 1 or the output's length along each axis but the last,
///   with more than three axes 1 along all of them; output: `[..., output]`
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
/// - as of [`affine`]
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

/// `onto + x W + b`. `None` for another backend or element type, and under autodiff.
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

/// Layer norm, affine map, GELU, affine map, and `x` added: the second half of a transformer's block. `None` for another backend or
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

/// A convolution of each channel by itself, with zeros around the maps. `None` for another backend or element type, and under autodiff.
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

/// A block of a convolutional stage: each layer is a weight and a bias.
#[derive(Debug)]
pub struct Bottleneck<'a, B: Backend> {
    /// To the wide channels: `[input, wide]` and `[wide]`; GELU follows.
    pub widen: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// As in [`depthwise`]: `[side * side, wide]` and `[wide]`; GELU follows.
    pub convolve: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// To the output's channels: `[wide, output]` and `[output]`.
    pub narrow: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Of the convolution.
    pub stride: usize,
    /// Whether the maps are added to the output, and GELU follows.
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

/// The sum of two maps; either may be 1 along any axis but the last. `None` for another backend or element type.
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

/// GELU by the error function. `None` for another backend or element type.
pub fn gelu<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Option<Tensor<B, D>> {
    run(gelu::Gelu, [primitive(x)])
}

/// Scaled dot-product attention whose heads lie side by side in the channels. `None` for another backend or element type.
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

/// Self-attention of a map's pixels: its heads, its windows, and how queries, keys and values lie.
#[derive(Debug, Clone, Copy)]
pub struct MapAttention {
    /// Their number.
    pub heads: usize,
    /// Side of the windows that the map is cut into, padded at the bottom and right; none to attend over all of it.
    pub window: Option<usize>,
    /// How queries, keys and values lie in the channels.
    pub order: QkvOrder,
}

/// How queries, keys and values of all heads lie in the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkvOrder {
    /// `[3, heads, width]`: all heads' queries first.
    PartsThenHeads,
    /// `[heads, 3, width]`: all of the first head first.
    HeadsThenParts,
}

/// What the positions of two pixels in a window add to their score.
#[derive(Debug)]
pub enum PairBias<'a, B: Backend> {
    /// The product of the unscaled query and the embedding of the distance, for rows and for columns.
    Decomposed {
        /// From the query's row to the key's: `[h, h, width]`.
        rows: &'a Tensor<B, 3>,
        /// From the query's column to the key's: `[w, w, width]`.
        columns: &'a Tensor<B, 3>,
    },
    /// One value for each pair: `[heads, pixels, pixels]`.
    Table(&'a Tensor<B, 3>),
}

/// Self-attention of a map's pixels. `None` for another backend or element type, and under autodiff: image encoders are never trained.
///
/// With a bias of `bf16`, queries, keys, attention weights and values are rounded to that for the products, where the processor has
/// instructions for it.
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

/// Two doublings of an image's resolution, each pixel by itself: affine map to a block of 2 x 2 pixels, norm, GELU, affine map to
/// such blocks again, GELU.
#[derive(Debug)]
pub struct Upscaling<'a, B: Backend> {
    /// `[channels, 4 * middle]` and `[4 * middle]`.
    pub first: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
    /// Scale and offset: `[middle]` each.
    pub norm: (&'a Tensor<B, 1>, &'a Tensor<B, 1>),
    /// Added to the norm's variance.
    pub epsilon: f64,
    /// `[middle, 4 * last]` and `[4 * last]`.
    pub second: (&'a Tensor<B, 2>, &'a Tensor<B, 1>),
}

/// The product of what [`Upscaling`] makes of the pixels and each mask's weights. `None` for another backend or element type.
///
/// # Shapes
/// - pixels: `[n, pixels, channels]`; masks: `[n, masks, last]`; output: `[n, 16 * pixels, masks]`, blocks within blocks
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
