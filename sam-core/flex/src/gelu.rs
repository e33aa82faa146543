//! Exact GELU.

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill_one},
    record::{Array, Kernel},
    simd::{normal, vectorised},
};

/// GELU: `x` times the normal distribution's cumulative probability at `x`.
#[derive(Debug, Clone)]
pub(super) struct Gelu;

impl Kernel<1> for Gelu {
    type Saved = ();

    fn forward(&self, [x]: &[Array; 1]) -> (Array, ()) {
        let (values, width) = (x.values(), x.width());
        let output = fill_one(&blocks(values.len() / width.max(1), BLOCK_ROWS), width, |block, output| {
            output.copy_from_slice(&values[block * BLOCK_ROWS * width..][..output.len()]);
            activate(output);
        });
        (Array::new(x.dims(), output), ())
    }

    fn backward(&self, [x]: &[Array; 1], (): &(), gradient: &Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let (values, gradients, width) = (x.values(), gradient.values(), x.width());
        let output = fill_one(&blocks(values.len() / width.max(1), BLOCK_ROWS), width, |block, output| {
            let start = block * BLOCK_ROWS * width;
            output.copy_from_slice(&gradients[start..][..output.len()]);
            vectorised(
                #[inline(always)]
                || backward(output, &values[start..]),
            );
        });
        [Some(Array::new(x.dims(), output))]
    }
}

/// GELU of each value, with the processor's vector instructions.
pub(super) fn activate(values: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || apply(values),
    );
}

/// GELU of each value; the caller must be vectorised.
#[inline(always)]
pub(super) fn apply(values: &mut [f32]) {
    for value in values {
        *value *= normal(*value).0;
    }
}

/// Multiplies each gradient by the slope of GELU at the corresponding value.
#[inline(always)]
pub(super) fn backward(gradients: &mut [f32], values: &[f32]) {
    for (gradient, &x) in gradients.iter_mut().zip(values) {
        let (probability, density) = normal(x);
        *gradient *= probability + x * density;
    }
}
