//! Phantoms: synthetic scans and images, for tests and demos without data.
//!
//! No phantom was measured on a patient. Organs are smooth bodies of plausible size, position and brightness, drawn from a seed. Phantoms
//! show that a program works, not how well it works on real scans.

mod body;
mod cord;
mod ellipse;
mod kidney;
mod kind;
mod noise;
mod nuclei;
mod tumour;

use ndarray::Array3;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{LabelTable, LabelVolume, Volume};
use body::Anatomy;
pub use kind::PhantomKind;
use noise::{blur, normal};
use tumour::Tumours;

/// The configuration of a synthetic abdomen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PhantomConfig {
    /// Number of voxels from left to right, back to front, and foot to head.
    pub shape: [usize; 3],
    /// Voxel spacing, in mm.
    pub spacing_mm: [f64; 3],
    /// Standard deviation of the noise, in HU.
    pub noise_hu: f32,
    /// Whether to add liver lesions and a kidney tumour, with their own labels. Everything else stays the same.
    pub tumours: bool,
    /// Seed of the shapes and the noise.
    pub seed: u64,
}

impl Default for PhantomConfig {
    fn default() -> Self {
        Self { shape: [192, 160, 48], spacing_mm: [2.0, 2.0, 5.0], noise_hu: 14.0, tumours: false, seed: 0 }
    }
}

/// A synthetic scan with exact labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Phantom {
    /// The scan, in HU.
    pub volume: Volume,
    /// The labels of the organs.
    pub labels: LabelVolume,
    /// The names of the organs.
    pub table: LabelTable,
}

impl PhantomConfig {
    /// This config with another shape: number of voxels from left to right, back to front, and foot to head.
    #[must_use]
    pub const fn with_shape(self, shape: [usize; 3]) -> Self {
        Self { shape, ..self }
    }

    /// This config with another voxel spacing, in mm.
    #[must_use]
    pub const fn with_spacing_mm(self, spacing_mm: [f64; 3]) -> Self {
        Self { spacing_mm, ..self }
    }

    /// This config with another standard deviation of the noise, in HU.
    #[must_use]
    pub const fn with_noise_hu(self, noise_hu: f32) -> Self {
        Self { noise_hu, ..self }
    }

    /// This config with or without tumours.
    #[must_use]
    pub const fn with_tumours(self, tumours: bool) -> Self {
        Self { tumours, ..self }
    }

    /// This config with another seed.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Generates the scan. The same config gives the same voxels.
    pub fn generate(&self) -> Phantom {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let anatomy = Anatomy::draw(&mut rng);
        // Tumours have their own random generator, so that organs and noise do not depend on them.
        let mut tumour_rng = ChaCha8Rng::seed_from_u64(self.seed);
        tumour_rng.set_stream(1);
        let tumours = self.tumours.then(|| Tumours::draw(&anatomy, &mut tumour_rng));
        let [width, depth, height] = self.shape;
        let at = |index: usize, count: usize| 2.0 * (index as f32 + 0.5) / count as f32 - 1.0;
        let mut voxels = Array3::zeros((width, depth, height));
        let mut labels = Array3::zeros((width, depth, height));
        for ((i, j, k), voxel) in voxels.indexed_iter_mut() {
            let place = [at(i, width), at(j, depth), at(k, height)];
            let tissue = anatomy.tissue(place);
            let (hu, label) = tumours.as_ref().map_or(tissue, |tumours| tumours.over(place, tissue));
            *voxel = hu;
            labels[(i, j, k)] = label;
        }
        // Blurring the voxels simulates the partial volume effect. Blurring the noise simulates a soft reconstruction kernel.
        blur(&mut voxels, &[0, 1]);
        let mut noise = Array3::from_shape_simple_fn(voxels.dim(), || normal(&mut rng));
        blur(&mut noise, &[0, 1]);
        // Blurring by 1/4, 1/2, 1/4 along two axes reduces the standard deviation to 3/8.
        voxels.zip_mut_with(&noise, |voxel, &noise| {
            *voxel = (*voxel + noise * self.noise_hu * 8.0 / 3.0).round().clamp(-1024.0, 3071.0);
        });
        let affine = centred(self.shape, self.spacing_mm);
        Phantom {
            volume: Volume::new(voxels, affine),
            labels: LabelVolume::new(labels, affine),
            table: body::names(self.tumours).collect(),
        }
    }
}

/// A RAS affine with the origin at the volume's centre.
fn centred(shape: [usize; 3], spacing_mm: [f64; 3]) -> [[f64; 4]; 4] {
    let mut affine = [[0.0; 4]; 4];
    for (axis, (spacing, count)) in spacing_mm.into_iter().zip(shape).enumerate() {
        affine[axis][axis] = spacing;
        affine[axis][3] = -spacing * (count as f64 - 1.0) / 2.0;
    }
    affine[3][3] = 1.0;
    affine
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_scan_and_every_organ_ends_within_it() {
        let config = PhantomConfig::default().with_shape([96, 80, 32]);
        let phantom = config.generate();
        assert_eq!(phantom, config.generate());
        assert_ne!(phantom, config.clone().with_seed(1).generate());
        for structure in phantom.table.structures() {
            let mask = phantom.labels.mask(&structure.values);
            let slices: Vec<bool> = mask.axis_iter(Axis(2)).map(|slice| slice.iter().any(|&inside| inside)).collect();
            let shown = slices.iter().filter(|&&shown| shown).count();
            assert!((5..slices.len()).contains(&shown), "{} is on {shown} slices", structure.name);
        }
    }

    #[test]
    fn organs_have_their_hu_and_sides() {
        let phantom = PhantomConfig::default().with_shape([96, 80, 32]).generate();
        let of = |name: &str| {
            let structure = &phantom.table.parse_structures(name).expect("an organ")[0];
            let mask = phantom.labels.mask(&structure.values);
            let inside = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(index, _)| index);
            let (mut count, mut hu, mut right) = (0.0, 0.0, 0.0);
            for index in inside {
                (count, hu, right) = (count + 1.0, hu + phantom.volume.voxels[index], right + index.0 as f32);
            }
            (hu / count, right / count)
        };
        let ((liver_hu, liver_at), (_, spleen_at)) = (of("liver"), of("spleen"));
        assert!((80.0..130.0).contains(&liver_hu), "{liver_hu}");
        assert!(liver_at > 48.0 && spleen_at < 48.0, "the liver is on the right, the spleen on the left");
    }
}
