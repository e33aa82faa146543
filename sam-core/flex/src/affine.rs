//! Affine map: `x W + b`.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    matrix::MatrixMut,
    record::{Array, Kernel},
    rows::{Rows, gather},
    weight::Weight,
};

/// Affine map with autodiff. The bias is written to the output before the product, not added afterwards.
#[derive(Debug, Clone)]
pub(super) struct Affine;

/// `x W + b`; `finish` runs on each block of rows while it is in the cache.
pub(super) fn forward([x, bias]: [&Array; 2], weight: &Weight, finish: impl Fn(&mut [f32]) + Sync) -> Array {
    let dims = output_dims(x, weight);
    let (width, offsets) = (weight.columns(), Rows::of(bias.dims(), &dims));
    let bias = bias.values();
    let begin = |row: usize, output: &mut [f32]| output.copy_from_slice(&bias[offsets.at(row) * width..][..width]);
    Array::new(&dims, product(x, weight, begin, finish))
}

/// `onto + x W + b`, with the same bias for all rows.
pub(super) fn forward_onto([x, bias, onto]: &[Array; 3], weight: &Weight) -> Array {
    let (width, bias, onto) = (weight.columns(), bias.values(), onto.values());
    let begin = |row: usize, output: &mut [f32]| {
        let onto = &onto[row * width..];
        output.iter_mut().zip(onto).zip(&*bias).for_each(|((output, onto), bias)| *output = onto + bias);
    };
    Array::new(&output_dims(x, weight), product(x, weight, begin, |_| ()))
}

fn output_dims(x: &Array, weight: &Weight) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    if let Some(width) = dims.last_mut() {
        *width = weight.columns();
    }
    dims
}

/// Adds `x W` to the initial values of the rows; `finish` runs on each block of rows while it is in the cache.
fn product(
    x: &Array,
    weight: &Weight,
    begin: impl Fn(usize, &mut [f32]) + Sync,
    finish: impl Fn(&mut [f32]) + Sync,
) -> Vec<f32> {
    let (x, width) = (x.matrix(), weight.columns());
    fill_one(&blocks(x.rows(), BLOCK_ROWS), width, |block, output| {
        let first = block * BLOCK_ROWS;
        for (row, output) in output.chunks_exact_mut(width).enumerate() {
            begin(first + row, output);
        }
        let rows = output.len() / width;
        weight.add(MatrixMut::new(output, rows, width), x.slice_rows(first..first + rows));
        finish(output);
    })
}

impl Kernel<3> for Affine {
    type Saved = ();

    fn forward(&self, [x, weight, bias]: &[Array; 3]) -> (Array, ()) {
        (forward([x, bias], &Weight::Full(weight.clone()), |_| ()), ())
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
