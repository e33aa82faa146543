//! What the image says of a shape's edge.

use ndarray::{Array2, ArrayView2, AxisDescription, Slice};
use sam_prompt::PixelAspect;

use crate::{PriorSlice, RandomWalker, Seed, levels::region_of};

/// Pixels farther outside the expected edge are left out of the walk, in pixels of the area 1. Around a wide edge, pixels farther than twice
/// the distance of the seeds.
const FAR: f32 = 14.0;
/// Share of the edge's width, and of the shape's depth, within which it is open on which side a pixel lies.
const BAND: f32 = 0.5;
/// Least distance of the seeds outside from the expected edge, in pixels of the area 1.
const LEAST_OUTSIDE: f32 = 1.0;

impl RandomWalker {
    /// The probability of each pixel to lie inside, if the edge of a shape moves onto an edge of the image near it. Where the shape is sure, it
    /// is 0 or 1.
    ///
    /// # Shapes
    /// - image: `[rows, columns]` of the shape, in 0..1
    pub fn refine(&self, image: ArrayView2<'_, f32>, prior: &PriorSlice, aspect: PixelAspect) -> Array2<f32> {
        let mut found = prior.signed.mapv(|distance| f32::from(u8::from(distance > 0.0)));
        let depth = prior.signed.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let inside = BAND * prior.width.min(depth);
        let outside = -(BAND * prior.width).max(LEAST_OUTSIDE);
        let far = (2.0 * outside).min(-FAR);
        let seed = |distance: f32| match distance {
            distance if distance > inside => Seed::Inside,
            distance if distance < outside => Seed::Outside,
            _ => Seed::Open,
        };
        let near = prior.signed.mapv(|distance| distance > far);
        let Some((rows, columns)) = region_of(near.view()) else { return found };
        let (rows, columns) = (Slice::from(rows), Slice::from(columns));
        let part = |axis: AxisDescription| if axis.axis.index() == 0 { rows } else { columns };
        let seeds = prior.signed.slice_each_axis(part).mapv(seed);
        if let Some(walked) = self.probabilities(image.slice_each_axis(part), seeds.view(), aspect) {
            found.slice_each_axis_mut(part).assign(&walked);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use sam_prompt::signed_distance_with;

    use super::*;

    /// A disc in the middle of a square image of 40 parts to a side.
    fn disc(parts: usize, radius: f32) -> Array2<bool> {
        let middle = 20.0 * parts as f32;
        Array2::from_shape_fn((40 * parts, 40 * parts), |(row, column)| {
            (row as f32 + 0.5 - middle).hypot(column as f32 + 0.5 - middle) < radius * parts as f32
        })
    }

    /// Pixels of the refined disc, in parts, if the shape's disc has a radius of 8 parts and the image's one of 10. The edge is 9 parts wide.
    fn refined(parts: usize) -> f32 {
        let image = disc(parts, 10.0).mapv(|inside| if inside { 0.8 } else { 0.2 });
        let signed = signed_distance_with(disc(parts, 8.0).view(), PixelAspect::SQUARE);
        let prior = PriorSlice { signed, width: 9.0 * parts as f32, is_between: true };
        let found = RandomWalker::default().refine(image.view(), &prior, PixelAspect::SQUARE);
        found.iter().filter(|&&inside| inside > 0.5).count() as f32 / (parts * parts) as f32
    }

    #[test]
    fn the_edge_moves_onto_the_images_however_small_its_pixels_are() {
        let expected = std::f32::consts::PI * 100.0;
        for parts in [1, 2, 4, 8] {
            let found = refined(parts);
            assert!((found - expected).abs() < 0.03 * expected, "{parts} pixels a part: {found}, not {expected}");
        }
    }
}
