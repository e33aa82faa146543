//! Random numbers that do not depend on the backend.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

/// Two independent samples of the standard normal distribution (Box and Muller, 1958).
pub(crate) fn normal_pair(rng: &mut impl Rng) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
    [radius * cos, radius * sin]
}
