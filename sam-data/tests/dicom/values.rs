//! Values of DICOM elements: absent, read, or an error. Pixels of padding.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use sam_data::{DicomNote, read_dicom};
use sam_prompt::error_chain;

use super::{
    assert_reads, expected, plain,
    written::{self, number, stored, words},
};

/// Every element whose value decides about a voxel or its place.
const READ: [dicom_core::Tag; 20] = [
    tags::ROWS,
    tags::COLUMNS,
    tags::SAMPLES_PER_PIXEL,
    tags::NUMBER_OF_FRAMES,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::RESCALE_SLOPE,
    tags::RESCALE_INTERCEPT,
    tags::SLICE_THICKNESS,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::PIXEL_SPACING,
    tags::INSTANCE_NUMBER,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
];

#[test]
fn no_value_that_is_present_but_unreadable_becomes_a_default() {
    for tag in READ {
        for text in ["x,y", "1.0.0"] {
            let mut images = written::slices();
            images[1].put(words(tag, VR::LO, text));
            let folder = written::folder_of(&images);
            let message = error_chain(&read_dicom(folder.path(), None).expect_err("it cannot be read"));
            for part in [tag.to_string().as_str(), text, "IM007", "expected"] {
                assert!(message.contains(part), "{part} of {tag} {text}: {message}");
            }
        }
    }
}

#[test]
fn values_that_are_absent_or_empty_have_their_default() {
    let mut images = written::slices();
    for image in &mut images {
        for tag in [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT, tags::NUMBER_OF_FRAMES, tags::INSTANCE_NUMBER] {
            image.put(words(tag, VR::LO, " "));
        }
        for tag in [tags::SAMPLES_PER_PIXEL, tags::BITS_STORED, tags::HIGH_BIT, tags::PIXEL_REPRESENTATION] {
            image.remove_element(tag);
        }
    }
    assert_reads(written::folder_of(&images).path(), &plain());
}

#[test]
fn decimal_commas_are_read() {
    let mut images = written::slices();
    for image in &mut images {
        image.put(words(tags::RESCALE_INTERCEPT, VR::DS, "-1024,0"));
        image.put(words(tags::RESCALE_SLOPE, VR::DS, "0,5"));
        image.put(words(tags::PIXEL_SPACING, VR::DS, "0,8\\0,5"));
    }
    assert_reads(written::folder_of(&images).path(), &expected(|voxel| f32::from(stored(voxel)) * 0.5 - 1024.0));
}

#[test]
fn directions_that_are_no_directions_are_refused() {
    for wrong in ["0\\0\\0\\0\\0\\0", "1\\0\\0\\1\\0\\0", "2\\0\\0\\0\\2\\0"] {
        let mut images = written::slices();
        for image in &mut images {
            image.put(words(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, wrong));
        }
        let folder = written::folder_of(&images);
        let message = error_chain(&read_dicom(folder.path(), None).expect_err("no directions"));
        assert!(message.contains("right angles") && message.contains(wrong), "{message}");
    }
}

#[test]
fn padding_becomes_the_lowest_intensity_and_is_told() {
    // The lowest stored values are 0, 10, 20 and so on, each once.
    for (limit, voxels, lowest) in [(None, 1, 10.0), (Some(30), 4, 40.0)] {
        let mut images = written::slices();
        for image in &mut images {
            image.put(number(tags::PIXEL_PADDING_VALUE, 0));
            if let Some(limit) = limit {
                image.put(number(tags::PIXEL_PADDING_RANGE_LIMIT, limit));
            }
        }
        let folder = written::folder_of(&images);
        assert_reads(folder.path(), &expected(|voxel| f32::from(stored(voxel)).max(lowest)));
        let (_, series) = read_dicom(folder.path(), None).expect("a series without fault");
        assert!(series.notes().contains(&DicomNote::Padding { voxels, lowest }), "{:?}", series.notes());
    }
}

#[test]
fn a_palette_is_no_grey() {
    let mut image = written::slice(0);
    image.put(words(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR"));
    let folder = written::folder_of(&[image]);
    let message = error_chain(&read_dicom(folder.path(), None).expect_err("colour"));
    assert!(message.contains("PALETTE COLOR") && message.contains("MONOCHROME2"), "{message}");
}
