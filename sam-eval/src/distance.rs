//! Distances in millimetres to the nearest element of a mask.

use ndarray::{ArrayD, Axis, Zip};

/// The squared distance of each element to the nearest one of a set, infinite where the set is empty.
///
/// Exact, in time linear in the number of elements; the lines of an axis are worked on in parallel.
///
/// # Shapes
/// - inside: any; spacing: one length for each axis, in millimetres
/// - output: that of `inside`, in square millimetres
///
/// # Source
/// P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012.
pub(crate) fn squared_distances(inside: &ArrayD<bool>, spacing: &[f64]) -> ArrayD<f64> {
    let mut squared = inside.mapv(|inside| if inside { 0.0 } else { f64::INFINITY });
    for (axis, &step) in spacing.iter().enumerate() {
        Zip::from(squared.lanes_mut(Axis(axis))).par_for_each(|mut lane| {
            let envelope = Envelope::of(lane.iter().copied(), step);
            envelope.write(lane.iter_mut(), step);
        });
    }
    squared
}

/// The lower envelope of parabolas `height + (place - vertex)²`, from left to right.
struct Envelope {
    parabolas: Vec<Parabola>,
}

struct Parabola {
    vertex: f64,
    height: f64,
    /// Left of here another one lies lower.
    from: f64,
}

impl Envelope {
    /// One parabola stands on each finite height.
    fn of(heights: impl Iterator<Item = f64>, step: f64) -> Self {
        let mut parabolas: Vec<Parabola> = Vec::new();
        for (place, height) in heights.enumerate().filter(|(_, height)| height.is_finite()) {
            let vertex = place as f64 * step;
            let mut from = f64::NEG_INFINITY;
            while let Some(last) = parabolas.last() {
                let rise = (height + vertex * vertex) - (last.height + last.vertex * last.vertex);
                from = rise / (2.0 * (vertex - last.vertex));
                if from > last.from {
                    break;
                }
                parabolas.pop();
                from = f64::NEG_INFINITY;
            }
            parabolas.push(Parabola { vertex, height, from });
        }
        Self { parabolas }
    }

    fn write<'a>(&self, lane: impl Iterator<Item = &'a mut f64>, step: f64) {
        let mut current = 0;
        if self.parabolas.is_empty() {
            return;
        }
        for (place, squared) in lane.enumerate() {
            let place = place as f64 * step;
            while self.parabolas.get(current + 1).is_some_and(|next| next.from <= place) {
                current += 1;
            }
            let Parabola { vertex, height, .. } = self.parabolas[current];
            *squared = height + (place - vertex).powi(2);
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
            (shape, inside) in vec(1..6_usize, 1..4).prop_flat_map(|shape| {
                let count = shape.iter().product::<usize>();
                (Just(shape), vec(prop::bool::weighted(0.3), count))
            }),
            spacing in vec(0.2..4.0_f64, 3),
        ) {
            let spacing = &spacing[..shape.len()];
            let inside = ArrayD::from_shape_vec(IxDyn(&shape), inside).expect("as many as the shape says");
            let found = squared_distances(&inside, spacing);
            for (place, &squared) in found.indexed_iter() {
                let between = |other: &IxDyn| {
                    let steps = (0..shape.len()).map(|axis| (place[axis] as f64 - other[axis] as f64) * spacing[axis]);
                    steps.map(|step| step * step).sum::<f64>()
                };
                let members = inside.indexed_iter().filter(|&(_, &inside)| inside);
                let nearest = members.map(|(other, _)| between(&other)).fold(f64::INFINITY, f64::min);
                let both_infinite = squared.is_infinite() && nearest.is_infinite();
                prop_assert!(both_infinite || (squared - nearest).abs() < 1e-9 * nearest.max(1.0));
            }
        }
    }
}
