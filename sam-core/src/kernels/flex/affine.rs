//! `x W + b`.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    matrix::MatrixMut,
    record::{Array, Kernel},
    rows::{Rows, gather},
};

/// A product with a matrix, with the offset written before instead of added after.
#[derive(Debug, Clone)]
pub(super) struct Affine;

/// `x W + b`; each block of rows is finished while it is in the cache.
pub(super) fn forward([x, weight, bias]: &[Array; 3], finish: impl Fn(&mut [f32]) + Sync) -> Array {
    let (x_rows, weight) = (x.matrix(), weight.matrix());
    let mut dims = x.dims().to_vec();
    if let Some(width) = dims.last_mut() {
        *width = weight.columns();
    }
    let (width, offsets) = (weight.columns(), Rows::of(bias.dims(), &dims));
    let bias = bias.values();
    let output = fill_one(&blocks(x_rows.rows(), BLOCK_ROWS), width, |block, output| {
        let first = block * BLOCK_ROWS;
        for (row, output) in output.chunks_exact_mut(width).enumerate() {
            output.copy_from_slice(&bias[offsets.at(first + row) * width..][..width]);
        }
        let rows = output.len() / width;
        MatrixMut::new(output, rows, width).add(1.0, x_rows.slice_rows(first..first + rows), weight);
        finish(output);
    });
    Array::new(&dims, output)
}

impl Kernel<3> for Affine {
    type Saved = ();

    fn forward(&self, inputs: &[Array; 3]) -> (Array, ()) {
        (forward(inputs, |_| ()), ())
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
            let values = fill_one(&blocks(rows.rows(), BLOCK_ROWS), input, |block, values| {
                let (first, count) = (block * BLOCK_ROWS, values.len() / input);
                let gradient = rows.slice_rows(first..first + count);
                MatrixMut::new(values, count, input).assign(1.0, gradient, transposed);
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
