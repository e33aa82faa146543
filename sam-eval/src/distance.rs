//! Distances in millimetres to the nearest element of a mask, for surface metrics.
//!
//! `sam_prompt::distance_transform` is another implementation, in whole squared pixels; its documentation gives the reason.

use ndarray::ArrayD;
use rayon::prelude::*;

/// The squared distance of each element of one set to the nearest element of another set; infinite if the other set is empty.
///
/// The result is exact. For all axes except the last, the time is linear in the number of elements: a forward and a backward sweep along
/// the first axis, then lower envelopes along the next axes, limited to the largest distance that can matter. Along the last axis, each
/// element of `from` searches its neighbourhood only as far as the nearest element found.
///
/// # Shapes
/// - from, to: the same shape, in standard layout; spacing: one length for each axis, in millimetres
/// - output: one for each element of `from`, in scan order, in square millimetres
///
/// # Source
/// P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012.
pub(crate) fn squared_distances(from: &ArrayD<bool>, to: &ArrayD<bool>, spacing: &[f64]) -> Vec<f64> {
    let shape = to.shape();
    let (Some(from), Some(to)) = (from.as_slice(), to.as_slice()) else { return Vec::new() };
    let (&[.., length], &[.., last_step]) = (shape, spacing) else { return Vec::new() };
    let mut squared: Vec<f64> = to.iter().map(|&inside| if inside { 0.0 } else { f64::INFINITY }).collect();
    for (axis, &step) in spacing.iter().enumerate().take(shape.len() - 1) {
        let plane = shape[axis + 1..].iter().product();
        if axis == 0 {
            sweep(&mut squared, plane, step);
        } else {
            let blocks = squared.par_chunks_mut(shape[axis] * plane).zip(from.par_chunks(shape[axis] * plane));
            blocks.for_each_init(Envelope::default, |envelope, (block, from)| {
                if let Some(farthest) = farthest(from, block, (plane, step), (length, last_step)) {
                    envelope.lower(block, plane, step, farthest);
                }
            });
        }
    }
    let rows = from.par_chunks(length).zip(squared.par_chunks(length));
    rows.flat_map_iter(|(from, squared)| {
        let asked = from.iter().enumerate().filter(|&(_, &is_asked)| is_asked);
        asked.map(|(at, _)| nearest(squared, at, (1, last_step)))
    })
    .collect()
}

/// Replaces the values 0 (in the set) and infinity (outside) by squared distances along the first axis, plane by plane.
fn sweep(squared: &mut [f64], plane: usize, step: f64) {
    let count = squared.len() / plane;
    let pass_on = |from: &[f64], to: &mut [f64]| {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = if from + 1.0 < *to { from + 1.0 } else { *to };
        }
    };
    let square = |steps: &mut [f64]| steps.iter_mut().for_each(|steps| *steps = (*steps * step).powi(2));
    for at in 1..count {
        let (before, after) = squared.split_at_mut(at * plane);
        pass_on(&before[(at - 1) * plane..], &mut after[..plane]);
    }
    for at in (1..count).rev() {
        let (before, after) = squared.split_at_mut(at * plane);
        pass_on(&after[..plane], &mut before[(at - 1) * plane..]);
        square(&mut after[..plane]);
    }
    square(&mut squared[..plane]);
}

/// An upper bound of the squared distances of all `from` elements of a block: the largest of their minima along their own lane and row.
/// `None` if the block has no `from` element.
fn farthest(from: &[bool], squared: &[f64], lane: (usize, f64), row: (usize, f64)) -> Option<f64> {
    let (plane, step) = lane;
    let (length, last_step) = row;
    let mut largest = None;
    for (at, _) in from.iter().enumerate().filter(|&(_, &is_asked)| is_asked) {
        let (start, first) = (at - at % length, at % plane);
        let on_row = nearest(&squared[start..start + length], at - start, (1, last_step));
        let least = on_row.min(nearest(&squared[first..], at - first, (plane, step)));
        largest = Some(least.max(largest.unwrap_or(0.0)));
    }
    largest
}

/// The minimum of `height + (place - at)²` along a line of elements that are `stride` apart in memory and `step` millimetres apart in
/// space.
fn nearest(line: &[f64], at: usize, (stride, step): (usize, f64)) -> f64 {
    let mut least = line[at];
    for away in 1..=line.len() / stride {
        let apart = (away as f64 * step).powi(2);
        if apart >= least {
            break;
        }
        let before = at.checked_sub(away * stride).map(|place| line[place]);
        for height in before.into_iter().chain(line.get(at + away * stride).copied()) {
            least = least.min(apart + height);
        }
    }
    least
}

/// The lower envelope of parabolas `height + (place - vertex)²`, from left to right.
#[derive(Default)]
struct Envelope {
    parabolas: Vec<Parabola>,
}

struct Parabola {
    vertex: f64,
    height: f64,
    /// The height plus the square of the vertex.
    lifted: f64,
    /// Start of the interval in which this parabola is the lowest.
    from: f64,
}

impl Envelope {
    /// Replaces the values of each lane of a block by the lower envelope of their parabolas. A value above `farthest` gives no parabola.
    /// Neighbours in a lane are `plane` elements apart.
    fn lower(&mut self, block: &mut [f64], plane: usize, step: f64, farthest: f64) {
        for lane in 0..plane {
            self.span(block[lane..].iter().step_by(plane).copied(), step, farthest);
            self.write(block[lane..].iter_mut().step_by(plane), step);
        }
    }

    fn span(&mut self, heights: impl Iterator<Item = f64>, step: f64, farthest: f64) {
        let parabolas = &mut self.parabolas;
        parabolas.clear();
        for (place, height) in heights.enumerate() {
            if height > farthest || height == f64::INFINITY {
                continue;
            }
            let vertex = place as f64 * step;
            let lifted = height + vertex * vertex;
            let mut from = f64::NEG_INFINITY;
            while let Some(last) = parabolas.last() {
                from = (lifted - last.lifted) / (2.0 * (vertex - last.vertex));
                if from > last.from {
                    break;
                }
                parabolas.pop();
                from = f64::NEG_INFINITY;
            }
            parabolas.push(Parabola { vertex, height, lifted, from });
        }
    }

    fn write<'a>(&self, lane: impl Iterator<Item = &'a mut f64>, step: f64) {
        let mut parabolas = self.parabolas.iter();
        let Some(mut current) = parabolas.next() else { return };
        let mut next = parabolas.next();
        for (place, squared) in lane.enumerate() {
            let place = place as f64 * step;
            while let Some(lower) = next.filter(|next| next.from <= place) {
                (current, next) = (lower, parabolas.next());
            }
            *squared = current.height + (place - current.vertex).powi(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::IxDyn;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn distances_are_those_of_a_search(
            (shape, from, to) in vec(1..6_usize, 1..5).prop_flat_map(|shape| {
                let count = shape.iter().product::<usize>();
                (Just(shape), vec(any::<bool>(), count), vec(prop::bool::weighted(0.3), count))
            }),
            spacing in vec(0.2..4.0_f64, 4),
        ) {
            let spacing = &spacing[..shape.len()];
            let mask = |inside| ArrayD::from_shape_vec(IxDyn(&shape), inside).expect("as many as the shape says");
            let (from, to) = (mask(from), mask(to));
            let found = squared_distances(&from, &to, spacing);
            prop_assert_eq!(found.len(), from.iter().filter(|&&is_asked| is_asked).count());
            let asked = from.indexed_iter().filter(|&(_, &is_asked)| is_asked).map(|(place, _)| place);
            for (place, squared) in asked.zip(found) {
                let between = |other: &IxDyn| {
                    let steps = (0..shape.len()).map(|axis| (place[axis] as f64 - other[axis] as f64) * spacing[axis]);
                    steps.map(|step| step * step).sum::<f64>()
                };
                let members = to.indexed_iter().filter(|&(_, &inside)| inside);
                let nearest = members.map(|(other, _)| between(&other)).fold(f64::INFINITY, f64::min);
                let both_infinite = squared.is_infinite() && nearest.is_infinite();
                prop_assert!(both_infinite || (squared - nearest).abs() < 1e-9 * nearest.max(1.0));
            }
        }
    }
}
