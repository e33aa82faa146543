//! Properties of resampling in millimetres, on random grids.

use ndarray::Array3;
use proptest::prelude::*;
use sam_data::{DataError, Grid, LabelVolume, Volume};
use sam_prompt::error_chain;

use crate::grids::grids;

fn volume(grid: &Grid, value: impl Fn([usize; 3]) -> f32) -> Volume {
    let [i, j, k] = grid.shape;
    Volume::new(Array3::from_shape_fn((i, j, k), |(i, j, k)| value([i, j, k])), grid.affine)
}

fn labels(grid: &Grid) -> LabelVolume {
    let [i, j, k] = grid.shape;
    LabelVolume::new(Array3::from_shape_fn((i, j, k), |(i, j, k)| (1 + i + 10 * j + 100 * k) as u16), grid.affine)
}

fn as_index(index: [usize; 3]) -> [f64; 3] {
    index.map(|part| part as f64)
}

/// Whether a position is inside the box of all voxels.
fn is_within(grid: &Grid, world: [f64; 3]) -> bool {
    let place = grid.index(world).expect("an inverse");
    (0..3).all(|axis| (-0.5 - 1e-6..=grid.shape[axis] as f64 - 0.5 + 1e-6).contains(&place[axis]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_grid_of_another_spacing_covers_the_same_box(grid in grids(), spacing in prop::array::uniform3(0.3_f64..6.0)) {
        let other = grid.with_spacing(spacing).expect("spacings above 0");
        let (centre, before) = (other.centre(), grid.centre());
        for axis in 0..3 {
            prop_assert!((other.spacing()[axis] - spacing[axis]).abs() < 1e-9);
            prop_assert!((centre[axis] - before[axis]).abs() < 1e-9, "the centre moved");
            let beyond = other.shape[axis] as f64 * spacing[axis] - grid.shape[axis] as f64 * grid.spacing()[axis];
            prop_assert!((-1e-5..spacing[axis]).contains(&beyond), "it covers the box and little more: {beyond}");
        }
        for (own, of) in [(&grid, &other), (&other, &grid)] {
            for corner in 0..8_usize {
                let index = [0, 1, 2].map(|axis| (corner >> axis & 1) * (own.shape[axis] - 1));
                prop_assert!(is_within(of, own.world(as_index(index))), "a centre lies beyond the other box");
            }
        }
    }

    #[test]
    fn a_constant_stays_constant(grid in grids(), spacing in prop::array::uniform3(0.3_f64..6.0), value in -1e3_f32..1e3) {
        let scan = volume(&grid, |_| value);
        let there = scan.resampled(&grid.with_spacing(spacing).expect("a spacing"), f32::NAN).expect("an inverse");
        prop_assert_eq!(&there.voxels, &Array3::from_elem(there.voxels.dim(), value));
        let back = there.resampled(&grid, f32::NAN).expect("an inverse");
        prop_assert_eq!(back.voxels, scan.voxels);
    }

    #[test]
    fn a_right_angled_grid_covers_a_sheared_one(grid in grids(), sideways in prop::array::uniform2(-1.5_f64..1.5)) {
        let mut sheared = grid.clone();
        for row in 0..3 {
            sheared.affine[row][2] += sideways[0] * grid.affine[row][0] + sideways[1] * grid.affine[row][1];
        }
        let upright = sheared.right_angled().expect("a valid grid");
        let column = |axis: usize| [0, 1, 2].map(|row| upright.affine[row][axis]);
        let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for [one, other] in [[0, 1], [0, 2], [1, 2]] {
            let cosine = dot(column(one), column(other)) / (upright.spacing()[one] * upright.spacing()[other]);
            prop_assert!(cosine.abs() < 1e-9, "axes {} and {}: {}", one, other, cosine);
        }
        for corner in 0..8_usize {
            let index = [0, 1, 2].map(|axis| (corner >> axis & 1) * (sheared.shape[axis] - 1));
            prop_assert!(is_within(&upright, sheared.world(as_index(index))), "a centre lies outside");
        }
        let first = upright.index(sheared.world([0.0; 3])).expect("an inverse");
        prop_assert!(first.iter().all(|part| (part - part.round()).abs() < 1e-6), "the first voxel moved: {:?}", first);
        // A grid at right angles stays as it is.
        prop_assert_eq!(grid.right_angled().expect("a valid grid").compare(&grid, 1e-6), Ok(()));
    }

    /// Detects a shift by half a voxel, which would change the ramp by half a step.
    #[test]
    fn a_ramp_through_the_room_stays_that_ramp(
        grid in grids(),
        onto in grids(),
        slope in prop::array::uniform3(-3.0_f64..3.0),
        spacing in prop::array::uniform3(0.3_f64..6.0),
    ) {
        let centre = grid.centre();
        let ramp = |world: [f64; 3]| (0..3).map(|axis| slope[axis] * (world[axis] - centre[axis])).sum::<f64>() as f32;
        let scan = volume(&grid, |index| ramp(grid.world(as_index(index))));
        // A grid rotated around the same centre, with another spacing.
        let mut moved = onto.with_spacing(spacing).expect("a spacing");
        for (row, (to, from)) in moved.affine.iter_mut().zip(centre.into_iter().zip(onto.centre())) {
            row[3] += to - from;
        }
        for other in [moved, grid.with_spacing(spacing).expect("a spacing")] {
            let found = scan.resampled(&other, f32::NAN).expect("an inverse").voxels;
            for ((i, j, k), &voxel) in found.indexed_iter() {
                let world = other.world(as_index([i, j, k]));
                let place = grid.index(world).expect("an inverse");
                // Between the outermost centres, the ramp must be reproduced.
                if (0..3).all(|axis| (0.0..=grid.shape[axis] as f64 - 1.0).contains(&place[axis])) {
                    prop_assert!((voxel - ramp(world)).abs() < 1e-3, "{voxel} {} at {world:?}", ramp(world));
                }
            }
        }
    }

    #[test]
    fn labels_come_back_from_any_finer_grid(grid in grids(), share in prop::array::uniform3(0.2_f64..=1.0)) {
        let own = grid.spacing();
        let fine = grid.with_spacing([0, 1, 2].map(|axis| own[axis] * share[axis])).expect("a spacing");
        let map = labels(&grid);
        let back = map.resampled(&fine).expect("an inverse").resampled(&grid).expect("an inverse");
        prop_assert_eq!(back.labels, map.labels);
    }

    #[test]
    fn onto_its_own_grid_nothing_changes(grid in grids()) {
        let map = labels(&grid);
        prop_assert_eq!(&map.resampled(&grid).expect("an inverse"), &map);
        let scan = volume(&grid, |[i, j, k]| (i * j + k) as f32);
        let same = scan.resampled(&grid, 0.0).expect("an inverse");
        prop_assert!(same.voxels.iter().zip(&scan.voxels).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn halves_of_voxels_hold_what_the_whole_held_and_beyond_there_is_nothing() {
    let affine = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid::new([2, 1, 1], affine);
    let fine = grid.with_spacing([1.0; 3]).expect("a spacing");
    assert_eq!((fine.shape, fine.world([0.0; 3])), ([4, 2, 2], [-0.5; 3]));
    let scan = volume(&grid, |[i, _, _]| 10.0 * i as f32);
    let row = |scan: &Volume| scan.voxels.iter().step_by(4).copied().collect::<Vec<_>>();
    assert_eq!(row(&scan.resampled(&fine, -1.0).expect("an inverse")), [0.0, 2.5, 7.5, 10.0]);
    let mut moved = fine.clone();
    moved.affine[0][3] += 2.0;
    assert_eq!(row(&scan.resampled(&moved, -1.0).expect("an inverse")), [7.5, 10.0, -1.0, -1.0]);
    let map = labels(&grid).resampled(&moved).expect("an inverse").labels;
    assert_eq!(map.iter().step_by(4).copied().collect::<Vec<_>>(), [2, 2, 0, 0]);
}

#[test]
fn what_cannot_be_resampled_is_refused_in_words() {
    let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid::new([4, 4, 4], unit);
    for spacing in [0.0, -1.0, f64::NAN, 1e-9] {
        let refused = error_chain(&grid.with_spacing([1.0, spacing, 1.0]).expect_err("no spacing"));
        assert!(refused.contains("above 0 mm"), "{refused}");
    }
    let mut flat = unit;
    flat[2][2] = 0.0;
    let mut scan = Volume::new(Array3::zeros((4, 4, 4)), unit);
    scan.grid.affine = flat;
    assert!(matches!(scan.grid.with_spacing([1.0; 3]), Err(DataError::Resample { .. })));
    assert!(error_chain(&scan.resampled(&grid, 0.0).expect_err("no inverse")).contains("inverse"));
    let scan = Volume::new(Array3::zeros((4, 4, 4)), unit);
    let huge = Grid::new([usize::MAX, 4, 4], unit);
    assert!(error_chain(&scan.resampled(&huge, 0.0).expect_err("no memory")).contains("memory"));
    let torn = Volume { voxels: Array3::zeros((4, 4, 3)), ..scan };
    assert!(error_chain(&torn.resampled(&grid, 0.0).expect_err("another shape")).contains("[4, 4, 3]"));
}
