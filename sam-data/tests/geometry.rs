//! Round trips between voxel indices, positions and slices on rotated grids.

use ndarray::Array3;
use proptest::prelude::*;
use sam_data::{SliceAxis, SlicePlane};

use crate::grids::grids;

fn axes() -> impl Strategy<Value = SliceAxis> {
    prop::sample::select(vec![
        SliceAxis::Auto,
        SliceAxis::Axial,
        SliceAxis::Coronal,
        SliceAxis::Sagittal,
        SliceAxis::I,
        SliceAxis::J,
        SliceAxis::K,
    ])
}

proptest! {
    #[test]
    fn an_index_is_found_again_by_its_place(grid in grids(), index in prop::array::uniform3(-20.0_f64..20.0)) {
        let found = grid.index(grid.world(index)).expect("an inverse");
        prop_assert!((0..3).all(|axis| (found[axis] - index[axis]).abs() < 1e-9), "{index:?} {found:?}");
    }

    #[test]
    fn a_place_in_mm_is_found_again_by_its_index(grid in grids(), place in prop::array::uniform3(-900.0_f64..900.0)) {
        let found = grid.world(grid.index(place).expect("an inverse"));
        prop_assert!((0..3).all(|axis| (found[axis] - place[axis]).abs() < 1e-9), "{place:?} {found:?}");
    }

    #[test]
    fn slices_go_out_and_come_back(grid in grids(), axis in axes()) {
        let [i, j, k] = grid.shape;
        let volume = Array3::from_shape_fn((i, j, k), |index| index);
        let plane = SlicePlane::new(&grid, axis);
        let mut rebuilt = Array3::from_elem((i, j, k), (usize::MAX, 0, 0));
        for slice in 0..plane.count() {
            let cut = plane.extract(volume.view(), slice);
            for ((row, column), &(i, j, k)) in cut.indexed_iter() {
                let voxel = plane.voxel(slice as f64, row as f64, column as f64);
                prop_assert_eq!(voxel.map(|part| part as usize), [i, j, k]);
                prop_assert_eq!(plane.place(voxel).map(|part| part as usize), [slice, row, column]);
            }
            plane.insert(&mut rebuilt, slice, cut.view());
        }
        prop_assert_eq!(rebuilt, volume);
    }

    /// The step between neighbouring pixels of a slice has the length that its spacing says.
    #[test]
    fn neighbours_on_a_slice_are_its_spacing_apart(grid in grids(), axis in axes()) {
        let plane = SlicePlane::new(&grid, axis);
        let world = |row: f64, column: f64| grid.world(plane.voxel(0.0, row, column));
        let apart = |to: [f64; 3]| to.iter().zip(world(0.0, 0.0)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let (rows, columns) = plane.spacing();
        prop_assert!((apart(world(1.0, 0.0)) - rows).abs() < 1e-9);
        prop_assert!((apart(world(0.0, 1.0)) - columns).abs() < 1e-9);
    }
}
