//! The kidney phantom: an ultrasound image with a fan of speckle and a rib shadow.

use ndarray::{Array2, Axis};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    ellipse::Ellipse,
    noise::{level, smooth_noise},
};
use crate::LoadedCase;

const ROWS: usize = 256;
const COLUMNS: usize = 320;
/// Half the opening angle of the fan, in radians.
const OPENING: f32 = 0.62;
/// Distance of the transducer's surface from the tip of the fan, in pixels.
const SKIN: f32 = 60.0;
/// Grey level of tissue without echo, after compression.
const FLOOR: f32 = 4.0;

/// A bean shape: an ellipse with a dent.
struct Bean {
    ellipse: Ellipse,
    /// Depth of the dent at the hilum.
    dent: f32,
}

impl Bean {
    fn draw(rng: &mut dyn Rng) -> Self {
        Self {
            ellipse: Ellipse {
                centre: [rng.random_range(125.0..160.0), rng.random_range(140.0..180.0)],
                radii: [rng.random_range(72.0..92.0), rng.random_range(36.0..46.0)],
                turn: rng.random_range(-0.35..0.35),
            },
            dent: rng.random_range(0.15..0.35),
        }
    }

    /// The implicit function of the bean: less than 1 inside, 1 at the surface.
    fn level(&self, row: f32, column: f32) -> f32 {
        let [along, thick] = self.ellipse.along_axes(row, column);
        let (along, thick) = (along / self.ellipse.radii[0], thick / self.ellipse.radii[1]);
        // The hilum dents the lower side in the middle of its length.
        let dent = self.dent * (-(along / 0.35).powi(2)).exp() * thick.clamp(0.0, 1.0);
        along.hypot(thick) + dent
    }

    /// Whether a pixel is in the sinus, the bright fat in the middle.
    fn is_sinus(&self, row: f32, column: f32) -> bool {
        let [along, thick] = self.ellipse.along_axes(row, column);
        let [length, width] = self.ellipse.radii;
        (along / (0.58 * length)).hypot((thick - 0.12 * width) / (0.32 * width)) < 1.0
    }
}

/// The echo strength of the kidney, its surface and its surroundings.
fn echo(bean: &Bean, row: f32, column: f32, texture: f32) -> f32 {
    match bean.level(row, column) {
        inside if inside < 0.94 => {
            if bean.is_sinus(row, column) {
                1.5
            } else {
                0.30
            }
        }
        surface if surface < 1.04 => 1.3,
        _ => (0.62 + 0.14 * texture).max(0.1),
    }
}

/// Generates an image with its mask.
pub(super) fn generate(seed: u64) -> LoadedCase {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bean = Bean::draw(&mut rng);
    let rib = (rng.random_range(-0.75..0.75) * OPENING, rng.random_range(0.05..0.09));
    let rib_depth = rng.random_range(18.0..30.0);
    let texture = smooth_noise((ROWS, COLUMNS), (24, 24), &mut rng);
    // Speckle is the magnitude of waves with random phases. Its grains are wider than deep.
    let [real, imaginary] = [(); 2].map(|()| smooth_noise((ROWS, COLUMNS), (1, 5), &mut rng));
    let mut image = Array2::from_elem((ROWS, COLUMNS), 0.0);
    let mut labels = Array2::zeros((ROWS, COLUMNS));
    for ((row, column), value) in image.indexed_iter_mut() {
        let (down, across) = (row as f32 + SKIN, column as f32 - COLUMNS as f32 / 2.0);
        let (angle, depth) = (across.atan2(down), across.hypot(down) - SKIN);
        if angle.abs() > OPENING || !(0.0..ROWS as f32 - 6.0).contains(&depth) {
            continue;
        }
        let (at_row, at_column) = (row as f32, column as f32);
        labels[(row, column)] = u16::from(bean.level(at_row, at_column) < 1.0);
        let speckle = real[(row, column)].hypot(imaginary[(row, column)]) / std::f32::consts::SQRT_2;
        let beside = ((angle - rib.0) / rib.1).abs();
        let heard = match depth - rib_depth {
            behind if behind > 5.0 => 1.0 - 0.88 * (-beside.powi(4)).exp(),
            inside if inside > 0.0 && beside < 1.0 => 3.0,
            _ => 1.0,
        };
        let fading = (-0.0018 * depth).exp();
        let strength = echo(&bean, at_row, at_column, texture[(row, column)]) * speckle * heard * fading;
        // Scanners show the logarithm of the echo: 46 dB from black to white.
        *value = level(255.0 * (1.0 + (strength.max(1e-6) / 2.0).log10() * 20.0 / 46.0)).max(FLOOR);
    }
    LoadedCase::Image { image: image.insert_axis(Axis(2)), labels }
}
