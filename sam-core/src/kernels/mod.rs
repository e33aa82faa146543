//! The expensive operations; each is one pass over memory where the backend supports it.
//!
//! Every function here is generic over the backend and composed of burn's operations. With the feature `flex`, tensors of `burn_flex::Flex`
//! go to the kernels of sam-flex instead, and with `autodiff` tensors of `Autodiff<Flex>` too. The reason is speed: burn-flex passes over
//! memory once for each element-wise operation, on one core, and has no vectorised `exp`. So everything around the matrix products takes
//! longer than the products. The operations of image encoders have no custom backward pass, because the encoder is always frozen; under
//! `Autodiff` they use burn's operations. Results match burn's to about 1e-6 relative; the tests compare them.

/// Returns the output of a sam-flex kernel if there is one for the backend and the element type. Does nothing without the feature `flex`.
macro_rules! try_kernel {
    ($output:expr) => {
        #[cfg(feature = "flex")]
        if let Some(output) = $output {
            return output;
        }
    };
}

mod attention;
mod blocks;
mod map_attention;
#[cfg(all(test, feature = "flex"))]
mod tests;

use burn::{
    nn::{LayerNorm, Linear},
    tensor::{Tensor, activation, backend::Backend},
};
use sam_prompt::LayerNorm2d;

pub(crate) use attention::attention;
pub(crate) use blocks::{Bottleneck, Upscaling, depthwise, perceptron};
pub(crate) use map_attention::{MapAttention, PairBias, QkvOrder};

/// Whether the backend's kernels multiply by bf16 matrices while everything else stays in f32.
#[cfg_attr(not(feature = "flex"), expect(clippy::extra_unused_type_parameters, reason = "no backend has any"))]
pub(crate) fn multiply_in_bf16<B: Backend>() -> bool {
    #[cfg(feature = "flex")]
    let found = sam_flex::multiplies_in_bf16::<B>();
    #[cfg(not(feature = "flex"))]
    let found = false;
    found
}

/// `x W + b` over the last axis.
///
/// # Shapes
/// - x: `[..., input]`; output: `[..., output]`
pub(crate) fn linear<B: Backend, const D: usize>(layer: &Linear<B>, x: Tensor<B, D>) -> Tensor<B, D> {
    match &layer.bias {
        Some(bias) => affine(x, layer.weight.val(), bias.val().unsqueeze()),
        None => product(x, layer.weight.val()),
    }
}

/// `x W` over the last axis; the weight is cast to the precision of `x`.
fn product<B: Backend, const D: usize>(x: Tensor<B, D>, weight: Tensor<B, 2>) -> Tensor<B, D> {
    let weight = weight.cast(x.dtype());
    x.matmul(weight.unsqueeze())
}

/// `x W + b` over the last axis, with a bias that may differ by row.
///
/// - x: `[..., input]`; weight: `[input, output]`; bias: 1 or the output's length along each axis except the last (with more than three
///   axes, 1 along all of them); output: `[..., output]`
pub(crate) fn affine<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, D>,
) -> Tensor<B, D> {
    try_kernel!(sam_flex::affine(&x, &weight, &bias));
    product(x, weight) + bias
}

/// GELU of `x W + b`, with the same bias for all rows.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: `[output]`; output: `[..., output]`
pub(crate) fn affine_gelu<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, D> {
    let bias = bias.unsqueeze();
    try_kernel!(sam_flex::affine_gelu(&x, &weight, &bias));
    gelu(affine(x, weight, bias))
}

/// GELU of [`linear`].
pub(crate) fn linear_gelu<B: Backend, const D: usize>(layer: &Linear<B>, x: Tensor<B, D>) -> Tensor<B, D> {
    match &layer.bias {
        Some(bias) => affine_gelu(x, layer.weight.val(), bias.val()),
        None => gelu(linear(layer, x)),
    }
}

/// `onto` plus [`linear`].
///
/// # Shapes
/// - x: `[..., input]`; onto and output: `[..., output]`
pub(crate) fn linear_onto<B: Backend, const D: usize>(
    layer: &Linear<B>,
    x: Tensor<B, D>,
    onto: Tensor<B, D>,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(bias) = &layer.bias {
        try_kernel!(sam_flex::affine_onto(&x, &layer.weight.val(), &bias.val(), &onto));
    }
    onto + linear(layer, x)
}

/// The sum of two maps; each may have length 1 along any axis except the last.
///
/// # Shapes
/// - left, right and output: `[n, pixels, channels]`
pub(crate) fn add<B: Backend>(left: Tensor<B, 3>, right: Tensor<B, 3>) -> Tensor<B, 3> {
    try_kernel!(sam_flex::add(&left, &right));
    left + right
}

/// The sum of two maps of the same size.
///
/// # Shapes
/// - left, right and output: `[n, h, w, channels]`
pub(crate) fn add_maps<B: Backend>(left: Tensor<B, 4>, right: Tensor<B, 4>) -> Tensor<B, 4> {
    let shape = left.dims();
    add(left.flatten(1, 2), right.flatten(1, 2)).reshape(shape)
}

/// Layer normalisation over the last axis. `epsilon` must be that of the layer, which burn keeps private.
///
/// # Shapes
/// - x and output: `[..., channels]`
#[cfg_attr(
    not(feature = "flex"),
    expect(unused_variables, reason = "the layer has its epsilon; the kernel is given it")
)]
pub(crate) fn layer_norm<B: Backend, const D: usize>(
    layer: &LayerNorm<B>,
    epsilon: f64,
    x: Tensor<B, D>,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(offset) = &layer.beta {
        try_kernel!(sam_flex::layer_norm(&x, &layer.gamma.val(), &offset.val(), epsilon));
    }
    layer.forward(x)
}

/// [`LayerNorm2d`] of maps with contiguous channels.
///
/// # Shapes
/// - maps and output: `[n, h, w, channels]`
pub(crate) fn layer_norm_2d<B: Backend>(layer: &LayerNorm2d<B>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
    normalise(maps, layer.weight.val(), layer.bias.val(), LayerNorm2d::<B>::EPSILON)
}

pub(super) fn normalise<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    scale: Tensor<B, 1>,
    offset: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, D> {
    try_kernel!(sam_flex::layer_norm(&x, &scale, &offset, epsilon));
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * scale.unsqueeze() + offset.unsqueeze()
}

/// Exact GELU, with the error function.
pub(crate) fn gelu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    try_kernel!(sam_flex::gelu(&x));
    activation::gelu(x)
}
