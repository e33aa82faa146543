//! Reading DICOM series and writing DICOM SEG, with small generated series and, if available, a real one.

mod damaged;
mod real;
mod refused;
mod segmentation;
mod written;

use std::{fs, ops::ControlFlow};

use dicom_core::{VR, header::Header as _};
use dicom_dictionary_std::{tags, uids};
use ndarray::Array3;
use sam_data::{Grid, Scan, ScanConfig, Volume, read_dicom, read_labels, write_labels};
use sam_prompt::progress::{Progress, Stage};

use written::{ORIGIN, SERIES, SHAPE, SPACING, decimals, number, stored, words};

/// The volume that a generated series must give; `intensity` is the expected intensity of each pixel.
fn expected(intensity: impl Fn([usize; 3]) -> f32) -> Volume {
    let voxels = Array3::from_shape_fn(SHAPE, |(column, row, slice)| intensity([column, row, slice]));
    let [between_rows, between_columns, between_slices] = SPACING;
    // Axes point right, anterior and superior (RAS), but DICOM's point left, posterior and superior.
    let affine = [
        [-between_columns, 0.0, 0.0, -ORIGIN[0]],
        [0.0, -0.8 * between_rows, 0.6 * between_slices, -ORIGIN[1]],
        [0.0, 0.6 * between_rows, 0.8 * between_slices, ORIGIN[2]],
        [0.0, 0.0, 0.0, 1.0],
    ];
    Volume::new(voxels, affine)
}

#[track_caller]
fn assert_reads(folder: &std::path::Path, volume: &Volume) {
    let (found, series) = read_dicom(folder, None).expect("a series without fault");
    assert_eq!(found.voxels, volume.voxels);
    assert_eq!(found.grid.compare(&volume.grid, 1e-9), Ok(()));
    assert_eq!((&*series.uid, &*series.description, &*series.modality), (SERIES, "abdomen 2.5", "CT"));
}

fn plain() -> Volume {
    expected(|voxel| f32::from(stored(voxel)))
}

#[test]
fn slices_are_ordered_by_position_whatever_else_lies_there() {
    let mut images = written::slices();
    images.reverse();
    let folder = written::folder_of(&images[..2]);
    fs::create_dir(folder.path().join("second half")).expect("a writable folder");
    written::write(&folder.path().join("second half"), &images[2..], uids::IMPLICIT_VR_LITTLE_ENDIAN);
    fs::write(folder.path().join("notes.txt"), "short").expect("a writable folder");
    fs::write(folder.path().join("notes.pdf"), vec![7; 4000]).expect("a writable folder");
    let mut report = images[0].clone();
    report.retain(|element| ![tags::ROWS, tags::COLUMNS, tags::PIXEL_DATA].contains(&element.tag()));
    report.put(words(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.5"));
    fs::write(folder.path().join("report"), written::bytes(&report, uids::EXPLICIT_VR_LITTLE_ENDIAN))
        .expect("writable");
    assert_reads(folder.path(), &plain());
}

#[test]
fn transfer_syntaxes_give_one_volume() {
    for syntax in [written::BIG_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        written::write(folder.path(), &written::slices(), syntax);
        assert_reads(folder.path(), &plain());
    }
    let mut images = written::slices();
    images.iter_mut().enumerate().for_each(|(index, image)| written::pack_rle(image, &[written::pixels(index)]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    written::write(folder.path(), &images, uids::RLE_LOSSLESS);
    assert_reads(folder.path(), &plain());
}

#[test]
fn lossless_compressions_agree() {
    let [jpeg, jpeg_2000] = [written::JPEG, written::JPEG_2000].map(|bytes| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("slice"), bytes).expect("a writable folder");
        read_dicom(folder.path(), None).expect("a slice without fault").0
    });
    assert_eq!(jpeg.grid.shape, [37, 29, 1]);
    assert!(jpeg.voxels.iter().any(|&voxel| voxel > 2400.0));
    assert_eq!(jpeg.voxels, jpeg_2000.voxels);
}

#[test]
fn intensities_are_rescaled_and_black_is_lowest() {
    let rescaled = |change: &dyn Fn(&mut dicom_object::InMemDicomObject)| {
        let mut images = written::slices();
        images.iter_mut().for_each(change);
        written::folder_of(&images)
    };
    let folder = rescaled(&|image| {
        image.put(decimals(tags::RESCALE_SLOPE, &[0.5]));
        image.put(decimals(tags::RESCALE_INTERCEPT, &[-1024.0]));
    });
    assert_reads(folder.path(), &expected(|voxel| f32::from(stored(voxel)) * 0.5 - 1024.0));

    let folder = rescaled(&|image| {
        image.put(words(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1"));
        image.put(number(tags::BITS_STORED, 12));
        image.put(number(tags::HIGH_BIT, 11));
    });
    assert_reads(folder.path(), &expected(|voxel| 4095.0 - f32::from(stored(voxel))));

    // Signed 12-bit numbers: stored values from 2048 on are negative.
    let folder = rescaled(&|image| {
        image.put(number(tags::PIXEL_REPRESENTATION, 1));
        image.put(number(tags::BITS_STORED, 12));
        image.put(number(tags::HIGH_BIT, 11));
    });
    let signed = |stored: f32| if stored < 2048.0 { stored } else { stored - 4096.0 };
    assert_reads(folder.path(), &expected(|voxel| signed(f32::from(stored(voxel)))));
}

#[test]
fn one_file_of_many_frames() {
    let volume = expected(|voxel| f32::from(stored(voxel)) * (voxel[2] + 1) as f32 - 7.0);
    let folder = written::folder_of(&[written::enhanced()]);
    assert_reads(folder.path(), &volume);
    // A path to the file itself works too.
    assert_reads(&folder.path().join("IM000"), &volume);

    let mut image = written::enhanced();
    written::pack_rle(&mut image, &(0..SHAPE[2]).rev().map(written::pixels).collect::<Vec<_>>());
    fs::write(folder.path().join("IM000"), written::bytes(&image, uids::RLE_LOSSLESS)).expect("a writable folder");
    assert_reads(folder.path(), &volume);
}

#[test]
fn a_single_slice_is_as_thick_as_it_says() {
    let folder = written::folder_of(&written::slices()[..1]);
    let (volume, _) = read_dicom(folder.path(), None).expect("one slice");
    assert_eq!(volume.grid.shape, [SHAPE[0], SHAPE[1], 1]);
    let Grid { affine, .. } = volume.grid;
    let wanted = plain().grid.affine;
    assert!(affine.iter().flatten().zip(wanted.iter().flatten()).all(|(one, other)| (one - other).abs() < 1e-9));
}

#[test]
fn reading_is_observed_file_by_file_and_stops_at_once() {
    let folder = written::folder_of(&written::slices());
    let open = |stop_after: usize| {
        let mut seen = Vec::new();
        let scan = Scan::open_observed(folder.path(), &ScanConfig::default(), &mut |progress: &Progress| {
            seen.push((progress.stage, progress.done, progress.total));
            if progress.done == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (scan.expect("a series without fault"), seen)
    };
    // Each file is read for its header, then for its pixels.
    let total = 2 * SHAPE[2];
    for stop_after in [1, SHAPE[2] + 1, total] {
        let (scan, seen) = open(stop_after);
        assert_eq!(seen, (1..=stop_after).map(|done| (Stage::Read, done, total)).collect::<Vec<_>>());
        assert_eq!(scan.is_some(), stop_after == total, "{stop_after}");
    }
}

#[test]
fn masks_leave_as_nifti_on_the_same_grid() {
    let folder = written::folder_of(&written::slices());
    let (volume, _) = read_dicom(folder.path(), None).expect("a series without fault");
    let labels = Array3::from_shape_fn(SHAPE, |(column, row, slice)| ((column + row + slice) % 3) as u16);
    let path = folder.path().join("mask.nii.gz");
    write_labels(&path, labels.view(), &volume).expect("a writable folder");
    let back = read_labels(&path).expect("it was written");
    assert_eq!(back.labels, labels);
    assert_eq!(volume.grid.compare(&back.grid, 1e-4), Ok(()));
}
