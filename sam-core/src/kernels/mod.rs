//! The operations that take the time, each in one pass over memory where the backend allows it.
//!
//! Every function here is generic over the backend and composed of burn's own operations. With the feature `flex`, tensors of
//! `burn_flex::Flex` and of `Autodiff<Flex>` take kernels of our own instead: burn-flex walks through memory once for each
//! element-wise operation, on one core, and knows no vectorised `exp`, so that everything around the matrix products takes longer
//! than they do. What only image encoders need, which never learn, is left to burn under autodiff. Both ways agree to a few units of the sixth digit; the tests hold them against each other.

#[cfg(feature = "flex")]
mod flex;

#[cfg(feature = "flex")]
use std::any::TypeId;

use burn::{
    nn::{LayerNorm, Linear},
    tensor::{
        DType, Tensor, TensorData,
        activation::{self, softmax},
        backend::Backend,
        module::conv2d,
        ops::ConvOptions,
    },
};
use sam_prompt::LayerNorm2d;

use crate::image_encoder::{window_partition_with, window_unpartition};

/// Whether there are kernels that multiply by matrices of bf16 while all else stays in f32.
#[cfg_attr(not(feature = "flex"), expect(clippy::extra_unused_type_parameters, reason = "no backend has any"))]
pub(crate) fn multiply_in_bf16<B: Backend>() -> bool {
    #[cfg(feature = "flex")]
    let found = TypeId::of::<B>() == TypeId::of::<burn_flex::Flex>();
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

/// `x W` over the last axis; a weight of another precision is brought to that of `x`.
fn product<B: Backend, const D: usize>(x: Tensor<B, D>, weight: Tensor<B, 2>) -> Tensor<B, D> {
    let weight = weight.cast(x.dtype());
    x.matmul(weight.unsqueeze())
}

/// `x W + b` over the last axis, with an offset that may differ by row.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: 1 or the output's length along each axis but the last,
///   with more than three axes 1 along all of them; output: `[..., output]`
pub(crate) fn affine<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, D>,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(output) = flex::affine(&x, &weight, &bias) {
        return output;
    }
    product(x, weight) + bias
}

/// GELU of `x W + b`, the bias the same for all rows.
///
/// # Shapes
/// - x: `[..., input]`; weight: `[input, output]`; bias: `[output]`; output: `[..., output]`
pub(crate) fn affine_gelu<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, D> {
    let bias = bias.unsqueeze();
    #[cfg(feature = "flex")]
    if let Some(output) = flex::affine_gelu(&x, &weight, &bias) {
        return output;
    }
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
    if let Some(output) =
        layer.bias.as_ref().and_then(|bias| flex::affine_onto(&x, &layer.weight.val(), &bias.val(), &onto))
    {
        return output;
    }
    onto + linear(layer, x)
}

/// The second half of a transformer's block: a norm and two linear layers with GELU between them, and `x` added to it all.
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
    if let (Some(offset), Some(first_bias), Some(second_bias)) = (&norm.beta, &first.bias, &second.bias)
        && let Some(output) = flex::perceptron(
            &x,
            [&norm.gamma.val(), &offset.val()],
            epsilon,
            [(&first.weight.val(), &first_bias.val()), (&second.weight.val(), &second_bias.val())],
        )
    {
        return output;
    }
    linear_onto(second, linear_gelu(first, layer_norm(norm, epsilon, x.clone())), x)
}

/// A block of a convolutional stage: widen the channels, convolve each by itself, narrow them again.
#[derive(Debug)]
pub(crate) struct Bottleneck<B: Backend> {
    /// `[input, wide]` and `[wide]`; GELU follows.
    pub(crate) widen: (Tensor<B, 2>, Tensor<B, 1>),
    /// `[side * side, wide]` and `[wide]`, as in [`depthwise`]; GELU follows.
    pub(crate) convolve: (Tensor<B, 2>, Tensor<B, 1>),
    /// `[wide, output]` and `[output]`.
    pub(crate) narrow: (Tensor<B, 2>, Tensor<B, 1>),
    /// Of the convolution.
    pub(crate) stride: usize,
    /// Whether the maps are added to the output, and GELU follows.
    pub(crate) returns: bool,
}

impl<B: Backend> Bottleneck<B> {
    /// # Shapes
    /// - maps: `[n, h, w, input]`; output: `[n, h / stride, w / stride, output]`, rounded up
    pub(crate) fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        #[cfg(feature = "flex")]
        if let Some(output) = flex::bottleneck(self, &maps) {
            return output;
        }
        let bias = |layer: &(_, Tensor<B, 1>)| layer.1.clone();
        let wide = affine_gelu(maps.clone(), self.widen.0.clone(), bias(&self.widen));
        let wide = gelu(depthwise(wide, self.convolve.0.clone(), bias(&self.convolve), self.stride));
        let narrow = affine(wide, self.narrow.0.clone(), bias(&self.narrow).unsqueeze());
        if self.returns { gelu(add_maps(narrow, maps)) } else { narrow }
    }
}

/// A convolution of each channel by itself, with zeros around the maps.
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
    #[cfg(feature = "flex")]
    if let Some(output) = flex::depthwise(&maps, &weight, &bias, stride) {
        return output;
    }
    let [taps, channels] = weight.dims();
    let side = taps.isqrt();
    let weight = weight.transpose().reshape([channels, 1, side, side]);
    let options = ConvOptions::new([stride; 2], [side / 2; 2], [1, 1], channels);
    conv2d(maps.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}

/// The sum of two maps; either may be 1 along any axis but the last.
///
/// # Shapes
/// - left, right and output: `[n, pixels, channels]`
pub(crate) fn add<B: Backend>(left: Tensor<B, 3>, right: Tensor<B, 3>) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(output) = flex::add(&left, &right) {
        return output;
    }
    left + right
}

/// The sum of two maps of one size.
///
/// # Shapes
/// - left, right and output: `[n, h, w, channels]`
pub(crate) fn add_maps<B: Backend>(left: Tensor<B, 4>, right: Tensor<B, 4>) -> Tensor<B, 4> {
    let shape = left.dims();
    add(left.flatten(1, 2), right.flatten(1, 2)).reshape(shape)
}

/// Layer normalisation over the last axis, with the layer's own epsilon, which burn keeps to itself.
///
/// # Shapes
/// - x and output: `[..., channels]`
#[cfg_attr(not(feature = "flex"), expect(unused_variables, reason = "the layer knows its epsilon; our kernels do not"))]
pub(crate) fn layer_norm<B: Backend, const D: usize>(
    layer: &LayerNorm<B>,
    epsilon: f64,
    x: Tensor<B, D>,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(output) =
        layer.beta.as_ref().and_then(|beta| flex::layer_norm(&x, &layer.gamma.val(), &beta.val(), epsilon))
    {
        return output;
    }
    layer.forward(x)
}

/// [`LayerNorm2d`] of maps whose channels lie side by side.
///
/// # Shapes
/// - maps and output: `[n, h, w, channels]`
pub(crate) fn layer_norm_2d<B: Backend>(layer: &LayerNorm2d<B>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
    normalise(maps, layer.weight.val(), layer.bias.val(), LayerNorm2d::<B>::EPSILON)
}

fn normalise<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    scale: Tensor<B, 1>,
    offset: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(output) = flex::layer_norm(&x, &scale, &offset, epsilon) {
        return output;
    }
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * scale.unsqueeze() + offset.unsqueeze()
}

/// GELU in its exact form, by the error function.
pub(crate) fn gelu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(output) = flex::gelu(&x) {
        return output;
    }
    activation::gelu(x)
}

/// Two doublings of an image's resolution, each pixel by itself: affine map to a block of 2 x 2 pixels, norm, GELU, affine map to
/// such blocks again, GELU.
#[derive(Debug)]
pub(crate) struct Upscaling<B: Backend> {
    /// `[channels, 4 * middle]`.
    pub(crate) first_weight: Tensor<B, 2>,
    /// `[4 * middle]`.
    pub(crate) first_bias: Tensor<B, 1>,
    /// Of the norm: `[middle]`.
    pub(crate) scale: Tensor<B, 1>,
    /// Of the norm: `[middle]`.
    pub(crate) offset: Tensor<B, 1>,
    /// `[middle, 4 * last]`.
    pub(crate) second_weight: Tensor<B, 2>,
    /// `[4 * last]`.
    pub(crate) second_bias: Tensor<B, 1>,
}

impl<B: Backend> Upscaling<B> {
    /// # Shapes
    /// - pixels: `[n, pixels, channels]`; output: `[n, 16 * pixels, last]`, blocks within blocks
    pub(crate) fn forward(&self, pixels: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, count, _] = pixels.dims();
        let [middle, all] = self.second_weight.dims();
        let doubled = affine(pixels, self.first_weight.clone(), self.first_bias.clone().unsqueeze());
        let doubled = doubled.reshape([n, 4 * count, middle]);
        let doubled = gelu(normalise(doubled, self.scale.clone(), self.offset.clone(), LayerNorm2d::<B>::EPSILON));
        let doubled = affine(doubled, self.second_weight.clone(), self.second_bias.clone().unsqueeze());
        gelu(doubled.reshape([n, 16 * count, all / 4]))
    }

    /// The product of what [`Upscaling::forward`] finds and each mask's weights.
    ///
    /// # Shapes
    /// - pixels: `[n, pixels, channels]`; masks: `[n, masks, last]`; output: `[n, 16 * pixels, masks]`
    pub(crate) fn masks(&self, pixels: Tensor<B, 3>, masks: Tensor<B, 3>) -> Tensor<B, 3> {
        #[cfg(feature = "flex")]
        if let Some(output) = flex::upscale(self, &pixels, &masks, LayerNorm2d::<B>::EPSILON) {
            return output;
        }
        self.forward(pixels).matmul(masks.transpose())
    }
}

/// Scaled dot-product attention whose heads lie side by side in the channels.
///
/// # Shapes
/// - query: `[n, queries, channels]`; key and value: `[n, keys, channels]`, where `n` may be 1 for one or two of them; output:
///   `[n, queries, channels]`
pub(crate) fn attention<B: Backend>(
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(output) = flex::attention(&query, &key, &value, heads) {
        return output;
    }
    let query = query.clone() / ((query.dims()[2] / heads) as f64).sqrt();
    if query.dims()[1] <= key.dims()[1] {
        attend_from_few(query, key, value, heads)
    } else {
        attend_to_few(query, key, value, heads)
    }
}

/// Self-attention of a map's pixels: its heads, its windows, and how queries, keys and values lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapAttention {
    pub(crate) heads: usize,
    /// Side of the windows that the map is cut into, padded at the bottom and right; none to attend over all of it.
    pub(crate) window: Option<usize>,
    pub(crate) order: QkvOrder,
}

/// How queries, keys and values of all heads lie in the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QkvOrder {
    /// `[3, heads, width]`: all heads' queries first.
    PartsThenHeads,
    /// `[heads, 3, width]`: all of the first head first.
    HeadsThenParts,
}

/// What the places of two pixels in a window add to their score.
#[derive(Debug)]
pub(crate) enum PairBias<B: Backend> {
    /// The product of the query, unscaled, and the embedding of the distance, for rows and columns: `[h, h, width]` from the query's
    /// row to the key's, and `[w, w, width]`.
    Decomposed { rows: Tensor<B, 3>, columns: Tensor<B, 3> },
    /// A number for each pair: `[heads, pixels, pixels]`.
    Table(Tensor<B, 3>),
}

impl<B: Backend> PairBias<B> {
    #[cfg(feature = "flex")]
    fn dtype(&self) -> DType {
        match self {
            Self::Decomposed { rows: tensor, .. } | Self::Table(tensor) => tensor.dtype(),
        }
    }

    fn cast(&self, dtype: DType) -> Self {
        let cast = |tensor: &Tensor<B, 3>| tensor.clone().cast(dtype);
        match self {
            Self::Decomposed { rows, columns } => Self::Decomposed { rows: cast(rows), columns: cast(columns) },
            Self::Table(table) => Self::Table(cast(table)),
        }
    }
}

impl MapAttention {
    /// # Shapes
    /// - qkv: `[n, h, w, 3 * channels]`; padding: what a padded pixel has, `[3 * channels]`; output: `[n, h, w, channels]`
    pub(crate) fn forward<B: Backend>(
        &self,
        qkv: Tensor<B, 4>,
        padding: Tensor<B, 1>,
        bias: &PairBias<B>,
    ) -> Tensor<B, 4> {
        #[cfg(feature = "flex")]
        if let Some(output) = flex::map_attention(self, &qkv, &padding, bias) {
            return output;
        }
        self.composed(qkv, padding, bias)
    }

    /// The same of burn's operations.
    fn composed<B: Backend>(&self, qkv: Tensor<B, 4>, padding: Tensor<B, 1>, bias: &PairBias<B>) -> Tensor<B, 4> {
        let bias = &bias.cast(qkv.dtype());
        let Some(window) = self.window else { return self.attend(qkv, bias) };
        let [_, height, width, _] = qkv.dims();
        window_unpartition(self.attend(window_partition_with(qkv, window, padding), bias), height, width)
    }

    /// Each map by itself.
    fn attend<B: Backend>(&self, qkv: Tensor<B, 4>, bias: &PairBias<B>) -> Tensor<B, 4> {
        let [n, height, width, all] = qkv.dims();
        let (pixels, heads, channels) = (height * width, self.heads, all / 3);
        let (head_width, batch) = (channels / heads, n * heads);
        let qkv = match self.order {
            QkvOrder::PartsThenHeads => qkv.reshape([n, pixels, 3, heads, head_width]).permute([2, 0, 3, 1, 4]),
            QkvOrder::HeadsThenParts => qkv.reshape([n, pixels, heads, 3, head_width]).permute([3, 0, 2, 1, 4]),
        };
        let qkv = qkv.reshape([3, batch, pixels, head_width]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).reshape([batch, pixels, head_width]);
        let (query, key, value) = (part(0), part(1), part(2));

        let scores = (query.clone() / (head_width as f64).sqrt()).matmul(key.transpose());
        let scores = match bias {
            PairBias::Decomposed { rows, columns } => {
                scores + decomposed_bias(query.reshape([batch, height, width, head_width]), rows, columns)
            }
            PairBias::Table(table) => {
                let scores: Tensor<B, 4> = scores.reshape([n, heads, pixels, pixels]);
                (scores + table.clone().unsqueeze()).reshape([batch, pixels, pixels])
            }
        };
        let attended = softmax(scores, 2).matmul(value);
        attended.reshape([n, heads, pixels, head_width]).swap_dims(1, 2).reshape([n, height, width, channels])
    }
}

/// [`PairBias::Decomposed`] in full, from unscaled queries `[batch, h, w, width]`: `[batch, h * w, h * w]`.
fn decomposed_bias<B: Backend>(query: Tensor<B, 4>, rows: &Tensor<B, 3>, columns: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, height, width, _] = query.dims();
    // [batch, h, w, c] x [h, c, h]: for each query row, its distance to every key row.
    let by_row = query.clone().matmul(rows.clone().swap_dims(1, 2).unsqueeze());
    let by_column = query.swap_dims(1, 2).matmul(columns.clone().swap_dims(1, 2).unsqueeze()).swap_dims(1, 2);
    let bias = by_row.reshape([batch, height, width, height, 1]) + by_column.reshape([batch, height, width, 1, width]);
    bias.reshape([batch, height * width, height * width])
}

// An image has thousands of pixels, a prompt a dozen tokens. Splitting the image's channels into heads would shuffle all of it in
// memory, several times a layer. Instead each of the few tokens is repeated for every head with the other heads' channels set to
// zero: a little more arithmetic, exact, and the image stays as it lies.

/// Few queries, many keys.
fn attend_from_few<B: Backend>(
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
) -> Tensor<B, 3> {
    let [_, count, channels] = query.dims();
    let mask = head_channels(heads, channels, &query.device());
    let attended = softmax(by_head(query, heads).matmul(key.transpose()), 2).matmul(value);
    let n = attended.dims()[0];
    let attended = attended.reshape([n, heads, count, channels]);
    (attended * mask).sum_dim(1).reshape([n, count, channels])
}

/// Many queries, few keys.
fn attend_to_few<B: Backend>(
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
) -> Tensor<B, 3> {
    let count = key.dims()[1];
    let scores = query.matmul(by_head(key, heads).transpose());
    let [n, pixels, _] = scores.dims();
    let shares = softmax(scores.reshape([n, pixels, heads, count]), 3);
    shares.reshape([n, pixels, heads * count]).matmul(by_head(value, heads))
}

/// Each token once for every head, with that head's channels only: `[n, count, channels]` to `[n, heads * count, channels]`.
fn by_head<B: Backend>(tokens: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [n, count, channels] = tokens.dims();
    let mask = head_channels(heads, channels, &tokens.device());
    (tokens.reshape([n, 1, count, channels]) * mask).reshape([n, heads * count, channels])
}

/// 1 where a channel belongs to a head: `[1, heads, 1, channels]`.
fn head_channels<B: Backend>(heads: usize, channels: usize, device: &B::Device) -> Tensor<B, 4> {
    let width = channels / heads;
    let belongs = |head: usize| (0..channels).map(move |channel| f32::from(u8::from(channel / width == head)));
    let mask = (0..heads).flat_map(belongs).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(mask, [1, heads, 1, channels]), device)
}
