//! Mistakes of callers: each error says what was expected and what was found.

use std::{error::Error, fs};

use ndarray::{Array2, Array3};
use sam_data::{
    DataError, Grid, GridError, SliceAxis, SlicePlane, Stack, Volume, VolumeReader, Window, read_labels, read_volume,
    write_mask, write_rgb, write_volume,
};
use sam_prompt::error_chain;
use sam_testing::TestResult;

const UNIT: [[f64; 4]; 4] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

#[test]
fn a_slice_beyond_the_last_is_named_with_their_number() {
    let plane = SlicePlane::new(&Grid::new([4, 4, 6], UNIT), SliceAxis::K);
    let refused = plane.try_extract(Array3::<u8>::zeros((4, 4, 6)).view(), 6).expect_err("slices 0 to 5");
    assert_eq!(refused.to_string(), "there are 6 slice(s), counted from 1, but slice 7 was asked for");
}

#[test]
fn affines_of_zeros_or_nan_are_refused() {
    assert!(matches!(Grid::try_new([4, 4, 6], [[0.0; 4]; 4]), Err(GridError::Singular { .. })));
    assert!(matches!(Grid::try_new([4, 4, 6], [[f64::NAN; 4]; 4]), Err(GridError::NotFinite { .. })));
    assert!(matches!(Volume::try_new(Array3::zeros((4, 4, 0)), UNIT), Err(GridError::NoVoxels { .. })));
    let mut volume = Volume::new(Array3::zeros((4, 4, 6)), UNIT);
    volume.grid.affine = [[0.0; 4]; 4];
    let refused = Stack::new("scan", volume, SliceAxis::Auto, &Window::Auto).expect_err("it lies nowhere");
    assert!(error_chain(&refused).contains("expected an affine with an inverse"), "{}", error_chain(&refused));
}

#[test]
fn files_with_such_affines_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("scan.nii");
    write_volume(&path, &Volume::new(Array3::zeros((4, 4, 6)), UNIT))?;
    let mut bytes = fs::read(&path)?;
    // The three rows of the sform, and the code of the qform.
    bytes[280..328].fill(0);
    bytes[252] = 0;
    fs::write(&path, bytes)?;
    let volume = read_volume(&path).map(drop);
    let reader = VolumeReader::open(&path).map(drop);
    for refused in [volume, reader, read_labels(&path).map(drop)] {
        let refused = refused.expect_err("its voxels lie at one place");
        assert!(matches!(refused, DataError::Affine { .. }), "{refused}");
        assert!(refused.to_string().contains("scan.nii does not say where its voxels lie"), "{refused}");
    }
    Ok(())
}

#[test]
fn pictures_are_not_written_under_names_of_other_formats() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.nii");
    for refused in
        [write_mask(&path, Array2::ones((3, 3)).view()), write_rgb(&path, Array3::<u8>::zeros((3, 3, 3)).view())]
    {
        let refused = refused.expect_err("no PNG's name").to_string();
        assert!(refused.contains("x.nii must end in .png"), "{refused}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

/// Programs print errors with `{:#}` of anyhow, which shows all causes. So no message may contain the text of its cause.
#[test]
fn no_cause_is_told_twice() -> TestResult {
    let folder = tempfile::tempdir()?;
    let missing = read_volume(folder.path().join("missing.nii.gz")).expect_err("it is missing");
    let cause = missing.source().expect("a cause").to_string();
    assert_eq!(error_chain(&missing).matches(&cause).count(), 1, "{}", error_chain(&missing));
    let volume = Volume::new(Array3::zeros((4, 4, 6)), UNIT);
    let unwritten = write_volume(folder.path().join("missing").join("scan.nii"), &volume).expect_err("no folder");
    let cause = unwritten.source().expect("a cause").to_string();
    assert_eq!(error_chain(&unwritten).matches(&cause).count(), 1, "{}", error_chain(&unwritten));
    Ok(())
}
