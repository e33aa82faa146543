use std::ops::Range;

use ndarray::Axis;
use proptest::prelude::*;

use super::*;

/// A scan with axial slices along `k`, of this spacing in mm.
fn affine(spacing: [f64; 3]) -> [[f64; 4]; 4] {
    let [x, y, z] = spacing;
    [[x, 0.0, 0.0, -30.0], [0.0, y, 0.0, 12.0], [0.0, 0.0, z, 5.0], [0.0, 0.0, 0.0, 1.0]]
}

const ISOTROPIC: [f64; 3] = [1.0, 1.0, 1.0];
const THICK: [f64; 3] = [1.0, 1.0, 4.0];

fn empty(shape: [usize; 3], spacing: [f64; 3]) -> LabelVolume {
    LabelVolume::new(Array3::zeros(shape), affine(spacing))
}

/// Fills a block of voxels.
fn fill(volume: &mut LabelVolume, [i, j, k]: [Range<usize>; 3], value: u16) {
    for ((i_at, j_at, k_at), label) in volume.labels.indexed_iter_mut() {
        if i.contains(&i_at) && j.contains(&j_at) && k.contains(&k_at) {
            *label = value;
        }
    }
}

/// Whole discs of an ellipse on these axial slices.
fn discs(volume: &mut LabelVolume, value: u16, centre: [f64; 2], radii: [f64; 2], slices: &[usize]) {
    for ((i, j, k), label) in volume.labels.indexed_iter_mut() {
        let offset = [(i as f64 - centre[0]) / radii[0], (j as f64 - centre[1]) / radii[1]];
        if slices.contains(&k) && offset[0].powi(2) + offset[1].powi(2) <= 1.0 {
            *label = value;
        }
    }
}

fn found(volume: &LabelVolume) -> (SliceAxis, AxisReason) {
    let found = volume.outlined_axis(SliceAxis::Auto).expect("an axis");
    (found.orientation, found.reason)
}

fn refused(volume: &LabelVolume) -> String {
    volume.outlined_axis(SliceAxis::Auto).expect_err("several axes are alike").to_string()
}

#[test]
fn a_thin_vessel_on_most_axial_slices_is_axial() {
    // Fewer sagittal slices than axial ones hold it: 7 against 10.
    for spacing in [ISOTROPIC, THICK] {
        let mut aorta = empty([40, 40, 16], spacing);
        discs(&mut aorta, 1, [20.0, 22.0], [3.0, 4.5], &[0, 1, 3, 4, 6, 7, 9, 10, 12, 14]);
        assert_eq!(found(&aorta), (SliceAxis::Axial, AxisReason::Gaps));
        // One gap alone.
        let mut almost_all = empty([40, 40, 16], spacing);
        discs(&mut almost_all, 1, [20.0, 22.0], [3.0, 4.5], &[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(found(&almost_all), (SliceAxis::Axial, AxisReason::Gaps));
    }
}

#[test]
fn two_organs_with_one_label_are_not_a_gap() {
    let mut kidneys = empty([60, 40, 20], ISOTROPIC);
    for centre in [[15.0, 20.0], [45.0, 20.0]] {
        discs(&mut kidneys, 1, centre, [9.0, 7.0], &[3, 9, 15]);
    }
    assert_eq!(found(&kidneys), (SliceAxis::Axial, AxisReason::Gaps));
    let mut single = empty([60, 40, 20], ISOTROPIC);
    fill(&mut single, [5..20, 10..30, 9..10], 1);
    fill(&mut single, [40..55, 10..30, 9..10], 1);
    assert_eq!(found(&single), (SliceAxis::Axial, AxisReason::SingleSlices));
}

#[test]
fn structures_on_different_slices_are_looked_at_one_by_one() {
    let mut volume = empty([30, 30, 20], ISOTROPIC);
    discs(&mut volume, 1, [10.0, 10.0], [6.0, 6.0], &[2, 12]);
    discs(&mut volume, 2, [20.0, 20.0], [5.0, 5.0], &[5]);
    assert_eq!(found(&volume), (SliceAxis::Axial, AxisReason::Gaps));
}

#[test]
fn sagittal_outlines_on_axial_slices_are_sagittal() {
    for slices in [&[4_usize][..], &[4, 9, 15]] {
        let mut volume = empty([24, 30, 8], THICK);
        for &slice in slices {
            fill(&mut volume, [slice..slice + 1, 5..25, 1..6], 3);
        }
        assert_eq!(found(&volume).0, SliceAxis::Sagittal, "{slices:?}");
    }
}

#[test]
fn voxels_that_strayed_do_not_turn_the_axis() {
    let mut volume = empty([30, 30, 12], ISOTROPIC);
    discs(&mut volume, 1, [12.0, 15.0], [7.0, 6.0], &[2, 6, 9]);
    for stray in [[28, 2, 4], [1, 15, 6], [12, 29, 11], [12, 15, 3]] {
        volume.labels[stray] = 1;
    }
    assert_eq!(found(&volume), (SliceAxis::Axial, AxisReason::Gaps));
    let mut single = empty([30, 30, 12], ISOTROPIC);
    discs(&mut single, 1, [12.0, 15.0], [7.0, 6.0], &[4]);
    single.labels[[28, 28, 9]] = 2;
    single.labels[[20, 2, 8]] = 1;
    assert_eq!(found(&single), (SliceAxis::Axial, AxisReason::SingleSlices));
}

#[test]
fn without_gaps_the_acquisition_decides_and_without_it_nobody() {
    let solid = |spacing, side: [usize; 3]| {
        let mut volume = empty([30, 30, 30], spacing);
        fill(&mut volume, side.map(|side| 3..3 + side), 1);
        volume
    };
    assert_eq!(found(&solid(THICK, [8, 9, 20])), (SliceAxis::Axial, AxisReason::Acquisition));
    assert_eq!(found(&solid(ISOTROPIC, [20, 18, 2])), (SliceAxis::Axial, AxisReason::Thinnest));
    let error = refused(&solid(ISOTROPIC, [4, 5, 20]));
    assert!(error.contains("--axis coronal or --axis sagittal") && !error.contains("axial"), "{error}");
    assert!(refused(&solid(ISOTROPIC, [8, 9, 10])).contains("axial, coronal and sagittal"));
    assert_eq!(found(&empty([6, 6, 6], ISOTROPIC)), (SliceAxis::Axial, AxisReason::Acquisition));
}

#[test]
fn gaps_along_two_axes_alike_are_refused_with_both() {
    // Lines of voxels: axial and sagittal slices hold the same outlines.
    let lines = |spacing| {
        let mut volume = empty([20, 20, 20], spacing);
        for (i, k) in [(2, 3), (2, 9), (8, 3), (8, 9)] {
            fill(&mut volume, [i..i + 1, 4..16, k..k + 1], 1);
        }
        volume
    };
    assert!(refused(&lines(ISOTROPIC)).contains("--axis axial or --axis sagittal"));
    assert_eq!(found(&lines(THICK)), (SliceAxis::Axial, AxisReason::Acquisition));
    let given = lines(ISOTROPIC).outlined_axis(SliceAxis::Coronal).expect("it is given");
    assert_eq!((given.axis, given.orientation, given.reason), (SliceAxis::J, SliceAxis::Coronal, AxisReason::Given));
}

/// The same volume with its array and its affine permuted and flipped.
fn turned(volume: &LabelVolume, order: [usize; 3], flips: [bool; 3]) -> LabelVolume {
    let mut view = volume.labels.view().permuted_axes(order);
    let mut affine = volume.grid.affine;
    for (axis, flip) in flips.into_iter().enumerate() {
        for (row, old) in affine.iter_mut().zip(&volume.grid.affine).take(3) {
            row[axis] = if flip { -old[order[axis]] } else { old[order[axis]] };
            if flip {
                row[3] += old[order[axis]] * (view.len_of(Axis(axis)) - 1) as f64;
            }
        }
        if flip {
            view.invert_axis(Axis(axis));
        }
    }
    LabelVolume::new(view.to_owned(), affine)
}

/// Blocks on some slices of some axis, and a few single voxels.
fn outlines() -> impl Strategy<Value = LabelVolume> {
    let spacing = prop_oneof![Just(ISOTROPIC), Just(THICK), Just([3.0, 0.7, 0.7]), Just([0.9, 2.5, 1.0])];
    let slices = prop::collection::btree_set(0_usize..9, 1..6);
    let block = (0_usize..3, slices, 1_u16..4, 0_usize..4, 2_usize..6);
    let blocks = prop::collection::vec(block, 1..4);
    let strays = prop::collection::vec(prop::array::uniform3(0_usize..9), 0..3);
    (spacing, blocks, strays).prop_map(|(spacing, blocks, strays)| {
        let mut volume = empty([9, 9, 9], spacing);
        for (axis, slices, value, from, side) in blocks {
            for slice in slices {
                let mut block = [from..from + side, from..from + side + 1, from + 1..from + side];
                block[axis] = slice..slice + 1;
                fill(&mut volume, block, value);
            }
        }
        for stray in strays {
            volume.labels[stray] = 1;
        }
        volume
    })
}

proptest! {
    #[test]
    fn the_axis_in_the_patient_does_not_depend_on_how_the_array_lies(
        volume in outlines(),
        order in prop::sample::select(vec![[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]),
        flips in prop::array::uniform3(any::<bool>()),
    ) {
        let plain = |volume: &LabelVolume| {
            volume.outlined_axis(SliceAxis::Auto).map(|found| (found.orientation, found.reason))
        };
        prop_assert_eq!(plain(&volume), plain(&turned(&volume, order, flips)));
    }
}
