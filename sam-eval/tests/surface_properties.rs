//! Properties of the surface metrics that hold for any two masks.

use ndarray::{Array3, s};
use proptest::collection::vec;
use proptest::prelude::*;
use sam_eval::{EvalError, PercentileOf, SurfaceDistances};

const SIDES: (usize, usize, usize) = (4, 5, 3);
const ROUNDING: f64 = 1e-9;

fn mask() -> impl Strategy<Value = Array3<bool>> {
    let count = SIDES.0 * SIDES.1 * SIDES.2;
    vec(prop::bool::weighted(0.4), count).prop_map(|inside| Array3::from_shape_vec(SIDES, inside).expect("60 elements"))
}

fn spacing() -> impl Strategy<Value = [f64; 3]> {
    [0.3..4.0_f64, 0.3..4.0, 0.3..4.0]
}

fn between(prediction: &Array3<bool>, truth: &Array3<bool>, spacing: &[f64]) -> SurfaceDistances {
    SurfaceDistances::between(prediction, truth, spacing).expect("masks of one shape")
}

/// Every metric, in a fixed order.
fn all(distances: &SurfaceDistances) -> [f64; 6] {
    [
        distances.hausdorff(),
        distances.hd95(PercentileOf::EachDirection),
        distances.hd95(PercentileOf::Pooled),
        distances.assd(),
        distances.nsd(1.0),
        distances.nsd(2.5),
    ]
}

fn is_same(first: [f64; 6], second: [f64; 6]) -> bool {
    first.iter().zip(second).all(|(&a, b)| a.is_nan() && b.is_nan() || (a - b).abs() < ROUNDING)
}

/// The elements with a face-neighbour outside of the mask or of the array, one by one.
fn surface(mask: &Array3<bool>) -> Vec<[f64; 3]> {
    let inside = |place: [i64; 3]| {
        let place = place.map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        mask.get(place).is_some_and(|&inside| inside)
    };
    let mut found = Vec::new();
    for ((i, j, k), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
        let place = [i as i64, j as i64, k as i64];
        let neighbours = (0..3).flat_map(|axis| {
            [-1, 1].map(|step| {
                let mut neighbour = place;
                neighbour[axis] += step;
                neighbour
            })
        });
        if !neighbours.into_iter().all(inside) {
            found.push(place.map(|at| at as f64));
        }
    }
    found
}

/// The distance of each element to the nearest of the other elements, ascending.
fn nearest(from: &[[f64; 3]], to: &[[f64; 3]], spacing: &[f64]) -> Vec<f64> {
    let distance = |from: &[f64; 3], to: &[f64; 3]| {
        (0..3).map(|axis| ((from[axis] - to[axis]) * spacing[axis]).powi(2)).sum::<f64>().sqrt()
    };
    sorted(from.iter().map(|from| to.iter().map(|to| distance(from, to)).fold(f64::INFINITY, f64::min)).collect())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// `numpy.percentile(rising, 95)`.
fn percentile_95(rising: &[f64]) -> f64 {
    let place = 0.95 * (rising.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = rising.get(below + 1).unwrap_or(&rising[below]);
    rising[below] + (above - rising[below]) * (place - below as f64)
}

proptest! {
    #[test]
    fn neither_mask_is_preferred(first in mask(), second in mask(), spacing in spacing()) {
        prop_assert!(is_same(all(&between(&first, &second, &spacing)), all(&between(&second, &first, &spacing))));
    }

    #[test]
    fn agrees_with_a_search(first in mask(), second in mask(), spacing in spacing(), tolerance in 0.0..4.0_f64) {
        let (from, to) = (surface(&first), surface(&second));
        let distances = between(&first, &second, &spacing);
        if from.is_empty() || to.is_empty() {
            prop_assert!(distances.hausdorff().is_nan() && distances.assd().is_nan());
            return Ok(());
        }
        let (forth, back) = (nearest(&from, &to, &spacing), nearest(&to, &from, &spacing));
        let pooled = sorted([&forth[..], &back].concat());
        let largest = f64::max(forth[forth.len() - 1], back[back.len() - 1]);
        let within = pooled.iter().filter(|&&distance| distance <= tolerance).count();
        let pairs = [
            (distances.hausdorff(), largest),
            (distances.hd95(PercentileOf::EachDirection), f64::max(percentile_95(&forth), percentile_95(&back))),
            (distances.hd95(PercentileOf::Pooled), percentile_95(&pooled)),
            (distances.assd(), pooled.iter().sum::<f64>() / pooled.len() as f64),
            (distances.nsd(tolerance), within as f64 / pooled.len() as f64),
        ];
        for (got, expected) in pairs {
            prop_assert!((got - expected).abs() < ROUNDING, "{} instead of {}", got, expected);
        }
    }

    #[test]
    fn a_mask_is_at_no_distance_from_itself(mask in mask(), spacing in spacing()) {
        prop_assume!(mask.iter().any(|&inside| inside));
        prop_assert!(is_same(all(&between(&mask, &mask, &spacing)), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]));
    }

    #[test]
    fn metrics_are_ordered_and_bounded(
        first in mask(), second in mask(), spacing in spacing(), nearer in 0.0..5.0_f64, more in 0.0..5.0_f64,
    ) {
        let distances = between(&first, &second, &spacing);
        prop_assume!(!distances.hausdorff().is_nan());
        let [hausdorff, directed, pooled, assd, ..] = all(&distances);
        let longest = (0..3).map(|axis| (spacing[axis] * (first.shape()[axis] - 1) as f64).powi(2)).sum::<f64>().sqrt();
        prop_assert!(hausdorff <= longest + ROUNDING);
        prop_assert!(0.0 <= pooled && pooled <= hausdorff && directed <= hausdorff && assd <= hausdorff);
        let (near, far) = (distances.nsd(nearer), distances.nsd(nearer + more));
        prop_assert!(0.0 <= near && near <= far && far <= 1.0);
        prop_assert!((distances.nsd(hausdorff) - 1.0).abs() < ROUNDING);
    }

    #[test]
    fn neither_place_nor_order_of_axes_matters(
        first in mask(), second in mask(), spacing in spacing(), shift in (0..3_usize, 0..3_usize, 0..3_usize),
    ) {
        let expected = all(&between(&first, &second, &spacing));
        let moved = |mask: &Array3<bool>| {
            let mut larger = Array3::from_elem((SIDES.0 + 2, SIDES.1 + 2, SIDES.2 + 2), false);
            let (i, j, k) = shift;
            larger.slice_mut(s![i..i + SIDES.0, j..j + SIDES.1, k..k + SIDES.2]).assign(mask);
            larger
        };
        prop_assert!(is_same(all(&between(&moved(&first), &moved(&second), &spacing)), expected));
        let turned = |mask: &Array3<bool>| mask.clone().permuted_axes([2, 0, 1]);
        let turned_spacing = [spacing[2], spacing[0], spacing[1]];
        prop_assert!(is_same(all(&between(&turned(&first), &turned(&second), &turned_spacing)), expected));
    }
}

#[test]
fn what_cannot_be_measured_is_an_error_or_nan() {
    let (empty, full) = (Array3::from_elem(SIDES, false), Array3::from_elem(SIDES, true));
    for spacing in [vec![1.0, 1.0], vec![1.0, 0.0, 1.0], vec![1.0, f64::NAN, 1.0], vec![-1.0; 3]] {
        let refused = SurfaceDistances::between(&full, &full, &spacing);
        assert!(matches!(refused, Err(EvalError::Spacing { axes: 3, .. })), "{spacing:?}");
    }
    let other = Array3::from_elem((4, 5, 4), true);
    assert!(matches!(SurfaceDistances::between(&full, &other, &[1.0; 3]), Err(EvalError::ShapeMismatch { .. })));

    let one_empty = between(&empty, &full, &[1.0; 3]);
    assert!(one_empty.hausdorff().is_nan() && one_empty.assd().is_nan());
    assert!(one_empty.nsd(1.0).abs() < ROUNDING);
    let both_empty = between(&empty, &empty, &[1.0; 3]);
    assert!(all(&both_empty).iter().all(|metric| metric.is_nan()));
    let no_slices = Array3::from_elem((4, 0, 3), true);
    assert!(all(&between(&no_slices, &no_slices, &[1.0; 3])).iter().all(|metric| metric.is_nan()));
    assert!(between(&full, &full, &[1.0; 3]).hausdorff_percentile(1.5, PercentileOf::Pooled).is_nan());
}
