//! Noise and smoothing for the phantoms.

use ndarray::{Array, Array2, ArrayViewMut1, Axis, Dimension, RemoveAxis};
use rand::{Rng, RngExt};

/// Smooths values along some axes with the kernel 1/4, 1/2, 1/4.
pub(super) fn blur<D: Dimension + RemoveAxis>(values: &mut Array<f32, D>, axes: &[usize]) {
    let average = |mut lane: ArrayViewMut1<'_, f32>| {
        let old = lane.to_vec();
        let last = old.len().saturating_sub(1);
        for (index, value) in lane.iter_mut().enumerate() {
            *value = (old[index.saturating_sub(1)] + 2.0 * old[index] + old[(index + 1).min(last)]) / 4.0;
        }
    };
    for &axis in axes {
        values.lanes_mut(Axis(axis)).into_iter().for_each(average);
    }
}

/// A random number of mean 0 and variance 1. The sum of three uniform numbers is close enough to normal for noise.
pub(super) fn normal(rng: &mut dyn Rng) -> f32 {
    (0..3).map(|_| rng.random_range(-1.0_f32..1.0)).sum()
}

/// White noise, blurred the given number of times along rows and columns, then scaled to variance 1.
pub(super) fn smooth_noise(size: (usize, usize), (down, across): (usize, usize), rng: &mut dyn Rng) -> Array2<f32> {
    let mut noise = Array2::from_shape_simple_fn(size, || normal(rng));
    for (axis, times) in [(0, down), (1, across)] {
        (0..times).for_each(|_| blur(&mut noise, &[axis]));
    }
    let deviation = noise.std(0.0).max(f32::MIN_POSITIVE);
    noise / deviation
}

/// Rounds and clamps a value to an 8-bit level.
pub(super) fn level(value: f32) -> f32 {
    value.round().clamp(0.0, 255.0)
}
