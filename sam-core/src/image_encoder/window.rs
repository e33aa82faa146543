//! Splitting a map into square windows, and joining them.

use burn::tensor::{Tensor, backend::Backend};

/// Splits a map into windows that do not overlap, zero-padded at the bottom and right.
///
/// Source: `window_partition` in segment-anything's `modeling/image_encoder.py`.
///
/// # Shapes
/// - map: `[n, h, w, channels]`; output: `[n * windows, window, window, channels]`, windows row by row
pub fn window_partition<B: Backend>(map: Tensor<B, 4>, window: usize) -> Tensor<B, 4> {
    let [.., channels] = map.dims();
    let zeros = Tensor::zeros([channels], (&map.device(), map.dtype()));
    window_partition_with(map, window, zeros)
}

/// [`window_partition`] with a padding vector `[channels]` instead of zeros.
pub(crate) fn window_partition_with<B: Backend>(
    map: Tensor<B, 4>,
    window: usize,
    padding: Tensor<B, 1>,
) -> Tensor<B, 4> {
    let [n, height, width, channels] = map.dims();
    let (rows, columns) = (height.div_ceil(window), width.div_ceil(window));
    let map = pad_end(pad_end(map, 1, rows * window, &padding), 2, columns * window, &padding);
    map.reshape([n, rows, window, columns, window, channels]).swap_dims(2, 3).reshape([
        n * rows * columns,
        window,
        window,
        channels,
    ])
}

/// Joins windows into the original map and drops the padding.
///
/// # Shapes
/// - windows: `[n * windows, window, window, channels]`; output: `[n, height, width, channels]`
pub fn window_unpartition<B: Backend>(windows: Tensor<B, 4>, height: usize, width: usize) -> Tensor<B, 4> {
    let [count, window, _, channels] = windows.dims();
    let (rows, columns) = (height.div_ceil(window), width.div_ceil(window));
    let n = count / (rows * columns);
    windows
        .reshape([n, rows, columns, window, window, channels])
        .swap_dims(2, 3)
        .reshape([n, rows * window, columns * window, channels])
        .slice([0..n, 0..height, 0..width])
}

/// Appends a vector along a dimension until it has the given length.
fn pad_end<B: Backend>(map: Tensor<B, 4>, dim: usize, length: usize, padding: &Tensor<B, 1>) -> Tensor<B, 4> {
    let mut missing = map.dims();
    missing[dim] = length - missing[dim];
    if missing[dim] == 0 {
        return map;
    }
    Tensor::cat(vec![map, padding.clone().unsqueeze::<4>().expand(missing)], dim)
}
