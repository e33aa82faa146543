//! The perceptron of a transformer block, with the norm before it and the residual connection.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    gelu,
    matrix::{Matrix, MatrixMut},
    norm::row_forward,
    record::Array,
    simd::vectorised,
    weight::Weight,
};

/// `x` plus the perceptron of its norm (affine map, GELU, affine map), for each row.
pub(super) fn forward(
    [x, scale, offset, first_bias, second_bias]: &[Array; 5],
    epsilon: f32,
    [first, second]: [&Weight; 2],
) -> Array {
    let (width, hidden) = (x.width(), first.columns());
    let (values, scale, offset) = (x.values(), scale.values(), offset.values());
    let (first_bias, second_bias) = (first_bias.values(), second_bias.values());
    let output = fill_one(&blocks(values.len() / width, BLOCK_ROWS), width, |block, output| {
        let x = &values[block * BLOCK_ROWS * width..][..output.len()];
        let rows = output.len() / width;
        // The output's memory holds the norm first.
        vectorised(
            #[inline(always)]
            || {
                for (output, x) in output.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    row_forward(output, x, &scale, &offset, epsilon);
                }
            },
        );
        let mut activated = first_bias.repeat(rows);
        first.add(MatrixMut::new(&mut activated, rows, hidden), Matrix::new(output, rows, width));
        gelu::activate(&mut activated);
        for (output, x) in output.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            output.iter_mut().zip(x).zip(&*second_bias).for_each(|((output, x), bias)| *output = x + bias);
        }
        second.add(MatrixMut::new(output, rows, width), Matrix::new(&activated, rows, hidden));
    });
    Array::new(x.dims(), output)
}
