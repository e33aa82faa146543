//! Attention between few tokens and the many pixels of an image.

use burn::tensor::{Tensor, TensorData, activation::softmax, backend::Backend};

/// Scaled dot-product attention; the heads are contiguous in the channels.
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
    try_kernel!(sam_flex::attention(&query, &key, &value, heads));
    let query = query.clone() / ((query.dims()[2] / heads) as f64).sqrt();
    if query.dims()[1] <= key.dims()[1] {
        attend_from_few(query, key, value, heads)
    } else {
        attend_to_few(query, key, value, heads)
    }
}

// An image has thousands of pixels, a prompt about a dozen tokens. Splitting the image's channels into heads would reorder all of it in
// memory, several times a layer. Instead, each token is repeated for every head, with the other heads' channels set to zero. This needs a
// little more arithmetic, is exact, and leaves the image's layout unchanged.

/// Attention with few queries and many keys.
pub(super) fn attend_from_few<B: Backend>(
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

/// Attention with many queries and few keys.
pub(super) fn attend_to_few<B: Backend>(
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

/// Repeats each token for every head, with the other heads' channels set to zero: `[n, count, channels]` to `[n, heads * count, channels]`.
fn by_head<B: Backend>(tokens: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [n, count, channels] = tokens.dims();
    let mask = head_channels(heads, channels, &tokens.device());
    (tokens.reshape([n, 1, count, channels]) * mask).reshape([n, heads * count, channels])
}

/// Mask of each head's channels, 1 or 0: `[1, heads, 1, channels]`.
fn head_channels<B: Backend>(heads: usize, channels: usize, device: &B::Device) -> Tensor<B, 4> {
    let width = channels / heads;
    let belongs = |head: usize| (0..channels).map(move |channel| f32::from(u8::from(channel / width == head)));
    let mask = (0..heads).flat_map(belongs).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(mask, [1, heads, 1, channels]), device)
}
