//! Positions of slices: rounded, sheared, uneven or absent.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use proptest::prelude::*;
use sam_data::{
    DataError, DicomNote, DicomSeries, ScanConfig, Volume, read_dicom, read_dicom_observed, write_segmentation,
};
use sam_prompt::{error_chain, progress::ignore_progress};

use super::{
    expected,
    written::{self, SHAPE, SPACING, stored, words},
};

fn series_at(positions: impl IntoIterator<Item = String>) -> Vec<InMemDicomObject> {
    positions.into_iter().enumerate().map(|(index, position)| written::slice_at(index, &position)).collect()
}

fn read(images: &[InMemDicomObject], config: &ScanConfig) -> Result<(Volume, DicomSeries), DataError> {
    let folder = written::folder_of(images);
    read_dicom_observed(folder.path(), config, &mut ignore_progress()).map(|read| read.expect("nothing stops it"))
}

#[track_caller]
fn refusal(images: &[InMemDicomObject], config: &ScanConfig) -> String {
    error_chain(&read(images, config).expect_err("it is refused"))
}

#[test]
fn positions_rounded_to_a_tenth_are_at_equal_distances() {
    // Each 0.625 mm, as some scanners store them: 0.6 and 0.7 mm apart.
    let images = series_at((0..6).map(|slice| format!("33.0\\-47.0\\{:.1}", -100.0 + 0.625 * f64::from(slice))));
    let (volume, _) = read(&images, &ScanConfig::default()).expect("they are rounded");
    assert!((volume.grid.spacing()[2] - 0.62).abs() < 1e-9, "{:?}", volume.grid.spacing());

    // A step of 0.25 mm at one digit is 0.2 or 0.3 mm. A missing slice is still found.
    let mut images = series_at((0..9).map(|slice| format!("0.0\\0.0\\{:.1}", 0.25 * f64::from(slice) + 0.01)));
    assert!(read(&images, &ScanConfig::default()).is_ok());
    images.remove(4);
    assert!(refusal(&images, &ScanConfig::default()).contains("missing"));

    // With three digits, the same differences are no rounding.
    let uneven = ["0.000", "0.600", "1.300", "1.900", "2.700", "3.300"];
    let message = refusal(&series_at(uneven.map(|z| format!("0\\0\\{z}"))), &ScanConfig::default());
    assert!(message.contains("their distance changes"), "{message}");
}

#[test]
fn whole_millimetres_may_be_exact() {
    // One slice is 1 mm beside the others. Whole numbers could be rounded, but then all have one line within less than half a unit.
    let positions = ["-20\\0\\0", "-20\\0\\2", "-19\\0\\4", "-20\\0\\6"].map(str::to_owned);
    let message = refusal(&series_at(positions), &ScanConfig::default());
    assert!(message.contains("off the line"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rounding_passes_and_a_missing_slice_does_not(
        digits in 1..3_usize,
        units in 6.0_f64..40.0,
        start in -200.0_f64..200.0,
        count in 5..24_usize,
        missing in any::<prop::sample::Index>(),
    ) {
        let step = units * 10_f64.powi(-(digits as i32));
        let mut images =
            series_at((0..count).map(|slice| format!("1.5\\-2.5\\{:.digits$}", start + step * slice as f64)));
        let (volume, _) = read(&images, &ScanConfig::default()).map_err(|error| {
            TestCaseError::fail(format!("{step} mm: {}", error_chain(&error)))
        })?;
        prop_assert!((volume.grid.spacing()[2] - step).abs() < 0.5 * step / units);
        images.remove(1 + missing.index(count - 2));
        prop_assert!(read(&images, &ScanConfig::default()).is_err(), "a slice is missing at steps of {} mm", step);
    }
}

#[test]
fn sheared_slices_are_told_and_can_be_resampled() {
    // A tilt of arctan 0.5 about the left-right axis: each slice lies 0.8 mm (a row) lower than the one before.
    let images =
        series_at((0..4).map(|slice| format!("0.0\\{:.1}\\{:.1}", 0.8 * f64::from(slice), 1.6 * f64::from(slice))));
    let (volume, series) = read(&images, &ScanConfig::default()).expect("a sheared volume");
    let degrees = series.notes().iter().find_map(|note| match note {
        DicomNote::Sheared { degrees } => Some(*degrees),
        _ => None,
    });
    assert!(degrees.is_some_and(|degrees| (degrees - 0.5_f64.atan().to_degrees()).abs() < 1e-6), "{degrees:?}");
    assert!(series.notes().iter().any(|note| note.to_string().contains("sam-med resample")));
    // The mask's grid is the sheared one.
    assert!((volume.grid.spacing()[2] - 0.8_f64.hypot(1.6)).abs() < 1e-9);

    let upright = volume.grid.right_angled().expect("a valid grid");
    assert_eq!(upright.shape, [SHAPE[0], SHAPE[1] + 3, SHAPE[2]]);
    assert!((upright.spacing()[2] - 1.6).abs() < 1e-9, "{:?}", upright.spacing());
    let resampled = volume.resampled(&upright, -1.0).expect("an inverse");
    // Each voxel of the scan is one of the new grid here: three rows are outside in each column and slice.
    assert_eq!(resampled.voxels.iter().filter(|&&voxel| voxel < 0.0).count(), 3 * SHAPE[0] * SHAPE[2]);
    let sum = |volume: &Volume| volume.voxels.iter().filter(|&&voxel| voxel >= 0.0).sum::<f32>();
    assert!((sum(&resampled) - sum(&volume)).abs() < 1.0, "{} {}", sum(&resampled), sum(&volume));

    // Slices along their normal are not sheared, whatever the orientation.
    let folder = written::folder_of(&written::slices());
    let (_, straight) = read_dicom(folder.path(), None).expect("a series without fault");
    assert!(!straight.notes().iter().any(|note| matches!(note, DicomNote::Sheared { .. })));
}

#[test]
fn images_without_a_position_need_distances() {
    let mut images = written::slices();
    for (index, image) in images.iter_mut().enumerate() {
        for tag in [tags::IMAGE_POSITION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, tags::PIXEL_SPACING] {
            image.remove_element(tag);
        }
        image.put(words(tags::INSTANCE_NUMBER, VR::IS, &format!("{}", 10 * index + 1)));
    }
    let message = refusal(&images, &ScanConfig::default());
    assert!(message.contains("give the distances") && message.contains("PNG"), "{message}");

    let config = ScanConfig::default().with_spacing([0.5, 0.8, 2.5]);
    let (volume, series) = read(&images, &config).expect("the distances are given");
    assert_eq!(volume.voxels, expected(|voxel| f32::from(stored(voxel))).voxels);
    let spacing = volume.grid.spacing();
    assert!(spacing.iter().zip([0.5, 0.8, 2.5]).all(|(found, given)| (found - given).abs() < 1e-9), "{spacing:?}");
    assert!(series.notes().contains(&DicomNote::Unplaced { images: 4 }));
    // No DICOM SEG can say where its frames are.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let labels = volume.voxels.mapv(|_| 1);
    let segment = sam_data::Segment::new(1, "cyst");
    let error = write_segmentation(folder.path().join("mask.dcm"), labels.view(), &series, &[segment], "");
    assert!(error_chain(&error.expect_err("no position")).contains("--seg"));

    let message = refusal(&written::slices(), &config);
    assert!(message.contains("leave them out"), "{message}");
}

#[test]
fn a_film_becomes_a_volume_by_distances_alone() {
    let mut film = written::slice(0);
    film.remove_element(tags::IMAGE_POSITION_PATIENT);
    film.put(words(tags::NUMBER_OF_FRAMES, VR::IS, &SHAPE[2].to_string()));
    film.put(written::pixel_data((0..SHAPE[2]).flat_map(written::pixels).collect()));
    let message = refusal(std::slice::from_ref(&film), &ScanConfig::default());
    assert!(message.contains("4 frames") && message.contains("give their distances"), "{message}");
    let config = ScanConfig::default().with_spacing([SPACING[1], SPACING[0], SPACING[2]]);
    let (volume, _) = read(&[film], &config).expect("the distances are given");
    assert_eq!(volume.voxels, expected(|voxel| f32::from(stored(voxel))).voxels);
}
