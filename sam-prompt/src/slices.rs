//! Choice of the slices that a simulated annotator outlines.

use std::collections::BTreeSet;

use rand::{Rng, RngExt, seq::index};
use serde::{Deserialize, Serialize};

/// How to choose the slices to annotate from those that show the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SliceSelection {
    /// Drawn without replacement from a normal distribution around the median foreground slice (the upper one of two), with the
    /// standard deviation of the foreground slices' indices, clipped to their range (paper section 4; that deviation is our
    /// reading of its "std of foreground ranges"). Each draw takes the nearest slice that is left.
    #[default]
    Normal,
    /// Drawn from the foreground slices with equal probability.
    Uniform,
    /// At equal distances, without the ends, as an annotator would choose by eye.
    Equidistant,
}

impl SliceSelection {
    /// Chooses `count` of the foreground slices, given in any order, or all if there are fewer.
    ///
    /// The result is in the order of choosing: except for [`SliceSelection::Equidistant`], its first elements are a smaller choice by
    /// the same rule.
    pub fn choose(self, foreground: &[usize], count: usize, rng: &mut dyn Rng) -> Vec<usize> {
        let foreground: Vec<usize> = foreground.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let count = count.min(foreground.len());
        if count == 0 {
            return Vec::new();
        }
        match self {
            Self::Uniform => index::sample(rng, foreground.len(), count).into_iter().map(|at| foreground[at]).collect(),
            Self::Equidistant => (0..count)
                .map(|part| (2 * part + 1) * foreground.len() / (2 * count))
                .map(|at| foreground[at])
                .collect(),
            Self::Normal => choose_normal(foreground, count, rng),
        }
    }
}

/// Chooses `count` of the slices that do not show the object, with equal probability, or all if there are fewer (paper section 4).
///
/// They cost the annotator little time, because there is nothing to outline.
pub fn choose_background(background: &[usize], count: usize, rng: &mut dyn Rng) -> Vec<usize> {
    SliceSelection::Uniform.choose(background, count, rng)
}

/// Implements [`SliceSelection::Normal`]. `remaining` is not empty and in ascending order.
fn choose_normal(mut remaining: Vec<usize>, count: usize, rng: &mut dyn Rng) -> Vec<usize> {
    let slices = remaining.len() as f64;
    let mean = remaining.iter().sum::<usize>() as f64 / slices;
    let variance = remaining.iter().map(|&slice| (slice as f64 - mean).powi(2)).sum::<f64>() / slices;
    let (first, median, last) = (remaining[0], remaining[remaining.len() / 2], remaining[remaining.len() - 1]);
    (0..count)
        .map(|_| {
            let wanted = median as f64 + variance.sqrt() * standard_normal(rng);
            let wanted = wanted.clamp(first as f64, last as f64);
            // Draws without replacement: takes the nearest slice that is left.
            let nearest = |&a: &usize, &b: &usize| {
                (remaining[a] as f64 - wanted).abs().total_cmp(&(remaining[b] as f64 - wanted).abs())
            };
            let nearest = (0..remaining.len()).min_by(nearest).unwrap_or(0);
            remaining.remove(nearest)
        })
        .collect()
}

/// A standard normal number, by the Box-Muller transform of two uniform ones.
fn standard_normal(rng: &mut dyn Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn chosen_slices_are_distinct_foreground_and_seeded() {
        let foreground: Vec<usize> = (10..40).filter(|slice| slice % 3 != 0).collect();
        for selection in [SliceSelection::Normal, SliceSelection::Uniform, SliceSelection::Equidistant] {
            let choose = |seed| selection.choose(&foreground, 5, &mut ChaCha8Rng::seed_from_u64(seed));
            let mut chosen = choose(3);
            assert_eq!(chosen, choose(3), "{selection:?}");
            assert!(chosen.iter().all(|slice| foreground.contains(slice)), "{selection:?}");
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 5, "{selection:?}");
            assert_eq!(selection.choose(&foreground[..2], 5, &mut ChaCha8Rng::seed_from_u64(3)).len(), 2);
            assert!(selection.choose(&[], 5, &mut ChaCha8Rng::seed_from_u64(3)).is_empty());
        }
    }

    #[test]
    fn normal_choice_prefers_the_middle() {
        let foreground: Vec<usize> = (0..101).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let chosen: Vec<usize> =
            (0..500).flat_map(|_| SliceSelection::Normal.choose(&foreground, 1, &mut rng)).collect();
        let within = chosen.iter().filter(|&&slice| slice.abs_diff(50) <= 29).count() as f64 / chosen.len() as f64;
        // One standard deviation, 29.15 slices, holds 68 % of a normal distribution.
        assert!((0.63..0.73).contains(&within), "{within}");
    }
}
