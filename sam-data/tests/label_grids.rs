//! Label maps on other grids than their scan's: each is put exactly into its place with a note, or refused.

use std::{fs, path::Path};

use ndarray::{Array3, Axis, s};
use proptest::prelude::*;
use sam_data::{
    AffineForm, DataError, Grid, LabelVolume, NiftiNote, Scan, ScanNote, Volume, read_labels, write_labels,
    write_volume,
};
use sam_prompt::error_chain;
use sam_testing::TestResult;

use crate::{
    built::{Built, ROWS, U8},
    grids::grids,
};

/// The sides of the scans here.
const SIDES: [i16; 3] = [6, 5, 4];
const COUNT: usize = 6 * 5 * 4;
/// The rows of an affine that is turned against [`ROWS`], and shifted by parts of a voxel.
const TURNED: [[f32; 4]; 3] = [[1.98, -0.28, 0.0, -136.4], [0.28, 1.98, 0.0, -105.3], [0.0, 0.0, 5.0, -24.5]];

/// A label map on the scan's shape whose voxels all differ.
fn all_different() -> Vec<u8> {
    (1..=COUNT as u8).collect()
}

fn written(folder: &Path, name: &str, bytes: Vec<u8>) -> std::io::Result<std::path::PathBuf> {
    let path = folder.join(name);
    fs::write(&path, bytes)?;
    Ok(path)
}

/// The labels of a scan and their notes.
type Found = Result<(LabelVolume, Vec<NiftiNote>), DataError>;

/// Reads a scan with this header, and a label map with that one.
fn read(scan: &Built, map: &Built) -> TestResult<(Scan, Found)> {
    let folder = tempfile::tempdir()?;
    let scan = Scan::open(written(folder.path(), "scan.nii", scan.with(&[7; COUNT]))?, None)?;
    let labels = scan.read_labels(written(folder.path(), "outlines.nii", map.with(&all_different()))?);
    let nifti = |note| if let ScanNote::Nifti { note, .. } = note { Some(note) } else { None };
    let labels = labels.map(|(labels, notes)| (labels, notes.into_iter().filter_map(nifti).collect()));
    if let Ok((labels, _)) = &labels {
        assert_eq!(&labels.grid, scan.grid(), "a label map is on the scan's own grid");
        // And so is the mask that leaves.
        let mask = folder.path().join("mask.nii.gz");
        scan.write_labels(&mask, labels.labels.view())?;
        assert_eq!(&read_labels(&mask)?, labels);
    }
    Ok((scan, labels))
}

fn header() -> Built {
    Built::new(&SIDES, U8)
}

/// The qform of [`ROWS`].
fn with_qform(header: Built) -> Built {
    header.qform([2.0, 2.0, 5.0], [0.0; 3], [-159.0, -79.0, -27.5])
}

/// Whether labels are in the order of the file.
fn is_unmoved(labels: &LabelVolume) -> bool {
    labels.labels.t().iter().zip(all_different()).all(|(&found, expected)| found == u16::from(expected))
}

#[test]
fn a_map_may_lie_on_the_scans_other_form() -> TestResult {
    // The scan is read by its sform; ITK reads it by its qform, and saves label maps there.
    let (_, read_map) = read(&with_qform(header().sform(TURNED)), &header().sform(ROWS))?;
    let (labels, notes) = read_map?;
    assert!(is_unmoved(&labels));
    let (map, scan, used) = (AffineForm::Sform, AffineForm::Qform, AffineForm::Sform);
    assert_eq!(notes, [NiftiNote::OtherForm { map, scan, used }]);

    // The other way round: the scan was saved by ITK, the label map has both forms of the original.
    let (_, read_map) = read(&header().sform(ROWS), &with_qform(header().sform(TURNED)))?;
    let (labels, notes) = read_map?;
    assert!(is_unmoved(&labels));
    let (map, scan) = (AffineForm::Qform, AffineForm::Sform);
    assert_eq!(notes, [NiftiNote::OtherForm { map, scan, used }]);

    // Both have both forms: there is nothing to say.
    let both = || with_qform(header().sform(TURNED));
    assert_eq!(read(&both(), &both())?.1?.1, []);
    Ok(())
}

#[test]
fn a_map_may_lie_where_itk_puts_a_sheared_scan() -> TestResult {
    // A little: it stays within a tenth of a voxel. As ITK writes it.
    let mut rows = ROWS;
    rows[1][2] = 0.005;
    let itk = [ROWS[0], [0.0, 1.999_999_8, 0.0025, -79.0], [0.0, -0.001, 5.000_002, -27.5]];
    let (_, read_map) = read(&header().sform(rows), &header().sform(itk))?;
    let (labels, notes) = read_map?;
    assert!(is_unmoved(&labels) && notes.is_empty(), "{notes:?}");

    // A gantry tilt of 20 degrees: both axes turn by 10.
    let (sine, cosine) = 20_f32.to_radians().sin_cos();
    let (half_sine, half_cosine) = 10_f32.to_radians().sin_cos();
    let tilted = [ROWS[0], [0.0, 2.0, 5.0 * sine, -79.0], [0.0, 0.0, 5.0 * cosine, -27.5]];
    let itk =
        [ROWS[0], [0.0, 2.0 * half_cosine, 5.0 * half_sine, -79.0], [0.0, -2.0 * half_sine, 5.0 * half_cosine, -27.5]];
    let (_, read_map) = read(&header().sform(tilted), &header().sform(itk))?;
    let (labels, notes) = read_map?;
    assert!(is_unmoved(&labels));
    let (map, scan, used) = (AffineForm::Sform, AffineForm::RightAngled, AffineForm::Sform);
    assert_eq!(notes, [NiftiNote::OtherForm { map, scan, used }]);
    Ok(())
}

#[test]
fn a_scan_without_forms_is_read_in_two_ways() -> TestResult {
    let sizes = |header: Built| header.real(80, 2.0).real(84, 2.0).real(88, 5.0);
    // ITK puts the first voxel at the origin.
    let itk = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]];
    let (_, read_map) = read(&sizes(header()), &header().sform(itk))?;
    let (labels, notes) = read_map?;
    assert!(is_unmoved(&labels));
    let (map, scan, used) = (AffineForm::Sform, AffineForm::VoxelSizes, AffineForm::Centred);
    assert_eq!(notes, [NiftiNote::OtherForm { map, scan, used }]);
    // nibabel puts the centre there.
    let (_, read_map) = read(&sizes(header()), &sizes(header()))?;
    assert_eq!(read_map?.1, []);
    Ok(())
}

#[test]
fn units_of_scan_and_map_may_differ() -> TestResult {
    let micrometres = ROWS.map(|row| row.map(|value| value * 1000.0));
    let metres = ROWS.map(|row| row.map(|value| value / 1000.0));
    for (scan, map) in [
        (header().sform(micrometres).units(3), header().sform(ROWS).units(10)),
        (header().sform(metres).units(1), header().sform(ROWS)),
        (with_qform(header()).units(2), header().sform(micrometres).units(11)),
    ] {
        let (scan, read_map) = read(&scan, &map)?;
        assert!(
            scan.grid().spacing().iter().zip([2.0, 2.0, 5.0]).all(|(found, expected)| (found - expected).abs() < 1e-6)
        );
        let (labels, notes) = read_map?;
        assert!(is_unmoved(&labels) && notes.is_empty(), "{notes:?}");
    }
    Ok(())
}

#[test]
fn a_map_that_fits_two_contradicting_forms_is_refused() -> TestResult {
    // The qform is the sform mirrored at the middle of the first axis, an old confusion of left and right.
    let mut mirrored = ROWS;
    (mirrored[0][0], mirrored[0][3]) = (-2.0, -149.0);
    let scan = || with_qform(header().sform(mirrored));
    let refused = error_chain(&read(&scan(), &header().sform(ROWS))?.1.expect_err("left or right?"));
    for word in ["outlines.nii", "scan.nii", "sform", "qform", "two ways", "are turned", "have the scan's order"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    // A map that has the scan's own header has the scan's order.
    assert_eq!(read(&scan(), &scan())?.1?.1, []);
    Ok(())
}

#[test]
fn what_is_not_exact_is_refused_with_a_way_on() -> TestResult {
    let moved = |axis: usize, by: f32| {
        let mut rows = ROWS;
        rows[axis][3] += by;
        rows
    };
    // A tenth of a voxel is 0.2 mm along the first axis, and 0.5 mm along the third.
    for (rows, accepted) in [
        (moved(0, 0.19), true),
        (moved(0, 0.21), false),
        (moved(2, 0.49), true),
        (moved(2, -0.51), false),
        (moved(0, 2.0), false),
        (TURNED, false),
    ] {
        let (_, read_map) = read(&header().sform(ROWS), &header().sform(rows))?;
        match read_map {
            Ok((labels, notes)) => assert!(accepted && is_unmoved(&labels) && notes.is_empty(), "{rows:?}"),
            Err(refused) => {
                let refused = error_chain(&refused);
                assert!(!accepted, "{refused}");
                assert!(refused.contains("nearest neighbours") && refused.contains("3D Slicer"), "{refused}");
            }
        }
    }
    Ok(())
}

#[test]
fn labels_outside_the_scan_are_counted_and_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (path, mask) = (folder.path().join("scan.nii.gz"), folder.path().join("outlines.nii.gz"));
    let affine = |x: f64| [[2.0, 0.0, 0.0, x], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    write_volume(&path, &Volume::new(Array3::zeros((6, 5, 4)), affine(0.0)))?;
    let scan = Scan::open(&path, None)?;
    // The map begins a voxel before the scan.
    let larger = Volume::new(Array3::zeros((8, 5, 4)), affine(-2.0));
    let mut labels = Array3::<u16>::zeros((8, 5, 4));
    labels[(1, 2, 3)] = 3;
    write_labels(&mask, labels.view(), &larger)?;
    let (placed, notes) = scan.read_labels(&mask)?;
    assert_eq!((placed.labels[(0, 2, 3)], placed.labels.sum(), notes.len()), (3, 3, 1));
    labels[(0, 2, 3)] = 3;
    write_labels(&mask, labels.view(), &larger)?;
    let refused = error_chain(&scan.read_labels(&mask).expect_err("outside"));
    assert!(refused.contains("1 of its labelled voxels lie outside the scan"), "{refused}");
    Ok(())
}

/// The grid of an array whose axes were flipped, then permuted, and then cropped to begin at `from`.
fn moved(grid: &Grid, flips: [bool; 3], order: [usize; 3], from: [usize; 3], shape: [usize; 3]) -> Grid {
    let mut columns = [0, 1, 2].map(|axis| [0, 1, 2].map(|row| grid.affine[row][axis]));
    let mut first = [0.0; 3];
    for axis in (0..3).filter(|&axis| flips[axis]) {
        columns[axis] = columns[axis].map(|part| -part);
        first[axis] = (grid.shape[axis] - 1) as f64;
    }
    let columns = order.map(|axis| columns[axis]);
    let mut origin = grid.world(first);
    for (column, from) in columns.iter().zip(from) {
        (0..3).for_each(|row| origin[row] += column[row] * from as f64);
    }
    let row = |row: usize| [columns[0][row], columns[1][row], columns[2][row], origin[row]];
    Grid::new(shape, [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A label map that another tool flipped, permuted or cropped comes back exactly, and leaves on the scan's own grid.
    #[test]
    fn flipped_permuted_and_cropped_maps_come_back(
        grid in grids(),
        flips: [bool; 3],
        order in Just([0, 1, 2]).prop_shuffle(),
        crop in prop::array::uniform3((0.0_f64..1.0, 0.0_f64..1.0)),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [path, outlines, mask] = ["scan.nii", "outlines.nii.gz", "mask.nii"].map(|name| folder.path().join(name));
        let [i, j, k] = grid.shape;
        write_volume(&path, &Volume::new(Array3::zeros((i, j, k)), grid.affine)).expect("a writable folder");
        let scan = Scan::open(&path, None).expect("just written");

        let label = |[i, j, k]: [usize; 3]| (1 + i + 10 * j + 100 * k) as u16;
        let mut labels = Array3::from_shape_fn((i, j, k), |(i, j, k)| label([i, j, k]));
        (0..3).filter(|&axis| flips[axis]).for_each(|axis| labels.invert_axis(Axis(axis)));
        let labels = labels.permuted_axes(order);
        let sides = order.map(|axis| grid.shape[axis]);
        let from = [0, 1, 2].map(|axis| (crop[axis].0 * sides[axis] as f64) as usize);
        let shape = [0, 1, 2].map(|axis| 1 + (crop[axis].1 * (sides[axis] - from[axis]) as f64) as usize)
            .into_iter().zip(sides).zip(from).map(|((side, whole), from)| side.min(whole - from)).collect::<Vec<_>>();
        let shape = [shape[0], shape[1], shape[2]];
        let end = [0, 1, 2].map(|axis| from[axis] + shape[axis]);
        let part = labels.slice(s![from[0]..end[0], from[1]..end[1], from[2]..end[2]]);
        let elsewhere = moved(&grid, flips, order, from, shape);
        let volume = Volume::new(Array3::zeros(part.dim()), elsewhere.affine);
        write_labels(&outlines, part, &volume).expect("a writable folder");

        let (placed, _) = scan.read_labels(&outlines).expect("on the scan's voxels");
        prop_assert_eq!(&placed.grid, scan.grid());
        for ((i, j, k), &found) in placed.labels.indexed_iter() {
            let index = [i, j, k];
            // Along each axis of the outlines, where they would have this voxel.
            let is_inside = (0..3).all(|axis| {
                let along = index[order[axis]];
                let at = if flips[order[axis]] { grid.shape[order[axis]] - 1 - along } else { along };
                (from[axis]..end[axis]).contains(&at)
            });
            prop_assert_eq!(found, if is_inside { label(index) } else { 0 });
        }
        scan.write_labels(&mask, placed.labels.view()).expect("a writable folder");
        prop_assert_eq!(read_labels(&mask).expect("just written"), placed);
    }
}
