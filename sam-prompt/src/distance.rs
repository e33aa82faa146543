//! The exact Euclidean distance transform of two-dimensional masks, in pixels.
//!
//! `sam-eval` has its own distance transform for surface distances: any number of dimensions, in millimetres and floating point. This one
//! uses whole squared pixels, so that equal distances are exactly equal in samplers.

use ndarray::{Array2, ArrayView2, Axis, Zip};

/// The distance of each pixel inside a mask to the nearest pixel outside it; 0 for pixels outside.
///
/// Pixels beyond the image's border count as outside, so that a mask that touches the border ends there. All distances are finite;
/// the peak of a full mask is the image's middle. The result is exact, in time linear in the number of pixels.
///
/// # Shapes
/// - mask: `[rows, columns]`
/// - distances: the same
///
/// # Units
/// Pixels, from centre to centre; the mask's outermost pixels have distance 1.
///
/// # Source
/// P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012.
pub fn distance_transform(mask: ArrayView2<'_, bool>) -> Array2<f32> {
    squared_distances(mask, Border::Outside).mapv(|squared| (squared as f32).sqrt())
}

/// The signed distance of each pixel to the edge of a mask: positive inside, negative outside.
///
/// The edge lies halfway between the last pixel inside and the first outside, so the values next to it are 0.5 and -0.5. The mask may go
/// on beyond the image's border. A full mask ends at the border, and an empty one has its edge beyond every pixel.
///
/// # Shapes
/// - mask: `[rows, columns]`
/// - distances: the same
///
/// # Units
/// Pixels, from centre to edge.
pub fn signed_distance(mask: ArrayView2<'_, bool>) -> Array2<f32> {
    let outside = mask.mapv(|inside| !inside);
    let border = if outside.iter().any(|&outside| outside) { Border::Ignored } else { Border::Outside };
    let (within, beyond) = (squared_distances(mask, border), squared_distances(outside.view(), Border::Ignored));
    let to_edge = |squared: i64| (squared as f32).sqrt() - 0.5;
    Zip::from(mask)
        .and(&within)
        .and(&beyond)
        .map_collect(|&inside, &within, &beyond| if inside { to_edge(within) } else { -to_edge(beyond) })
}

/// How the pixels beyond the image's border count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// As pixels outside the mask.
    Outside,
    /// Ignored: only pixels of the image count.
    Ignored,
}

/// Like [`distance_transform`], but returns squared distances as whole numbers, so that equal distances are exactly equal.
///
/// If no pixel is outside the mask, the distances have no meaning.
pub(crate) fn squared_distances(mask: ArrayView2<'_, bool>, border: Border) -> Array2<i64> {
    let (rows, columns) = mask.dim();
    // The image gets a ring of pixels around it. Every distance is less than the sum of both sides.
    let far = ((rows + columns + 2) as i64).pow(2);
    let ring = if border == Border::Outside { 0 } else { far };
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

/// An upward parabola `height + (position - vertex)²`, and the first position where it is below all earlier ones.
struct Parabola {
    vertex: i64,
    height: i64,
    from: i64,
}

/// The minimum at each position of `heights[vertex] + (position - vertex)²` over all vertices.
fn lower_envelope(heights: impl ExactSizeIterator<Item = i64>) -> Vec<i64> {
    let positions = 0..heights.len() as i64;
    let mut envelope: Vec<Parabola> = Vec::new();
    for (vertex, height) in positions.clone().zip(heights) {
        let mut from = 0;
        while let Some(last) = envelope.last() {
            let rise = (height + vertex.pow(2)) - (last.height + last.vertex.pow(2));
            from = rise.div_euclid(2 * (vertex - last.vertex)) + 1;
            if from > last.from {
                break;
            }
            // The new parabola is below the last one everywhere that the last one was lowest.
            envelope.pop();
            from = 0;
        }
        envelope.push(Parabola { vertex, height, from });
    }
    let mut lowest = envelope.iter().peekable();
    let mut least = Vec::with_capacity(envelope.len());
    while let Some(parabola) = lowest.next() {
        let until = lowest.peek().map_or(positions.end, |next| next.from.min(positions.end));
        least.extend((parabola.from..until).map(|position| parabola.height + (position - parabola.vertex).pow(2)));
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
    fn signed_distances_are_half_a_pixel_beside_the_edge() {
        let mask = array![[false, true, true, true, false, false]];
        assert_eq!(signed_distance(mask.view()), array![[-0.5, 0.5, 1.5, 0.5, -0.5, -1.5]]);
        // The mask may go on beyond the border.
        assert_eq!(signed_distance(array![[true, true, false]].view()), array![[1.5, 0.5, -0.5]]);
        let full = Array2::from_elem((3, 3), true);
        assert_eq!(signed_distance(full.view()).row(1), array![0.5, 1.5, 0.5]);
        assert!(signed_distance(full.mapv(|_| false).view()).iter().all(|&distance| distance < -2.0));
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
