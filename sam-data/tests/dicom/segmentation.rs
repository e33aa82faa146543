//! DICOM SEG files, read back with dicom-rs.

use std::{fs, path::Path};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, InMemDicomObject, mem::InMemElement, open_file};
use ndarray::Array3;
use sam_data::{DataError, DicomSeries, Scan, Segment, SegmentationNote, read_dicom, write_segmentation};
use sam_prompt::error_chain;

use super::written::{self, SERIES, SHAPE, position, words};

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object.get(tag).expect("it is written").to_str().expect("it is a text").trim_end_matches(['\0', ' ']).to_owned()
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).expect("it is a sequence")
}

fn segment(value: u16, name: &str) -> Segment {
    Segment::new(value, name)
}

/// Liver (2) on slices 1 and 2, spleen (5) on slice 2.
fn labels() -> Array3<u16> {
    Array3::from_shape_fn(SHAPE, |(column, row, slice)| match slice {
        1 => 2 * u16::from(column > row),
        2 => [0, 2, 5][(column + row) % 3],
        _ => 0,
    })
}

fn series(folder: &Path) -> DicomSeries {
    read_dicom(folder, None).expect("a series without fault").1
}

/// The pixels of all frames in order.
fn unpacked(object: &DefaultDicomObject) -> Vec<bool> {
    let bytes = object.get(tags::PIXEL_DATA).expect("it has pixels").to_bytes().expect("they are bytes");
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect()
}

#[test]
fn frames_refer_to_the_images_they_were_drawn_on() {
    let folder = written::folder_of(&written::slices());
    let path = folder.path().join("mask.dcm");
    let labels = labels();
    let segments = [segment(2, "Leber"), segment(5, "rate \u{3bb}")];
    write_segmentation(&path, labels.view(), &series(folder.path()), &segments, "Session 1\\2, round 3")
        .expect("a writable folder");
    let object = open_file(&path).expect("it was written");

    assert_eq!(text(&object, tags::SOP_CLASS_UID), uids::SEGMENTATION_STORAGE);
    assert_eq!(
        (&*text(&object, tags::PATIENT_NAME), &*text(&object, tags::STUDY_INSTANCE_UID)),
        ("Grün^Änne", "1.2.3")
    );
    let names: Vec<_> =
        items(&object, tags::SEGMENT_SEQUENCE).iter().map(|one| text(one, tags::SEGMENT_LABEL)).collect();
    assert_eq!(names, ["Leber", "rate \u{3bb}"]);
    assert_eq!(text(&object, tags::CONTENT_DESCRIPTION), "Session 12, round 3");

    let bits = unpacked(&object);
    let frames = items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let drawn = [(0, 1), (0, 2), (1, 2)];
    assert_eq!(frames.len(), drawn.len());
    let area = SHAPE[0] * SHAPE[1];
    for (number, ((index, slice), frame)) in drawn.into_iter().zip(frames).enumerate() {
        for pixel in 0..area {
            let label = labels[(pixel % SHAPE[0], pixel / SHAPE[0], slice)];
            assert_eq!(bits[number * area + pixel], label == segments[index].value, "frame {number}, pixel {pixel}");
        }
        let place = text(&items(frame, tags::PLANE_POSITION_SEQUENCE)[0], tags::IMAGE_POSITION_PATIENT);
        let place: Vec<f64> = place.split('\\').map(|part| part.parse().expect("a number")).collect();
        assert!(place.iter().zip(position(slice as f64)).all(|(one, other)| (one - other).abs() < 1e-9), "{place:?}");
        let source = &items(&items(frame, tags::DERIVATION_IMAGE_SEQUENCE)[0], tags::SOURCE_IMAGE_SEQUENCE)[0];
        assert_eq!(text(source, tags::REFERENCED_SOP_INSTANCE_UID), format!("{SERIES}.{}", slice + 1));
    }
    assert!(bits[3 * area..].iter().all(|bit| !bit), "padding");

    // From here on, the mask is in the folder of the images. It must not be read as an image.
    assert_eq!(read_dicom(folder.path(), None).expect("masks are passed over").1.uid, SERIES);
}

#[test]
fn an_empty_mask_is_a_mask() {
    let folder = written::folder_of(&[written::enhanced()]);
    let path = folder.path().join("mask.dcm");
    let nothing = Array3::zeros(SHAPE);
    write_segmentation(&path, nothing.view(), &series(folder.path()), &[segment(1, "liver")], "").expect("writable");
    let object = open_file(&path).expect("it was written");
    assert_eq!(text(&object, tags::NUMBER_OF_FRAMES), "1");
    assert!(unpacked(&object).iter().all(|bit| !bit));
    let frame = &items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)[0];
    let source = &items(&items(frame, tags::DERIVATION_IMAGE_SEQUENCE)[0], tags::SOURCE_IMAGE_SEQUENCE)[0];
    // The first slice is the last frame of its file.
    assert_eq!(text(source, tags::REFERENCED_FRAME_NUMBER), SHAPE[2].to_string());
}

#[test]
fn masks_that_cannot_be_told() {
    let folder = written::folder_of(&written::slices());
    let series = series(folder.path());
    let path = folder.path().join("mask.dcm");
    let refusal = |labels: Array3<u16>, segments: &[Segment]| {
        write_segmentation(&path, labels.view(), &series, segments, "").expect_err("it is refused")
    };
    assert!(matches!(refusal(Array3::zeros((2, 2, 2)), &[segment(1, "a")]), DataError::Shape { .. }));
    let tells = |segments: &[Segment], words: &str| {
        let message = error_chain(&refusal(labels(), segments));
        assert!(message.contains(words), "{message}");
    };
    tells(&[], "expected one or more");
    tells(&[segment(0, "background"), segment(2, "liver"), segment(5, "spleen")], "from 1 on");
    tells(&[segment(2, "liver")], "label value 5");
    tells(&[segment(2, "liver"), segment(5, "spleen"), segment(5, "other")], "two structures have the label value 5");
    assert!(!path.exists());
    let nowhere = folder.path().join("missing").join("mask.dcm");
    let segments = [segment(2, "liver"), segment(5, "spleen")];
    assert!(matches!(
        write_segmentation(&nowhere, labels().view(), &series, &segments, ""),
        Err(DataError::Write { .. })
    ));
}

/// A mask of the series in a folder, and what was told of it.
fn written_mask(folder: &Path) -> (DefaultDicomObject, Vec<SegmentationNote>) {
    let path = folder.join("mask.dcm");
    let segments = [segment(2, "Leber"), segment(5, "rate \u{3bb}")];
    let series = series(folder);
    let notes =
        write_segmentation(&path, labels().view(), &series, &segments, "outlined by \u{3bb}").expect("writable");
    assert_eq!(series.segmentation_notes().expect("it was written"), notes, "known before the work");
    let object = open_file(&path).expect("it was written");
    fs::remove_file(path).expect("it was written");
    (object, notes)
}

/// The series, changed in each image.
fn changed(change: impl Fn(usize, &mut InMemDicomObject)) -> tempfile::TempDir {
    let mut images = written::slices();
    images.iter_mut().enumerate().for_each(|(index, image)| change(index, image));
    written::folder_of(&images)
}

fn bytes(tag: Tag, vr: VR, bytes: &[u8]) -> InMemElement {
    DataElement::new(tag, vr, PrimitiveValue::from(bytes))
}

#[test]
fn names_with_code_extensions_are_decoded() {
    let folder = changed(|_, image| {
        image.put(words(tags::SPECIFIC_CHARACTER_SET, VR::CS, "\\ISO 2022 IR 87"));
        let name = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B";
        image.put(bytes(tags::PATIENT_NAME, VR::PN, name));
    });
    let (object, notes) = written_mask(folder.path());
    assert_eq!(text(&object, tags::PATIENT_NAME), "Yamada^Tarou=\u{5c71}\u{7530}^\u{592a}\u{90ce}");
    assert_eq!(text(&object, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 192");
    assert_eq!(notes, []);
}

#[test]
fn names_that_cannot_be_decoded_keep_their_bytes() {
    let folder = changed(|_, image| {
        image.put(words(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 999"));
        image.put(bytes(tags::PATIENT_NAME, VR::PN, b"M\xfcller"));
    });
    let (object, notes) = written_mask(folder.path());
    let name = object.get(tags::PATIENT_NAME).expect("it is written");
    assert_eq!(name.to_str().expect("Latin, since the set is unknown").trim_end(), "M\u{fc}ller");
    assert_eq!(text(&object, tags::SPECIFIC_CHARACTER_SET), "ISO_IR 999");
    assert_eq!(text(&object, tags::CONTENT_DESCRIPTION), "outlined by ?");
    // The items of our own texts have a character set of their own.
    let names: Vec<_> =
        items(&object, tags::SEGMENT_SEQUENCE).iter().map(|one| text(one, tags::SEGMENT_LABEL)).collect();
    assert_eq!(names, ["Leber", "rate \u{3bb}"]);
    assert!(notes.len() == 1 && notes[0].to_string().contains("ISO_IR 999"), "{notes:?}");
}

#[test]
fn uids_that_are_missing_are_made_and_told() {
    let made = |folder: &Path, tag: Tag| {
        let (object, notes) = written_mask(folder);
        let told = notes.iter().map(ToString::to_string).find(|note| note.contains(&tag.to_string()));
        assert!(told.is_some_and(|note| note.contains("was made")), "{tag}: {notes:?}");
        object
    };
    for tag in [tags::FRAME_OF_REFERENCE_UID, tags::STUDY_INSTANCE_UID] {
        let folder = changed(|_, image| {
            image.remove_element(tag);
        });
        let (one, other) = (made(folder.path(), tag), made(folder.path(), tag));
        assert!(text(&one, tag).starts_with("2.25."), "{}", text(&one, tag));
        // All masks of the series have the same one.
        assert_eq!(text(&one, tag), text(&other, tag));
        assert_ne!(text(&one, tags::SOP_INSTANCE_UID), text(&other, tags::SOP_INSTANCE_UID));
    }
    let tag = tags::SERIES_INSTANCE_UID;
    let folder = changed(|_, image| {
        image.remove_element(tag);
    });
    let object = made(folder.path(), tag);
    assert!(text(&items(&object, tags::REFERENCED_SERIES_SEQUENCE)[0], tag).starts_with("2.25."));
    // A frame of reference for each slice is none that the mask could refer to.
    let folder = changed(|index, image| {
        image.put(words(tags::FRAME_OF_REFERENCE_UID, VR::UI, &format!("1.2.3.9.{index}")));
    });
    let object = made(folder.path(), tags::FRAME_OF_REFERENCE_UID);
    assert!(text(&object, tags::FRAME_OF_REFERENCE_UID).starts_with("2.25."));
}

#[test]
fn images_that_a_mask_cannot_tell_apart_are_refused() {
    let folder = changed(|_, image| {
        image.put(words(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4.1"));
    });
    let path = folder.path().join("mask.dcm");
    let segments = [segment(2, "liver"), segment(5, "spleen")];
    let error = write_segmentation(&path, labels().view(), &series(folder.path()), &segments, "");
    let message = error_chain(&error.expect_err("one UID for all"));
    assert!(message.contains("1.2.3.4.1") && message.contains("IM000") && message.contains("--seg"), "{message}");
    // It is known before the work.
    let scan = Scan::open(folder.path(), None).expect("a series without fault");
    assert!(matches!(scan.check_segmentation_output(&path), Err(DataError::Segmentation { .. })));
    assert!(!path.exists());
}

#[test]
fn slices_with_a_series_each_are_referred_to_by_it() {
    let folder = changed(|index, image| {
        image.put(words(tags::SERIES_INSTANCE_UID, VR::UI, &format!("1.2.3.{index}")));
        image.put(words(tags::STUDY_INSTANCE_UID, VR::UI, &format!("1.2.{index}")));
    });
    let path = folder.path().join("mask.dcm");
    let scan = Scan::open(folder.path(), Some("all")).expect("one volume");
    let segments = [segment(2, "liver"), segment(5, "spleen")];
    let notes = scan.write_segmentation(&path, labels().view(), &segments, "").expect("a writable folder");
    assert_eq!(notes, [SegmentationNote::SeveralStudies { found: 4 }]);
    let object = open_file(&path).expect("it was written");
    let referenced = items(&object, tags::REFERENCED_SERIES_SEQUENCE);
    let uids: Vec<_> = referenced.iter().map(|one| text(one, tags::SERIES_INSTANCE_UID)).collect();
    assert_eq!(uids, ["1.2.3.0", "1.2.3.1", "1.2.3.2", "1.2.3.3"]);
    assert!(referenced.iter().all(|one| items(one, tags::REFERENCED_INSTANCE_SEQUENCE).len() == 1));
}
