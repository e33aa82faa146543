//! The perceptron of a transformer's block, with the norm before it and the sum behind it.

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

/// `x` plus an affine map of GELU of an affine map of its norm, each row by itself.
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
        // The norm stands where the output will.
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
