//! Whole blocks of a network: perceptron, bottleneck, and the mask decoder's upscaling.

use burn::{
    nn::{LayerNorm, Linear},
    tensor::{Tensor, backend::Backend, module::conv2d, ops::ConvOptions},
};
use sam_prompt::LayerNorm2d;

use super::{add_maps, affine, affine_gelu, gelu, layer_norm, linear_gelu, linear_onto, normalise};

/// The second half of a transformer block: a norm and two linear layers with GELU between them, plus the residual `x`.
///
/// # Shapes
/// - x and output: `[..., channels]`
pub(crate) fn perceptron<B: Backend, const D: usize>(
    norm: &LayerNorm<B>,
    epsilon: f64,
    [first, second]: [&Linear<B>; 2],
    x: Tensor<B, D>,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let (Some(offset), Some(first_bias), Some(second_bias)) = (&norm.beta, &first.bias, &second.bias) {
        let (first, second) = ((first.weight.val(), first_bias.val()), (second.weight.val(), second_bias.val()));
        let layers = [(&first.0, &first.1), (&second.0, &second.1)];
        try_kernel!(sam_flex::perceptron(&x, [&norm.gamma.val(), &offset.val()], epsilon, layers));
    }
    linear_onto(second, linear_gelu(first, layer_norm(norm, epsilon, x.clone())), x)
}

/// An inverted bottleneck: widen the channels, depthwise convolution, narrow the channels.
#[derive(Debug)]
pub(crate) struct Bottleneck<B: Backend> {
    /// Weight `[input, wide]` and bias `[wide]`; followed by GELU.
    pub(crate) widen: (Tensor<B, 2>, Tensor<B, 1>),
    /// Weight `[side * side, wide]` and bias `[wide]`, as in [`depthwise`]; followed by GELU.
    pub(crate) convolve: (Tensor<B, 2>, Tensor<B, 1>),
    /// Weight `[wide, output]` and bias `[output]`.
    pub(crate) narrow: (Tensor<B, 2>, Tensor<B, 1>),
    /// Stride of the convolution.
    pub(crate) stride: usize,
    /// Whether the input is added to the output, followed by GELU.
    pub(crate) returns: bool,
}

impl<B: Backend> Bottleneck<B> {
    /// # Shapes
    /// - maps: `[n, h, w, input]`; output: `[n, h / stride, w / stride, output]`, rounded up
    pub(crate) fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        try_kernel!(sam_flex::bottleneck(&self.borrowed(), &maps));
        let bias = |layer: &(_, Tensor<B, 1>)| layer.1.clone();
        let wide = affine_gelu(maps.clone(), self.widen.0.clone(), bias(&self.widen));
        let wide = gelu(depthwise(wide, self.convolve.0.clone(), bias(&self.convolve), self.stride));
        let narrow = affine(wide, self.narrow.0.clone(), bias(&self.narrow).unsqueeze());
        if self.returns { gelu(add_maps(narrow, maps)) } else { narrow }
    }

    #[cfg(feature = "flex")]
    fn borrowed(&self) -> sam_flex::Bottleneck<'_, B> {
        let Self { widen, convolve, narrow, stride, returns } = self;
        sam_flex::Bottleneck {
            widen: (&widen.0, &widen.1),
            convolve: (&convolve.0, &convolve.1),
            narrow: (&narrow.0, &narrow.1),
            stride: *stride,
            returns: *returns,
        }
    }
}

/// A depthwise convolution with zero padding.
///
/// # Shapes
/// - maps: `[n, h, w, channels]`; weight: `[side * side, channels]`, an odd side; bias: `[channels]`; output: `[n, h / stride, w / stride,
///   channels]`, rounded up
pub(crate) fn depthwise<B: Backend>(
    maps: Tensor<B, 4>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    stride: usize,
) -> Tensor<B, 4> {
    try_kernel!(sam_flex::depthwise(&maps, &weight, &bias, stride));
    let [taps, channels] = weight.dims();
    let side = taps.isqrt();
    let weight = weight.transpose().reshape([channels, 1, side, side]);
    let options = ConvOptions::new([stride; 2], [side / 2; 2], [1, 1], channels);
    conv2d(maps.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}

/// Upscaling of an image to four times its resolution, each pixel by itself: affine map to a block of 2 x 2 pixels, norm, GELU, affine map
/// to a block of 2 x 2 pixels, GELU.
#[derive(Debug)]
pub(crate) struct Upscaling<B: Backend> {
    /// `[channels, 4 * middle]`.
    pub(crate) first_weight: Tensor<B, 2>,
    /// `[4 * middle]`.
    pub(crate) first_bias: Tensor<B, 1>,
    /// Scale of the norm: `[middle]`.
    pub(crate) scale: Tensor<B, 1>,
    /// Offset of the norm: `[middle]`.
    pub(crate) offset: Tensor<B, 1>,
    /// `[middle, 4 * last]`.
    pub(crate) second_weight: Tensor<B, 2>,
    /// `[4 * last]`.
    pub(crate) second_bias: Tensor<B, 1>,
}

impl<B: Backend> Upscaling<B> {
    /// # Shapes
    /// - pixels: `[n, pixels, channels]`; output: `[n, 16 * pixels, last]`, in order of nested blocks
    pub(crate) fn forward(&self, pixels: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, count, _] = pixels.dims();
        let [middle, all] = self.second_weight.dims();
        let doubled = affine(pixels, self.first_weight.clone(), self.first_bias.clone().unsqueeze());
        let doubled = doubled.reshape([n, 4 * count, middle]);
        let doubled = gelu(normalise(doubled, self.scale.clone(), self.offset.clone(), LayerNorm2d::<B>::EPSILON));
        let doubled = affine(doubled, self.second_weight.clone(), self.second_bias.clone().unsqueeze());
        gelu(doubled.reshape([n, 16 * count, all / 4]))
    }

    /// The product of the output of [`Upscaling::forward`] and each mask's weights.
    ///
    /// # Shapes
    /// - pixels: `[n, pixels, channels]`; masks: `[n, masks, last]`; output: `[n, 16 * pixels, masks]`
    pub(crate) fn masks(&self, pixels: Tensor<B, 3>, masks: Tensor<B, 3>) -> Tensor<B, 3> {
        try_kernel!(sam_flex::upscale(&self.borrowed(), &pixels, &masks));
        self.forward(pixels).matmul(masks.transpose())
    }

    #[cfg(feature = "flex")]
    fn borrowed(&self) -> sam_flex::Upscaling<'_, B> {
        sam_flex::Upscaling {
            first: (&self.first_weight, &self.first_bias),
            norm: (&self.scale, &self.offset),
            epsilon: LayerNorm2d::<B>::EPSILON,
            second: (&self.second_weight, &self.second_bias),
        }
    }
}
