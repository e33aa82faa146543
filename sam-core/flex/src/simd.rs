//! Arithmetic that the compiler can vectorise, and the dispatch to the processor's instruction set.

#[cfg(test)]
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of partial sums, so that sums vectorise; it also fixes their order on every processor.
const LANES: usize = 16;

/// Set by tests: all loops run as on a processor without vector instructions.
#[cfg(test)]
pub(super) static WITHOUT_VECTORS: AtomicBool = AtomicBool::new(false);

/// Runs a loop compiled for the best instruction set of this processor. The closure and everything that it calls must be marked
/// `#[inline(always)]`: code that is not inlined runs without vector instructions, several times slower.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(test)]
    if WITHOUT_VECTORS.load(Ordering::Relaxed) {
        return work();
    }
    pulp::Arch::new().dispatch(work)
}

/// The exponential function, with a relative error of 2e-7. Beyond ±87 the result is clamped, so 0 and infinity are never reached.
///
/// Range reduction by powers of two and a polynomial of sixth degree, as in the Cephes library's `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const SERIES: [f32; 6] = [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN_2_LOW, power.mul_add(-LN_2_HIGH, x));
    let mantissa = polynomial(rest, SERIES).mul_add(rest * rest, rest + 1.0);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

/// Evaluates a polynomial; `factors` starts with the coefficient of the highest power.
///
/// Uses fused multiply-add, which halves the number of instructions. On a processor without it (x86 before AVX2), a slow library routine
/// gives the same result.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, factors: [f32; N]) -> f32 {
    let mut sum = 0.0_f32;
    for factor in factors {
        sum = sum.mul_add(x, factor);
    }
    sum
}

/// The normal distribution's cumulative probability at `x`, to 1e-7, and its density.
///
/// Uses the error function after Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    const DENSITY_AT_0: f32 = 0.398_942_3;
    const SERIES: [f32; 5] = [1.061_405_4, -1.453_152_1, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    let tail = exp(-0.5 * x * x);
    let t = 1.0 / x.abs().mul_add(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let outside = 0.5 * polynomial(t, SERIES) * t * tail;
    (if x < 0.0 { outside } else { 1.0 - outside }, DENSITY_AT_0 * tail)
}

/// The sum of `value` over the pairs of two slices of equal length.
#[inline(always)]
pub(super) fn sum(left: &[f32], right: &[f32], value: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (left, right) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(&a, &b)| value(a, b)).sum();
    for (left, right) in left.zip(right) {
        for lane in 0..LANES {
            lanes[lane] += value(left[lane], right[lane]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Replaces each value by the exponential of its difference from `origin`; returns the sum.
#[inline(always)]
pub(super) fn exponentials(values: &mut [f32], origin: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - origin);
            lanes[lane] += chunk[lane];
        }
    }
    let mut rest = 0.0;
    for value in chunks.into_remainder() {
        *value = exp(*value - origin);
        rest += *value;
    }
    lanes.iter().sum::<f32>() + rest
}

/// The largest value of a slice.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().copied().fold(rest, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_exact_to_the_last_digits() {
        for step in -8600..=8600_i16 {
            let x = f32::from(step) / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) is {expected}, not {found}");
        }
    }

    #[test]
    fn normal_probability_meets_tabulated_values() {
        // Abramowitz and Stegun, table 26.1.
        for (x, expected) in
            [(0.0, 0.5), (1.0, 0.841_344_8), (-1.0, 0.158_655_25), (2.0, 0.977_249_87), (3.0, 0.998_650_1)]
        {
            assert!((normal(x).0 - expected).abs() < 2e-7, "at {x}");
        }
        assert!((normal(1.0).1 - 0.241_970_72).abs() < 1e-7);
    }

    #[test]
    fn sums_and_maxima_take_every_value() {
        let values: Vec<f32> = (0..37_u8).map(f32::from).collect();
        assert!((sum(&values, &values, |a, _| a) - 666.0).abs() < 1e-3);
        assert!((max(&values) - 36.0).abs() < f32::EPSILON);
    }
}
