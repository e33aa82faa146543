//! The errors for series that are not a volume.

use std::fs;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use sam_data::{DataError, read_dicom};
use sam_prompt::error_chain;

use super::written::{self, SERIES, decimals, number, words};

#[track_caller]
fn refusal(images: &[InMemDicomObject]) -> String {
    let folder = written::folder_of(images);
    error_chain(&read_dicom(folder.path(), None).expect_err("it is no volume"))
}

#[track_caller]
fn assert_tells(message: &str, words: &[&str]) {
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn gaps_and_doubles() {
    let mut images = written::slices();
    images.remove(2);
    assert_tells(&refusal(&images), &["5.000 mm", "2.500 mm", "missing"]);

    let mut images = written::slices();
    images.push(written::slice(1));
    assert_tells(&refusal(&images), &["lie at one place", "IM007", "IM006"]);

    // Two volumes, one of them shifted sideways.
    let mut images = written::slices();
    images[2].put(decimals(tags::IMAGE_POSITION_PATIENT, &[-19.0, 32.0, 104.0]));
    assert_tells(&refusal(&images), &["off the line", "IM003"]);
}

#[test]
fn slices_of_different_kinds() {
    let mut turned = written::slices();
    turned[1].put(decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    assert_tells(&refusal(&turned), &["IM000 and IM007 differ in orientation"]);

    let mut zoomed = written::slices();
    zoomed[3].put(decimals(tags::PIXEL_SPACING, &[1.0, 1.0]));
    assert_tells(&refusal(&zoomed), &["differ in pixel spacing"]);

    let mut smaller = written::slices();
    smaller[3].put(number(tags::ROWS, 2));
    assert_tells(&refusal(&smaller), &["differ in size"]);
}

#[test]
fn several_series_must_be_told_apart() {
    let mut images = written::slices();
    let mut others = written::slices();
    for image in &mut others {
        image.put(words(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.5"));
        image.put(words(tags::SERIES_DESCRIPTION, VR::LO, "topogram"));
    }
    images.extend(others);
    assert_tells(&refusal(&images), &["2 series", SERIES, "1.2.3.5 (CT \"topogram\", 4 files)"]);
    let folder = written::folder_of(&images);
    let (_, series) = read_dicom(folder.path(), Some("1.2.3.5")).expect("it is named");
    assert_eq!(series.description, "topogram");
    let message = error_chain(&read_dicom(folder.path(), Some("1.2.3.6")).expect_err("there is none"));
    assert_tells(&message, &["no series 1.2.3.6", "topogram"]);
}

#[test]
fn images_that_do_not_say_enough() {
    let without = |tag| {
        let mut images = written::slices();
        images[2].remove_element(tag);
        refusal(&images)
    };
    assert_tells(&without(tags::IMAGE_POSITION_PATIENT), &["IM003", "position (0020,0032)"]);
    assert_tells(&without(tags::IMAGE_ORIENTATION_PATIENT), &["orientation (0020,0037)"]);
    assert_tells(&without(tags::PIXEL_SPACING), &["pixel spacing (0028,0030)"]);
    assert_tells(&without(tags::PIXEL_DATA), &["IM003", "holds no pixels"]);
    assert_tells(&without(tags::BITS_ALLOCATED), &["0 bits"]);

    let mut images = written::slices();
    images[0].put(decimals(tags::PIXEL_SPACING, &[0.0, 1.0]));
    assert_tells(&refusal(&images), &["two positive numbers"]);
    let mut images = written::slices();
    images[0].put(number(tags::SAMPLES_PER_PIXEL, 3));
    assert_tells(&refusal(&images), &["3 channels"]);
    let mut images = written::slices();
    images[0].put(decimals(tags::RESCALE_SLOPE, &[0.0]));
    assert_tells(&refusal(&images), &["slope 0"]);
    let mut film = written::slices();
    film[0].put(words(tags::NUMBER_OF_FRAMES, VR::IS, "30"));
    assert!(refusal(&film).contains("30 frame"));
}

#[test]
fn what_is_no_dicom() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = error_chain(&read_dicom(folder.path(), None).expect_err("empty"));
    assert_tells(&message, &["looked for DICOM images"]);
    fs::write(folder.path().join("scan.dcm"), vec![0; 5000]).expect("a writable folder");
    assert!(matches!(read_dicom(folder.path(), None), Err(DataError::Layout { .. })));
    assert!(matches!(read_dicom(folder.path().join("scan.dcm"), None), Err(DataError::Layout { .. })));
    assert!(read_dicom(folder.path().join("nowhere"), None).is_err());
}

#[test]
fn headers_that_announce_more_than_there_is() {
    let lying = |syntax: &str, compressed: bool| {
        let mut image = written::slice(0);
        if compressed {
            written::pack_rle(&mut image, &[written::pixels(0)]);
        }
        image.put(number(tags::ROWS, 40_000));
        image.put(number(tags::COLUMNS, 40_000));
        let folder = tempfile::tempdir().expect("a temporary folder");
        written::write(folder.path(), &[image], syntax);
        error_chain(&read_dicom(folder.path(), None).expect_err("it lies"))
    };
    for (syntax, compressed) in [
        (uids::EXPLICIT_VR_LITTLE_ENDIAN, false),
        (uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, false),
        (uids::RLE_LOSSLESS, true),
    ] {
        assert_tells(&lying(syntax, compressed), &["40000 x 40000", "holds"]);
    }
}

#[test]
fn files_that_end_too_early() {
    let folder = written::folder_of(&written::slices());
    let path = folder.path().join("IM007");
    let whole = fs::read(&path).expect("it was written");
    for length in [whole.len() - 1, whole.len() - 31, whole.len() / 2, 400, 200, 140] {
        fs::write(&path, &whole[..length]).expect("a writable folder");
        let error = read_dicom(folder.path(), None).expect_err("it is cut off");
        assert!(error.to_string().contains("IM007"), "{length} bytes: {error}");
    }
    fs::write(&path, &whole[..whole.len() - 4]).expect("a writable folder");
    let truncated = read_dicom(folder.path(), None);
    assert!(matches!(truncated, Err(DataError::Truncated { what: "pixels", expected: 30, found: 26, .. })));
}
