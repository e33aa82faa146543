//! The sum of two maps; one may be shared by all samples or all pixels.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    record::{Array, Kernel},
    rows::{Rows, gather, leading},
};

/// `left + right`.
#[derive(Debug, Clone)]
pub(super) struct Add;

impl Kernel<2> for Add {
    /// The output's shape.
    type Saved = Vec<usize>;

    fn forward(&self, [left, right]: &[Array; 2]) -> (Array, Vec<usize>) {
        let ([samples, pixels], [more_samples, more_pixels]) = (leading(left.dims()), leading(right.dims()));
        let width = left.width();
        let dims = vec![samples.max(more_samples), pixels.max(more_pixels), width];
        let (rows, other_rows) = (Rows::of(left.dims(), &dims), Rows::of(right.dims(), &dims));
        let (left, right) = (left.values(), right.values());
        let output = fill_one(&blocks(dims[0] * dims[1], BLOCK_ROWS), width, |block, output| {
            for (row, output) in output.chunks_exact_mut(width).enumerate() {
                let row = block * BLOCK_ROWS + row;
                let (left, right) = (&left[rows.at(row) * width..], &right[other_rows.at(row) * width..]);
                for ((output, left), right) in output.iter_mut().zip(left).zip(right) {
                    *output = left + right;
                }
            }
        });
        (Array::new(&dims, output), dims)
    }

    fn backward(
        &self,
        inputs: &[Array; 2],
        dims: &Vec<usize>,
        gradient: &Array,
        wanted: [bool; 2],
    ) -> [Option<Array>; 2] {
        let of = |index: usize| {
            let input = &inputs[index];
            wanted[index].then(|| {
                if input.dims() == dims {
                    return gradient.clone();
                }
                let rows = Rows::of(input.dims(), dims);
                let size = input.dims().iter().product();
                Array::new(input.dims(), gather(&gradient.values(), input.width(), rows, size))
            })
        };
        [of(0), of(1)]
    }
}
