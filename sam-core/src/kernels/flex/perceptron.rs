//! The perceptron of a transformer's block, with the norm before it and the sum behind it.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    gelu,
    matrix::{Matrix, MatrixMut},
    norm::row_forward,
    record::Array,
    simd::vectorised,
};

/// `x` plus an affine map of GELU of an affine map of its norm, each row by itself.
pub(super) fn forward([x, scale, offset, first, first_bias, second, second_bias]: &[Array; 7], epsilon: f32) -> Array {
    let (width, first, second) = (x.width(), first.matrix(), second.matrix());
    let (values, scale, offset) = (x.values(), scale.values(), offset.values());
    let (first_bias, second_bias, hidden) = (first_bias.values(), second_bias.values(), first.columns());
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
        MatrixMut::new(&mut activated, rows, hidden).add(1.0, Matrix::new(output, rows, width), first);
        gelu::activate(&mut activated);
        for (output, x) in output.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            output.iter_mut().zip(x).zip(&*second_bias).for_each(|((output, x), bias)| *output = x + bias);
        }
        MatrixMut::new(output, rows, width).add(1.0, Matrix::new(&activated, rows, hidden), second);
    });
    Array::new(x.dims(), output)
}
