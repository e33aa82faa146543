//! The nuclei phantom: a stained tissue section with dark blue nuclei in pink tissue.

use ndarray::{Array2, Array3};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    ellipse::Ellipse,
    noise::{blur, level, smooth_noise},
};

const SIDE: usize = 256;
/// Number of nuclei to place. Some do not fit.
const TRIED: usize = 90;
/// Largest share of a nucleus that earlier ones may cover. Nuclei touch and overlap in sections.
const COVERED: f32 = 0.15;
/// Nuclei with fewer visible pixels are not drawn. The border or other nuclei hide the rest.
const FEWEST_PIXELS: usize = 40;

/// Colours (red, green, blue) of eosin, unstained glass and haematoxylin.
const TISSUE: [f32; 3] = [226.0, 170.0, 200.0];
const GLASS: [f32; 3] = [243.0, 238.0, 243.0];
const NUCLEUS: [f32; 3] = [98.0, 66.0, 138.0];

/// An ellipse with its own tint.
struct Nucleus {
    ellipse: Ellipse,
    tint: f32,
}

impl Nucleus {
    fn draw(rng: &mut dyn Rng) -> Self {
        // Small round lymphocytes, large pale epithelial cells, and slender fibroblasts.
        let [long, short] = match rng.random_range(0..3) {
            0 => [rng.random_range(5.0..6.5), rng.random_range(4.6..5.5)],
            1 => [rng.random_range(8.0..11.5), rng.random_range(6.0..8.0)],
            _ => [rng.random_range(9.0..14.0), rng.random_range(3.0..4.2)],
        };
        Self {
            ellipse: Ellipse {
                centre: [0, 1].map(|_| rng.random_range(0.0..SIDE as f32)),
                radii: [long, short],
                turn: rng.random_range(0.0..std::f32::consts::PI),
            },
            tint: rng.random_range(-22.0..26.0),
        }
    }

    /// The pixels inside, each with its relative distance from the centre: 0 there, 1 at the edge.
    fn pixels(&self) -> impl Iterator<Item = ((usize, usize), f32)> + '_ {
        let Ellipse { centre, radii, .. } = self.ellipse;
        let reach = radii[0].ceil();
        let span = move |centre: f32| (centre - reach).max(0.0) as usize..((centre + reach + 1.0) as usize).min(SIDE);
        let square = span(centre[0]).flat_map(move |row| span(centre[1]).map(move |column| (row, column)));
        square.filter_map(move |(row, column)| {
            let [along, thick] = self.ellipse.along_axes(row as f32, column as f32);
            let level = (along / radii[0]).hypot(thick / radii[1]);
            (level < 1.0).then_some(((row, column), level))
        })
    }
}

/// Generates an image `[rows, columns, 3]` and the instance numbers `[rows, columns]`, consecutive from 1.
pub(super) fn generate(seed: u64) -> (Array3<f32>, Array2<u16>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = (SIDE, SIDE);
    let [fibres, lumen, grain, chromatin] =
        [(1, 12), (40, 40), (1, 1), (2, 2)].map(|blurs| smooth_noise(size, blurs, &mut rng));
    let mut image = Array3::from_shape_fn((SIDE, SIDE, 3), |(row, column, channel)| {
        let at = (row, column);
        let open = 1.0 / (1.0 + (-6.0 * (lumen[at] - 1.4)).exp());
        let tissue = TISSUE[channel] + 13.0 * fibres[at] * [0.4, 1.0, 0.7][channel];
        tissue + open * (GLASS[channel] - tissue)
    });
    let mut instances = Array2::<u16>::zeros(size);
    let mut count = 0;
    for _ in 0..TRIED {
        let nucleus = Nucleus::draw(&mut rng);
        let all = nucleus.pixels().count();
        let free: Vec<_> = nucleus.pixels().filter(|&(at, _)| instances[at] == 0).collect();
        if free.len() < FEWEST_PIXELS || (all - free.len()) as f32 > COVERED * all as f32 {
            continue;
        }
        count += 1;
        for (at, towards_edge) in free {
            instances[at] = count;
            // The membrane is darker than the inside, where the chromatin is clumped.
            let shade = nucleus.tint + 12.0 * chromatin[at] - 24.0 * towards_edge.powi(4);
            for channel in 0..3 {
                image[(at.0, at.1, channel)] = NUCLEUS[channel] + shade * [1.0, 0.9, 0.6][channel];
            }
        }
    }
    blur(&mut image, &[0, 1]);
    for ((row, column, _), value) in image.indexed_iter_mut() {
        *value = level(*value + 3.0 * grain[(row, column)]);
    }
    (image, instances)
}
