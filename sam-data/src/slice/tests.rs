//! Slices of volumes in all orientations.

use ndarray::{Array3, ShapeBuilder};

use super::*;

/// All 48 orientations of a grid with unequal sides.
fn all_orientations() -> impl Iterator<Item = Grid> {
    let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    permutations.into_iter().flat_map(|permutation| {
        (0..8).map(move |signs: usize| {
            let mut affine = [[0.0; 4]; 4];
            for (axis, patient) in permutation.into_iter().enumerate() {
                affine[patient][axis] = if signs >> axis & 1 == 1 { -1.0 } else { 1.0 };
            }
            affine[3][3] = 1.0;
            Grid::new([3, 4, 5], affine)
        })
    })
}

const CUTS: [SliceAxis; 6] =
    [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal, SliceAxis::I, SliceAxis::J, SliceAxis::K];

#[test]
fn slices_go_back_where_they_came_from_in_every_orientation() {
    let volume = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| 100 * i + 10 * j + k);
    for grid in all_orientations() {
        for axis in CUTS {
            let plane = SlicePlane::new(&grid, axis);
            let mut rebuilt = Array3::zeros((3, 4, 5));
            for index in 0..plane.count() {
                let slice = plane.extract(volume.view(), index);
                assert_eq!(slice.dim(), plane.size());
                plane.insert(&mut rebuilt, index, slice.view());
            }
            assert_eq!(rebuilt, volume, "{} {axis}", grid.orientation());
        }
    }
}

#[test]
fn large_slices_are_shared_among_cores_and_come_back_whole() {
    let shape = [3, 160, 150];
    let volume = Array3::from_shape_fn((3, 160, 150).f(), |(i, j, k)| 100_000 * i + 1000 * j + k);
    let mut affine = [[0.0; 4]; 4];
    (0..4).for_each(|axis| affine[axis][axis] = if axis == 1 { -1.0 } else { 1.0 });
    let plane = SlicePlane::new(&Grid::new(shape, affine), SliceAxis::I);
    let slice = plane.extract(volume.view(), 2);
    assert!(slice.len() > FEWEST_TO_SHARE);
    for ((row, column), &voxel) in slice.indexed_iter() {
        let [i, j, k] = plane.voxel(2.0, row as f64, column as f64).map(|part| part as usize);
        assert_eq!(voxel, 100_000 * i + 1000 * j + k);
    }
}

#[test]
fn places_on_slices_are_voxels_in_every_orientation() {
    for grid in all_orientations() {
        let numbered = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (i, j, k));
        for axis in [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal] {
            let plane = SlicePlane::new(&grid, axis);
            for index in 0..plane.count() {
                for ((row, column), &(i, j, k)) in plane.extract(numbered.view(), index).indexed_iter() {
                    let voxel = plane.voxel(index as f64, row as f64, column as f64);
                    assert_eq!(voxel.map(|part| part as usize), [i, j, k], "{} {axis}", grid.orientation());
                    assert_eq!(plane.place(voxel).map(|part| part as usize), [index, row, column]);
                }
            }
        }
    }
}

#[test]
fn axial_slices_show_the_front_above_and_the_right_at_the_left() {
    for grid in all_orientations() {
        let plane = SlicePlane::new(&grid, SliceAxis::Axial);
        let position = |coordinate: usize| {
            Array3::from_shape_fn((3, 4, 5), |(i, j, k)| grid.world([i as f64, j as f64, k as f64])[coordinate])
        };
        let (right, front) = (plane.extract(position(0).view(), 0), plane.extract(position(1).view(), 0));
        let (rows, columns) = plane.size();
        assert!(right[(0, 0)] > right[(0, columns - 1)], "{}", grid.orientation());
        assert!(front[(0, 0)] > front[(rows - 1, 0)], "{}", grid.orientation());
    }
}

#[test]
fn coronal_and_sagittal_slices_show_the_head_above() {
    for grid in all_orientations() {
        let position = |coordinate: usize| {
            Array3::from_shape_fn((3, 4, 5), |(i, j, k)| grid.world([i as f64, j as f64, k as f64])[coordinate])
        };
        // The patient's right is on the left of coronal slices, anterior on the left of sagittal ones.
        for (axis, leftmost) in [(SliceAxis::Coronal, 0), (SliceAxis::Sagittal, 1)] {
            let plane = SlicePlane::new(&grid, axis);
            let (above, left) = (plane.extract(position(2).view(), 0), plane.extract(position(leftmost).view(), 0));
            let (rows, columns) = plane.size();
            assert!(above[(0, 0)] > above[(rows - 1, 0)], "{} {axis}", grid.orientation());
            assert!(left[(0, 0)] > left[(0, columns - 1)], "{} {axis}", grid.orientation());
        }
    }
}

#[test]
fn slices_lie_at_millimetres_of_the_patient() {
    for grid in all_orientations() {
        for (axis, patient) in [(SliceAxis::Sagittal, 0), (SliceAxis::Coronal, 1), (SliceAxis::Axial, 2)] {
            let plane = SlicePlane::new(&grid, axis);
            assert_eq!(plane.orientation(), axis, "{}", grid.orientation());
            for index in 0..plane.count() {
                // Every pixel of a slice that is not oblique lies at the same place.
                let expected = plane.position(index, [0.0, 0.0]).expect("there is such a slice")[patient];
                assert!((plane.millimetres(index) - expected).abs() < 1e-9, "{} {axis}", grid.orientation());
            }
        }
    }
}

#[test]
fn thick_slices_are_found() {
    let affine = [[0.0, 0.0, 5.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    assert_eq!(SlicePlane::new(&Grid::new([8, 8, 8], affine), SliceAxis::Auto).axis(), 2);
    let isotropic = [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    assert_eq!(SlicePlane::new(&Grid::new([8, 8, 8], isotropic), SliceAxis::Auto).axis(), 1);
}

#[test]
fn slices_that_do_not_exist_are_refused() {
    let grid = all_orientations().next().expect("a grid");
    let plane = SlicePlane::new(&grid, SliceAxis::K);
    let mut volume = Array3::<u8>::zeros((3, 4, 5));
    let beyond = plane.try_extract(volume.view(), 5).expect_err("slices 0 to 4");
    assert!(matches!(beyond, DataError::NoSuchSlice { index: 5, count: 5 }), "{beyond}");
    let slice = plane.extract(volume.view(), 0);
    assert!(matches!(plane.try_insert(&mut volume, 6, slice.view()), Err(DataError::NoSuchSlice { .. })));
    let turned = slice.t().to_owned();
    assert!(matches!(plane.try_insert(&mut volume, 0, turned.view()), Err(DataError::SliceSize { .. })));
    let other = Array3::<u8>::zeros((3, 4, 4));
    assert!(matches!(plane.try_extract(other.view(), 0), Err(DataError::Shape { .. })));
}

#[test]
#[should_panic(expected = "there are 5 slice(s), counted from 1, but slice 7 was asked for")]
fn a_slice_beyond_the_last_panics_with_both_numbers() {
    let grid = all_orientations().next().expect("a grid");
    SlicePlane::new(&grid, SliceAxis::K).extract(Array3::<u8>::zeros((3, 4, 5)).view(), 6);
}

#[test]
fn pixels_and_millimetres_lead_to_each_other() {
    let affine = [[-0.8, 0.1, 0.0, 90.0], [0.1, -0.8, 0.3, 40.0], [0.0, 0.2, 5.0, -60.0], [0.0, 0.0, 0.0, 1.0]];
    let plane = SlicePlane::new(&Grid::new([40, 30, 12], affine), SliceAxis::Axial);
    let position = plane.position(7, [12.5, 20.0]).expect("there is a slice 7");
    let (slice, [x, y]) = plane.pixel(position).expect("it lies on the slice");
    assert_eq!(slice, 7);
    assert!((x - 12.5).abs() < 1e-4 && (y - 20.0).abs() < 1e-4, "({x}, {y})");
    assert_eq!(plane.position(12, [0.0, 0.0]), None);
    // More than half a slice beyond the last slice.
    let above = plane.position(11, [5.0, 5.0]).map(|[x, y, z]| [x, y, z + 3.0]).expect("there is a slice 11");
    assert_eq!(plane.pixel(above), None);
}

#[test]
fn axes_of_prompt_documents_are_axes_of_slices() {
    let grid = all_orientations().next().expect("a grid");
    for axis in CUTS {
        let cut = axis.to_cut().expect("documents name it");
        assert_eq!(SliceAxis::from_cut(cut), Some(axis));
        let plane = SlicePlane::new(&grid, axis);
        let named = SliceAxis::from_cut(plane.cut_axis()).expect("a voxel axis");
        assert_eq!(SlicePlane::new(&grid, named), plane);
    }
    assert_eq!((SliceAxis::Auto.to_cut(), SliceAxis::from_cut(CutAxis::Image)), (None, None));
}

#[test]
fn words_are_read_back() {
    for (axis, name) in SliceAxis::ALL {
        assert_eq!((name.parse::<SliceAxis>().expect("a known word"), axis.to_string()), (axis, name.to_owned()));
    }
    assert!("sideways".parse::<SliceAxis>().is_err());
}
