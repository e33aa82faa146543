//! A synthetic abdominal CT, for a first run without any data.
//!
//! Nothing here was measured on a patient: organs are smooth bodies of plausible size, place and HU, drawn from a seed. It shows that
//! the program works, not how well it does on scans.

mod body;

use ndarray::{Array3, ArrayViewMut1, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{LabelTable, LabelVolume, Volume};
use body::Anatomy;

/// How a synthetic abdomen is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhantomConfig {
    /// Voxels from left to right, back to front, and foot to head.
    pub shape: [usize; 3],
    /// Distance between voxels, in mm.
    pub spacing_mm: [f64; 3],
    /// Standard deviation of the noise, in HU.
    pub noise_hu: f32,
    /// Seed of shapes and noise.
    pub seed: u64,
}

impl Default for PhantomConfig {
    fn default() -> Self {
        Self { shape: [192, 160, 48], spacing_mm: [2.0, 2.0, 5.0], noise_hu: 14.0, seed: 0 }
    }
}

/// A synthetic scan with its exact labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Phantom {
    /// The scan, in HU.
    pub volume: Volume,
    /// The organs.
    pub labels: LabelVolume,
    /// The organs' names.
    pub table: LabelTable,
}

impl PhantomConfig {
    /// Makes the scan. The same configuration gives the same voxels.
    pub fn generate(&self) -> Phantom {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let anatomy = Anatomy::draw(&mut rng);
        let [width, depth, height] = self.shape;
        let at = |index: usize, count: usize| 2.0 * (index as f32 + 0.5) / count as f32 - 1.0;
        let mut voxels = Array3::zeros((width, depth, height));
        let mut labels = Array3::zeros((width, depth, height));
        for ((i, j, k), voxel) in voxels.indexed_iter_mut() {
            let (hu, label) = anatomy.tissue([at(i, width), at(j, depth), at(k, height)]);
            *voxel = hu;
            labels[(i, j, k)] = label;
        }
        // Partial volume first, then noise with the slight blur of a soft reconstruction kernel.
        blur(&mut voxels);
        let mut noise = Array3::from_shape_simple_fn(voxels.dim(), || {
            // The sum of three uniform numbers is normal enough for noise; its variance is 1.
            (0..3).map(|_| rng.random_range(-1.0_f32..1.0)).sum::<f32>()
        });
        blur(&mut noise);
        // Blurring by 1/4, 1/2, 1/4 along two axes leaves 3/8 of the standard deviation.
        voxels.zip_mut_with(&noise, |voxel, &noise| {
            *voxel = (*voxel + noise * self.noise_hu * 8.0 / 3.0).round().clamp(-1024.0, 3071.0);
        });
        let affine = self.affine();
        Phantom {
            volume: Volume::new(voxels, affine),
            labels: LabelVolume::new(labels, affine),
            table: body::names().collect(),
        }
    }

    /// RAS, with the volume's centre at the origin.
    fn affine(&self) -> [[f64; 4]; 4] {
        let mut affine = [[0.0; 4]; 4];
        for (axis, (spacing, count)) in self.spacing_mm.into_iter().zip(self.shape).enumerate() {
            affine[axis][axis] = spacing;
            affine[axis][3] = -spacing * (count as f64 - 1.0) / 2.0;
        }
        affine[3][3] = 1.0;
        affine
    }
}

/// Averages each voxel with its neighbours within the slice, by 1/4, 1/2, 1/4 along both axes.
fn blur(voxels: &mut Array3<f32>) {
    let average = |mut lane: ArrayViewMut1<'_, f32>| {
        let old = lane.to_vec();
        let last = old.len().saturating_sub(1);
        for (index, value) in lane.iter_mut().enumerate() {
            *value = (old[index.saturating_sub(1)] + 2.0 * old[index] + old[(index + 1).min(last)]) / 4.0;
        }
    };
    for axis in [0, 1] {
        voxels.lanes_mut(Axis(axis)).into_iter().for_each(average);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_scan_and_every_organ_ends_within_it() {
        let config = PhantomConfig { shape: [96, 80, 32], ..PhantomConfig::default() };
        let phantom = config.generate();
        assert_eq!(phantom, config.generate());
        assert_ne!(phantom, PhantomConfig { seed: 1, ..config.clone() }.generate());
        for structure in phantom.table.structures() {
            let mask = phantom.labels.mask(&structure.values);
            let slices: Vec<bool> = mask.axis_iter(Axis(2)).map(|slice| slice.iter().any(|&inside| inside)).collect();
            let shown = slices.iter().filter(|&&shown| shown).count();
            assert!((5..slices.len()).contains(&shown), "{} is on {shown} slices", structure.name);
        }
    }

    #[test]
    fn organs_have_their_hu_and_sides() {
        let phantom = PhantomConfig { shape: [96, 80, 32], ..PhantomConfig::default() }.generate();
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
