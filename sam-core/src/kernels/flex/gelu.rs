//! GELU in its exact form.

use rayon::prelude::*;

use super::{
    record::{Array, Kernel},
    simd::{normal, vectorised},
};

/// Values that one task works through.
const BLOCK: usize = 1 << 14;

/// `x` times the normal distribution's cumulative probability at `x`.
#[derive(Debug, Clone)]
pub(super) struct Gelu;

impl Kernel<1> for Gelu {
    type Saved = ();

    fn forward(&self, [x]: &[Array; 1]) -> (Array, ()) {
        let mut output = vec![0.0; x.values().len()];
        output.par_chunks_mut(BLOCK).zip(x.values().par_chunks(BLOCK)).for_each(|(output, x)| {
            vectorised(|| {
                for (output, &x) in output.iter_mut().zip(x) {
                    *output = x * normal(x).0;
                }
            });
        });
        (Array::new(x.dims(), output), ())
    }

    fn backward(&self, [x]: &[Array; 1], (): &(), gradient: &Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let mut output = vec![0.0; x.values().len()];
        output
            .par_chunks_mut(BLOCK)
            .zip(x.values().par_chunks(BLOCK))
            .zip(gradient.values().par_chunks(BLOCK))
            .for_each(|((output, x), gradient)| {
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
