//! GELU in its exact form.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    record::{Array, Kernel},
    simd::{normal, vectorised},
};

/// `x` times the normal distribution's cumulative probability at `x`.
#[derive(Debug, Clone)]
pub(super) struct Gelu;

impl Kernel<1> for Gelu {
    type Saved = ();

    fn forward(&self, [x]: &[Array; 1]) -> (Array, ()) {
        let values = x.values();
        let width = x.width();
        let output = fill_one(&blocks(values.len() / width.max(1)), width, |block, output| {
            let x = &values[block * BLOCK_ROWS * width..];
            vectorised(|| {
                for (output, &x) in output.iter_mut().zip(x) {
                    *output = x * normal(x).0;
                }
            });
        });
        (Array::new(x.dims(), output), ())
    }

    fn backward(&self, [x]: &[Array; 1], (): &(), gradient: &Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let (values, gradients) = (x.values(), gradient.values());
        let width = x.width();
        let output = fill_one(&blocks(values.len() / width.max(1)), width, |block, output| {
            let start = block * BLOCK_ROWS * width;
            let (x, gradient) = (&values[start..], &gradients[start..]);
            vectorised(|| {
                for ((output, &x), &gradient) in output.iter_mut().zip(x).zip(gradient) {
                    let (probability, density) = normal(x);
                    *output = gradient * (probability + x * density);
                }
            });
        });
        [Some(Array::new(x.dims(), output))]
    }
}
