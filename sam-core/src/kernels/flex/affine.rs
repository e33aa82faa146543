//! `x W + b`.

use rayon::prelude::*;

use super::{
    BLOCK_ROWS,
    matrix::{Matrix, MatrixMut},
    record::{Array, Kernel},
    rows::{Rows, gather},
};

/// A product with a matrix, with the offset written before instead of added after.
#[derive(Debug, Clone)]
pub(super) struct Affine;

impl Kernel<3> for Affine {
    type Saved = ();

    fn forward(&self, [x, weight, bias]: &[Array; 3]) -> (Array, ()) {
        let (x_rows, weight) = (x.matrix(), weight.matrix());
        let mut dims = x.dims().to_vec();
        if let Some(width) = dims.last_mut() {
            *width = weight.columns();
        }
        let mut output = vec![0.0; x_rows.rows() * weight.columns()];
        let (width, offsets) = (weight.columns(), Rows::of(bias.dims(), &dims));
        let bias = bias.values();
        by_rows(&mut output, x_rows, width, |first, output, x| {
            for (row, output) in output.chunks_exact_mut(width).enumerate() {
                output.copy_from_slice(&bias[offsets.at(first + row) * width..][..width]);
            }
            MatrixMut::new(output, x.rows(), width).add(1.0, x, weight);
        });
        (Array::new(&dims, output), ())
    }

    fn backward(
        &self,
        [x, weight, bias]: &[Array; 3],
        (): &(),
        gradient: &Array,
        wanted: [bool; 3],
    ) -> [Option<Array>; 3] {
        let (x_rows, transposed, rows) = (x.matrix(), weight.matrix().transposed(), gradient.matrix());
        let (input, output) = (transposed.columns(), transposed.rows());
        let to_x = wanted[0].then(|| {
            let mut values = vec![0.0; x_rows.rows() * input];
            by_rows(&mut values, rows, input, |_, values, gradient| {
                MatrixMut::new(values, gradient.rows(), input).assign(1.0, gradient, transposed);
            });
            Array::new(x.dims(), values)
        });
        let to_weight = wanted[1].then(|| {
            let mut values = vec![0.0; input * output];
            MatrixMut::new(&mut values, input, output).assign_parallel(x_rows.transposed(), rows);
            Array::new(weight.dims(), values)
        });
        let to_bias = wanted[2].then(|| {
            let rows = Rows::of(bias.dims(), gradient.dims());
            let size = bias.dims().iter().product();
            Array::new(bias.dims(), gather(&gradient.values(), output, rows, size))
        });
        [to_x, to_weight, to_bias]
    }
}

/// Works on blocks of the output's rows and the input rows that they come from, in parallel; told the first row's number.
fn by_rows(output: &mut [f32], input: Matrix<'_>, width: usize, work: impl Fn(usize, &mut [f32], Matrix<'_>) + Sync) {
    output.par_chunks_mut((BLOCK_ROWS * width).max(1)).enumerate().for_each(|(block, output)| {
        let start = block * BLOCK_ROWS;
        work(start, output, input.slice_rows(start..start + output.len() / width));
    });
}
