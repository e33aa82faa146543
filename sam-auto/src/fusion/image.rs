//! What the image says of a shape's edge.

use ndarray::{Array2, ArrayView2, AxisDescription, Slice};
use sam_prompt::PixelAspect;

use crate::{PriorSlice, RandomWalker, Seed, levels::region_of};

/// Pixels farther outside the expected edge than this are not walked on, in pixels of the area 1.
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
        let seed = |distance: f32| match distance {
            distance if distance > inside => Seed::Inside,
            distance if distance < outside => Seed::Outside,
            _ => Seed::Open,
        };
        let near = prior.signed.mapv(|distance| distance > -FAR);
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
