//! How deep in a mask each pixel lies.

use ndarray::{Array2, ArrayView2, Axis};

/// The distance of each pixel inside a mask to the nearest pixel outside it, and 0 outside.
///
/// The image is taken to be surrounded by outside pixels, so that a mask that touches the border ends there. Every mask has
/// finite distances and every non-empty one pixels of distance 1; the peak of a full mask is the image's middle.
///
/// Shapes: mask `[rows, columns]` to distances of the same shape. Units: pixels, from centre to centre; the mask's outermost
/// pixels have distance 1.
///
/// Exact, in time linear in the number of pixels.
///
/// # Source
/// P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012.
pub fn distance_transform(mask: ArrayView2<'_, bool>) -> Array2<f32> {
    squared_distances(mask, Beyond::Outside).mapv(|squared| (squared as f32).sqrt())
}

/// What the pixels beyond the image's border are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Outside the mask.
    Outside,
    /// Unknown: only pixels of the image can be outside the mask.
    Unknown,
}

/// [`distance_transform`] squared: whole numbers, so that equal distances are equal.
///
/// Where nothing is outside the mask, distances have no meaning.
pub(crate) fn squared_distances(mask: ArrayView2<'_, bool>, beyond: Beyond) -> Array2<i64> {
    let (rows, columns) = mask.dim();
    // The ring of pixels around the image is really there while we compute. No distance is as long as both sides together.
    let far = ((rows + columns + 2) as i64).pow(2);
    let ring = if beyond == Beyond::Outside { 0 } else { far };
    let mut squared = Array2::from_elem((rows + 2, columns + 2), ring);
    for ((row, column), &inside) in mask.indexed_iter() {
        squared[(row + 1, column + 1)] = if inside { far } else { 0 };
    }
    for axis in [Axis(1), Axis(0)] {
        for mut lane in squared.lanes_mut(axis) {
            let nearest = lower_envelope(lane.iter().copied());
            lane.iter_mut().zip(nearest).for_each(|(squared, nearest)| *squared = nearest);
        }
    }
    Array2::from_shape_fn((rows, columns), |(row, column)| squared[(row + 1, column + 1)])
}

/// An upward parabola `height + (place - vertex)²`, and the first place where it lies below all earlier ones.
struct Parabola {
    vertex: i64,
    height: i64,
    from: i64,
}

/// At each place the least of `heights[vertex] + (place - vertex)²` over all vertices.
fn lower_envelope(heights: impl ExactSizeIterator<Item = i64>) -> Vec<i64> {
    let places = 0..heights.len() as i64;
    let mut envelope: Vec<Parabola> = Vec::new();
    for (vertex, height) in places.clone().zip(heights) {
        let mut from = 0;
        while let Some(last) = envelope.last() {
            let rise = (height + vertex.pow(2)) - (last.height + last.vertex.pow(2));
            from = rise.div_euclid(2 * (vertex - last.vertex)) + 1;
            if from > last.from {
                break;
            }
            // The new parabola passes below all of the last one's reach.
            envelope.pop();
            from = 0;
        }
        envelope.push(Parabola { vertex, height, from });
    }
    let mut lowest = envelope.iter().peekable();
    let mut least = Vec::with_capacity(envelope.len());
    while let Some(parabola) = lowest.next() {
        let until = lowest.peek().map_or(places.end, |next| next.from.min(places.end));
        least.extend((parabola.from..until).map(|place| parabola.height + (place - parabola.vertex).pow(2)));
    }
    least
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn full_mask_is_deepest_in_its_middle() {
        let full = Array2::from_elem((3, 5), true);
        let expected = array![[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
        assert_eq!(distance_transform(full.view()), expected);
    }

    #[test]
    fn distances_are_euclidean() {
        let mut mask = Array2::from_elem((9, 9), true);
        mask[(4, 4)] = false;
        let distances = distance_transform(mask.view());
        assert!((distances[(2, 3)] - 5.0_f32.sqrt()).abs() < 1e-6);
        assert!((distances[(3, 3)] - 2.0_f32.sqrt()).abs() < 1e-6);
        assert_eq!(distance_transform(Array2::from_elem((0, 4), true).view()).dim(), (0, 4));
    }
}
