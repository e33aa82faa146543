//! Appearance of the annotated structure and of its surroundings: histogram and features.

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView3};
use sam_core::{AnnotatedSlice, ImageEmbedding};
use sam_prompt::dilate;

/// Number of histogram bins for the 256 levels of an image.
const BINS: usize = 16;

/// The fraction of pixels in each bin of levels, averaged over channels.
type Histogram = [f32; BINS];

/// Histogram and features of the outlined structure, and features of its surroundings.
#[derive(Debug, Clone)]
pub(super) struct Appearance {
    /// Width of the surroundings, in image pixels.
    ring: usize,
    histogram: Histogram,
    /// Unit vectors, one for each annotated slice with the structure.
    inside: Vec<Vec<f32>>,
    around: Vec<Vec<f32>>,
    /// The mean of all of them before normalisation.
    centre: Vec<f32>,
}

impl Appearance {
    /// The appearance in the annotated slices with the structure. There must be at least one.
    ///
    /// # Shapes
    /// - images: `[rows, columns, channels]`, 8-bit levels, in the slices' order
    pub(super) fn of<B: Backend>(annotated: &[(&AnnotatedSlice<B>, ArrayView3<'_, u8>)], ring: usize) -> Self {
        let mut pooled = [0.0; BINS];
        let (mut inside, mut around) = (Vec::new(), Vec::new());
        for (slice, image) in annotated {
            let own = histogram(*image, slice.outline());
            pooled.iter_mut().zip(own).for_each(|(sum, share)| *sum += share / annotated.len() as f32);
            inside.extend(mean_features(slice.embedding(), slice.outline()));
            around.extend(mean_features(slice.embedding(), &surroundings(slice.outline(), ring)));
        }
        let all: Vec<_> = inside.iter().chain(&around).collect();
        let mut centre = vec![0.0; all.first().map_or(0, |features| features.len())];
        for features in &all {
            centre.iter_mut().zip(*features).for_each(|(sum, value)| *sum += value / all.len() as f32);
        }
        let direct = |found: Vec<Vec<f32>>| found.into_iter().map(|features| direction(features, &centre)).collect();
        Self { ring, histogram: pooled, inside: direct(inside), around: direct(around), centre }
    }

    /// Overlap of a mask's histogram with that of the outlines, from 0 to 1.
    pub(super) fn intensity(&self, image: ArrayView3<'_, u8>, mask: &Array2<bool>) -> f32 {
        histogram(image, mask).iter().zip(self.histogram).map(|(own, known)| own.min(known)).sum()
    }

    /// How much more similar the features inside a mask are to those inside the outlines than to those around them, and the reverse for the
    /// mask's surroundings. From 0 to 1; 0.5 if there is no difference.
    pub(super) fn prototype<B: Backend>(&self, embedding: &ImageEmbedding<B>, mask: &Array2<bool>) -> f32 {
        let margin = |part: &Array2<bool>| {
            let features = mean_features(embedding, part)?;
            let own = direction(features, &self.centre);
            let most_similar = |known: &[Vec<f32>]| {
                let cosines = known.iter().map(|other| other.iter().zip(&own).map(|(a, b)| a * b).sum::<f32>());
                cosines.reduce(f32::max)
            };
            Some((most_similar(&self.inside)? - most_similar(&self.around)?) / 2.0)
        };
        let (inside, around) = (margin(mask).unwrap_or(0.0), margin(&surroundings(mask, self.ring)).unwrap_or(0.0));
        0.5 + (inside - around) / 4.0
    }
}

/// The pixels around a mask.
fn surroundings(mask: &Array2<bool>, ring: usize) -> Array2<bool> {
    let mut around = dilate(mask.view(), ring);
    around.zip_mut_with(mask, |around, &inside| *around &= !inside);
    around
}

/// Histogram of a mask's pixels; all zero for an empty mask.
fn histogram(image: ArrayView3<'_, u8>, mask: &Array2<bool>) -> Histogram {
    let mut counts = [0.0; BINS];
    let channels = image.dim().2 as f32;
    for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
        let level = (0..image.dim().2).map(|channel| f32::from(image[(row, column, channel)])).sum::<f32>() / channels;
        counts[((level / 256.0 * BINS as f32) as usize).min(BINS - 1)] += 1.0;
    }
    let total = counts.iter().sum::<f32>();
    if total > 0.0 { counts.map(|count| count / total) } else { counts }
}

/// Mean features under a mask; `None` for an empty mask.
fn mean_features<B: Backend>(embedding: &ImageEmbedding<B>, mask: &Array2<bool>) -> Option<Vec<f32>> {
    let [_, channels, height, width] = embedding.features().dims();
    let frame = embedding.frame();
    let ((rows, columns), (resized_rows, resized_columns)) = (frame.original, frame.resized);
    // Number of mask pixels on each pixel of the features.
    let mut weights = vec![0.0_f32; height * width];
    for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
        let place = |at: usize, of: usize, resized: usize, fields: usize| {
            let at = (at as f32 + 0.5) * resized as f32 / of as f32 * fields as f32 / frame.padded as f32;
            (at as usize).min(fields - 1)
        };
        let (y, x) = (place(row, rows, resized_rows, height), place(column, columns, resized_columns, width));
        weights[y * width + x] += 1.0;
    }
    let total = weights.iter().sum::<f32>();
    if total <= 0.0 {
        return None;
    }
    let features: Vec<f32> = embedding.features().to_data().iter::<f32>().collect();
    let mean = |of: &[f32]| of.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f32>() / total;
    let means: Vec<f32> = features.chunks_exact(height * width).take(channels).map(mean).collect();
    Some(means)
}

/// The unit vector from a centre to some features; zero if the features are the centre.
fn direction(mut features: Vec<f32>, centre: &[f32]) -> Vec<f32> {
    features.iter_mut().zip(centre).for_each(|(value, centre)| *value -= centre);
    let length = features.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in &mut features {
            *value /= length;
        }
    }
    features
}
