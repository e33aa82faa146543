//! The exact Euclidean distance transform of two-dimensional masks, in pixels, square or not.
//!
//! `sam-eval` has its own distance transform for surface distances: any number of dimensions, in millimetres and floating point. This one
//! uses whole squared pixels, so that equal distances are exactly equal in samplers.

use ndarray::{Array2, ArrayView2, Axis, Zip};

use crate::PixelAspect;

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

/// Like [`signed_distance`], for pixels of any aspect, in units in which a pixel has the area 1.
///
/// The edge lies halfway between two pixels on its two sides, whatever the direction: half the distance of two columns from a pixel whose
/// neighbour on the same row is on the other side. For square pixels, the result is exactly that of [`signed_distance`].
///
/// # Shapes
/// - mask: `[rows, columns]`
/// - distances: the same
pub fn signed_distance_with(mask: ArrayView2<'_, bool>, aspect: PixelAspect) -> Array2<f32> {
    if aspect.is_square() {
        return signed_distance(mask);
    }
    let outside = mask.mapv(|inside| !inside);
    let border = if outside.iter().any(|&outside| outside) { Border::Ignored } else { Border::Outside };
    let to_edge = |mask: ArrayView2<'_, bool>, border| {
        // Lines are along the shorter side of a pixel, so that few of them are near.
        if aspect.rows() > aspect.columns() {
            edge_distances(mask, border, (aspect.rows(), aspect.columns()))
        } else {
            edge_distances(mask.reversed_axes(), border, (aspect.columns(), aspect.rows())).reversed_axes()
        }
    };
    let (within, beyond) = (to_edge(mask, border), to_edge(outside.view(), Border::Ignored));
    let signed = |&inside: &bool, &within: &f32, &beyond: &f32| if inside { within } else { -beyond };
    Zip::from(mask).and(&within).and(&beyond).map_collect(signed)
}

/// The distance of each pixel inside a mask to the nearest place halfway to a pixel outside it; 0 for pixels outside.
///
/// # Shapes
/// - mask: `[lines, pixels along a line]`; spacing: between lines, and along a line
fn edge_distances(mask: ArrayView2<'_, bool>, border: Border, (between, along): (f32, f32)) -> Array2<f32> {
    let (lines, length) = mask.dim();
    let far = (lines + 1) as f32 * between + (length + 1) as f32 * along;
    let steps = steps_along_lines(mask, border);
    if border == Border::Ignored && steps.iter().all(|steps| steps.is_infinite()) {
        return mask.mapv(|inside| if inside { far } else { 0.0 });
    }
    let nearest = |(line, at): (usize, usize)| {
        let mut nearest = far;
        for away in 0..=lines {
            let down = away as f32;
            if (down - 0.5) * between >= nearest {
                break;
            }
            // The line beyond the border is outside, or ignored.
            let is_beyond = border == Border::Outside && (away == line + 1 || away == lines - line);
            let above = line.checked_sub(away).map(|line| steps[(line, at)]);
            let below = (line + away < lines).then(|| steps[(line + away, at)]);
            for right in above.into_iter().chain(below).chain(is_beyond.then_some(0.0)) {
                let squared = (down * between).powi(2) + (right * along).powi(2);
                // Half a step is at most half the distance of lines.
                if squared < (nearest + 0.5 * between).powi(2) {
                    nearest = nearest.min(squared.sqrt() * (1.0 - 0.5 / down.hypot(right)));
                }
            }
        }
        nearest
    };
    Array2::from_shape_fn(mask.dim(), |at| if mask[at] { nearest(at) } else { 0.0 })
}

/// The number of steps from each pixel to the nearest one outside a mask on the same line: 0 outside, infinite if there is none.
fn steps_along_lines(mask: ArrayView2<'_, bool>, border: Border) -> Array2<f32> {
    let at_border = if border == Border::Outside { 0.0 } else { f32::INFINITY };
    let mut steps = mask.mapv(|inside| if inside { f32::INFINITY } else { 0.0 });
    let pass = |steps: f32, next: &mut f32| {
        *next = next.min(steps + 1.0);
        *next
    };
    for mut line in steps.rows_mut() {
        line.iter_mut().fold(at_border, pass);
        line.iter_mut().rev().fold(at_border, pass);
    }
    steps
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
    use proptest::{collection::vec, prelude::*};

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

    proptest! {
        #[test]
        fn distances_with_an_aspect_are_those_of_a_search(
            (size, inside) in (1..7_usize, 1..7_usize).prop_flat_map(|size| (Just(size), vec(any::<bool>(), size.0 * size.1))),
            (rows, columns) in (0.1..8.0_f64, 0.1..8.0_f64),
        ) {
            let mask = Array2::from_shape_vec(size, inside).expect("as many as pixels");
            let aspect = PixelAspect::of_spacing(rows, columns).expect("positive numbers");
            let found = signed_distance_with(mask.view(), aspect);
            for (at, &distance) in found.indexed_iter() {
                let others = mask.indexed_iter().filter(|&(_, &inside)| inside != mask[at]);
                let to_edge = |(other, _): ((usize, usize), &bool)| {
                    let (down, right) = (at.0.abs_diff(other.0) as f32, at.1.abs_diff(other.1) as f32);
                    aspect.length(down, right) * (1.0 - 0.5 / down.hypot(right))
                };
                let nearest = others.map(to_edge).fold(f32::INFINITY, f32::min);
                let right = if nearest.is_finite() { (distance.abs() - nearest).abs() < 1e-4 } else { distance != 0.0 };
                prop_assert!(right && (distance > 0.0) == mask[at], "{distance} and {nearest}");
            }
        }
    }

    #[test]
    fn an_edge_lies_halfway_between_pixels_of_any_aspect() {
        let aspect = PixelAspect::of_spacing(4.0, 1.0).expect("positive numbers");
        let mask = array![[true, true, false, false], [true, true, false, false], [false; 4], [false; 4]];
        let found = signed_distance_with(mask.view(), aspect);
        assert_eq!(found.row(0), array![0.75, 0.25, -0.25, -0.75]);
        assert_eq!(found.column(0).to_vec(), [0.75, 0.75, -1.0, -3.0]);
        let turned = PixelAspect::of_spacing(1.0, 4.0).expect("positive numbers");
        assert_eq!(signed_distance_with(mask.t(), turned), found.t());
        assert_eq!(signed_distance_with(mask.view(), PixelAspect::SQUARE), signed_distance(mask.view()));
        // A full mask ends at the border, an empty one has its edge beyond it.
        let full = Array2::from_elem((3, 5), true);
        assert_eq!(signed_distance_with(full.view(), aspect).row(1), array![0.25, 0.75, 1.25, 0.75, 0.25]);
        let empty = signed_distance_with(full.mapv(|_| false).view(), aspect);
        assert!(empty.iter().all(|&distance| distance < -8.0), "{empty}");
        assert_eq!(signed_distance_with(Array2::from_elem((0, 4), true).view(), aspect).dim(), (0, 4));
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
