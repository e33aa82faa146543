//! The spinal cord phantom: the neck in T2*-weighted MR, with grey matter brighter than white matter.

use ndarray::Array3;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    body::Wave,
    centred,
    noise::{blur, normal},
};
use crate::{LabelVolume, LoadedCase, Volume};

const SHAPE: [usize; 3] = [112, 112, 14];
const SPACING_MM: [f64; 3] = [0.5, 0.5, 5.0];
const GREY: u16 = 1;
const WHITE: u16 = 2;
/// Standard deviation of the noise in each of the two channels of the magnitude image.
const NOISE: f32 = 11.0;

/// Course and size of the cord. Lengths are in mm.
struct Cord {
    sway: [Wave; 2],
    swell: Wave,
    /// Half the width and half the depth.
    radii: [f32; 2],
    /// Half the width of the neck.
    neck: f32,
    muscle: [Wave; 2],
}

impl Cord {
    fn draw(rng: &mut dyn Rng) -> Self {
        Self {
            sway: [Wave::draw(1.2, rng), Wave::draw(1.2, rng)],
            swell: Wave::draw(0.06, rng),
            radii: [rng.random_range(6.0..7.0), rng.random_range(3.8..4.4)],
            neck: rng.random_range(24.0..26.0),
            muscle: [Wave::draw(14.0, rng), Wave::draw(14.0, rng)],
        }
    }

    /// Signal and label at a place. x and y are in mm from the middle, z is from -1 to 1.
    fn tissue(&self, [x, y, z]: [f32; 3]) -> (f32, u16) {
        let size = 1.0 + self.swell.at(z);
        // In units of half the cord's width and half its depth.
        let across = (x - self.sway[0].at(z)) / (self.radii[0] * size);
        let forward = (y - self.sway[1].at(z)) / (self.radii[1] * size);
        let from_middle = across.hypot(forward);
        if from_middle < 1.0 {
            return if is_grey(across.abs(), forward) { (205.0, GREY) } else { (150.0, WHITE) };
        }
        let muscle = 95.0 + self.muscle[0].at(0.15 * x) + self.muscle[1].at(0.15 * y);
        let signal = match (x, y) {
            _ if from_middle < 1.55 => 285.0,
            // Bone is dark: here the canal, in the next two lines the vertebra in front of it and the arch behind it.
            _ if from_middle < 1.8 => 40.0,
            _ if (x / 11.0).hypot((y - 15.0) / 8.5) < 1.0 => 62.0,
            _ if x.abs() < 1.6 && (-17.0..-6.0).contains(&y) => 45.0,
            _ if x.hypot(y) < self.neck => muscle,
            _ if x.hypot(y) < self.neck + 1.5 => 150.0,
            _ => 0.0,
        };
        (signal, 0)
    }
}

/// Whether a place is in the butterfly shape of the grey matter: on each side a broad anterior horn and a slender posterior horn, joined by
/// a bridge.
fn is_grey(across: f32, forward: f32) -> bool {
    let front = ((across - 0.24) / 0.17).hypot((forward - 0.25) / 0.34) < 1.0;
    let behind = ((across - 0.27 + 0.16 * (forward + 0.3)) / 0.09).hypot((forward + 0.30) / 0.48) < 1.0;
    let bridge = across < 0.24 && (forward - 0.05).abs() < 0.11;
    front || behind || bridge
}

/// Generates a scan with its labels.
pub(super) fn generate(seed: u64) -> LoadedCase {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let cord = Cord::draw(&mut rng);
    let [width, depth, height] = SHAPE;
    let at = |index: usize, axis: usize| (index as f32 - (SHAPE[axis] as f32 - 1.0) / 2.0) * SPACING_MM[axis] as f32;
    let mut signal = Array3::zeros((width, depth, height));
    let mut labels = Array3::zeros((width, depth, height));
    for ((i, j, k), value) in signal.indexed_iter_mut() {
        let z = 2.0 * (k as f32 + 0.5) / height as f32 - 1.0;
        (*value, labels[(i, j, k)]) = cord.tissue([at(i, 0), at(j, 1), z]);
    }
    blur(&mut signal, &[0, 1]);
    for ((_, j, _), value) in signal.indexed_iter_mut() {
        // The coil is behind the neck, so the sensitivity is highest there.
        let sensitivity = 1.0 - 0.008 * at(j, 1);
        let (real, imaginary) = (*value * sensitivity + NOISE * normal(&mut rng), NOISE * normal(&mut rng));
        *value = real.hypot(imaginary).round();
    }
    let affine = centred(SHAPE, SPACING_MM);
    LoadedCase::Volume { volume: Volume::new(signal, affine), labels: LabelVolume::new(labels, affine) }
}
