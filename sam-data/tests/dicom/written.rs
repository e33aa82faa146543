//! Small valid DICOM series. Each test then changes something.

use std::{fs, path::Path};

use dicom_core::{
    DataElement, PrimitiveValue, Tag, VR,
    smallvec::smallvec,
    value::{DataSetSequence, PixelFragmentSequence},
};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, mem::InMemElement};

/// Columns, rows and slices. The number of pixels of a slice is not a multiple of eight, so that frames of a mask do not end at a byte.
pub(crate) const SHAPE: [usize; 3] = [5, 3, 4];
/// Distance between rows, between columns, and between slices.
pub(crate) const SPACING: [f64; 3] = [0.8, 0.5, 2.5];
/// A rotation around the left-right axis by arcsin 0.6.
pub(crate) const DIRECTIONS: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 0.8, 0.6];
pub(crate) const ORIGIN: [f64; 3] = [-20.0, 35.0, 100.0];
pub(crate) const SERIES: &str = "1.2.3.4";
/// Explicit VR Big Endian: retired, but found in archives.
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// One slice in each of two lossless compressions. `check_segmentation.py write` makes such files.
pub(crate) const JPEG: &[u8] = include_bytes!("../fixtures/dicom/jpeg_lossless.dcm");
pub(crate) const JPEG_2000: &[u8] = include_bytes!("../fixtures/dicom/jpeg_2000.dcm");

/// The stored value of a pixel.
pub(crate) fn stored([column, row, slice]: [usize; 3]) -> u16 {
    (1000 * slice + 100 * row + 10 * column) as u16
}

/// Position of a slice, along the cross product of the directions.
pub(crate) fn position(slice: f64) -> [f64; 3] {
    let along = SPACING[2] * slice;
    [ORIGIN[0], ORIGIN[1] - 0.6 * along, ORIGIN[2] + 0.8 * along]
}

pub(crate) fn words(tag: Tag, vr: VR, words: &str) -> InMemElement {
    DataElement::new(tag, vr, PrimitiveValue::from(words))
}

pub(crate) fn number(tag: Tag, number: u16) -> InMemElement {
    DataElement::new(tag, VR::US, PrimitiveValue::from(number))
}

pub(crate) fn decimals(tag: Tag, numbers: &[f64]) -> InMemElement {
    words(tag, VR::DS, &numbers.iter().map(f64::to_string).collect::<Vec<_>>().join("\\"))
}

fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

fn item(elements: Vec<InMemElement>) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

/// An image without position and pixels.
fn image(instance: &str) -> InMemDicomObject {
    let [columns, rows, _] = SHAPE;
    item(vec![
        words(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
        words(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        words(tags::SOP_INSTANCE_UID, VR::UI, instance),
        words(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
        words(tags::SERIES_INSTANCE_UID, VR::UI, SERIES),
        words(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.9"),
        words(tags::SERIES_DESCRIPTION, VR::LO, "abdomen 2.5"),
        words(tags::MODALITY, VR::CS, "CT"),
        words(tags::PATIENT_NAME, VR::PN, "Grün^Änne"),
        words(tags::PATIENT_ID, VR::LO, "synthetic"),
        words(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        number(tags::SAMPLES_PER_PIXEL, 1),
        number(tags::ROWS, rows as u16),
        number(tags::COLUMNS, columns as u16),
        number(tags::BITS_ALLOCATED, 16),
        number(tags::BITS_STORED, 16),
        number(tags::HIGH_BIT, 15),
        number(tags::PIXEL_REPRESENTATION, 0),
    ])
}

/// Stored values of a slice, row by row.
pub(crate) fn pixels(slice: usize) -> Vec<u16> {
    let [columns, rows, _] = SHAPE;
    (0..rows * columns).map(|pixel| stored([pixel % columns, pixel / columns, slice])).collect()
}

pub(crate) fn pixel_data(pixels: Vec<u16>) -> InMemElement {
    DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into()))
}

/// One slice of the series as a single image.
pub(crate) fn slice(index: usize) -> InMemDicomObject {
    let mut object = image(&format!("{SERIES}.{}", index + 1));
    object.put(decimals(tags::IMAGE_POSITION_PATIENT, &position(index as f64)));
    object.put(decimals(tags::IMAGE_ORIENTATION_PATIENT, &DIRECTIONS));
    object.put(decimals(tags::PIXEL_SPACING, &SPACING[..2]));
    object.put(decimals(tags::SLICE_THICKNESS, &[SPACING[2]]));
    object.put(pixel_data(pixels(index)));
    object
}

pub(crate) fn slices() -> Vec<InMemDicomObject> {
    (0..SHAPE[2]).map(slice).collect()
}

/// An axial slice at a position in the form in which it is stored, such as `0\\0\\2.5`.
pub(crate) fn slice_at(index: usize, position: &str) -> InMemDicomObject {
    let mut object = slice(index % SHAPE[2]);
    object.put(words(tags::SOP_INSTANCE_UID, VR::UI, &format!("{SERIES}.{}", index + 1)));
    object.put(words(tags::IMAGE_POSITION_PATIENT, VR::DS, position));
    object.put(decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    object
}

/// The series as one enhanced multi-frame image. Frames are in reverse order, each with its own rescale slope.
pub(crate) fn enhanced() -> InMemDicomObject {
    let mut object = image("1.2.3.4.100");
    object.put(words(tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE));
    object.put(words(tags::NUMBER_OF_FRAMES, VR::IS, &SHAPE[2].to_string()));
    let measures = item(vec![decimals(tags::PIXEL_SPACING, &SPACING[..2])]);
    let orientation = item(vec![decimals(tags::IMAGE_ORIENTATION_PATIENT, &DIRECTIONS)]);
    object.put(sequence(
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        vec![item(vec![
            sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]),
            sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]),
        ])],
    ));
    let frame = |slice: usize| {
        let place = item(vec![decimals(tags::IMAGE_POSITION_PATIENT, &position(slice as f64))]);
        let rescale = item(vec![
            decimals(tags::RESCALE_SLOPE, &[(slice + 1) as f64]),
            decimals(tags::RESCALE_INTERCEPT, &[-7.0]),
        ]);
        item(vec![
            sequence(tags::PLANE_POSITION_SEQUENCE, vec![place]),
            sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![rescale]),
        ])
    };
    let order = || (0..SHAPE[2]).rev();
    object.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, order().map(frame).collect()));
    object.put(pixel_data(order().flat_map(pixels).collect()));
    object
}

/// Replaces an image's pixels by RLE frames.
pub(crate) fn pack_rle(object: &mut InMemDicomObject, frames: &[Vec<u16>]) {
    let packed = frames.iter().map(|pixels| {
        let high: Vec<u8> = pixels.iter().map(|pixel| (pixel >> 8) as u8).collect();
        let low: Vec<u8> = pixels.iter().map(|pixel| *pixel as u8).collect();
        // The high bytes as repeated runs, the low bytes as literal runs.
        let mut runs: Vec<u8> = high.chunk_by(u8::eq).flat_map(|run| [(257 - run.len()) as u8, run[0]]).collect();
        let begin = 64 + runs.len() as u32;
        runs.push((low.len() - 1) as u8);
        runs.extend(low);
        let mut fragment: Vec<u8> = [2, 64, begin].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        fragment.resize(64, 0);
        fragment.extend(runs);
        fragment.resize(fragment.len().next_multiple_of(2), 0);
        fragment
    });
    let sequence = PixelFragmentSequence::new(smallvec![], packed.collect::<Vec<_>>());
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, sequence));
}

/// Encodes an image as the bytes of a file.
pub(crate) fn bytes(object: &InMemDicomObject, syntax: &str) -> Vec<u8> {
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
    let file = object.clone().with_meta(meta).expect("it says class and instance");
    let mut bytes = Vec::new();
    file.write_all(&mut bytes).expect("memory takes it");
    bytes
}

/// A file without preamble and file meta header: its data set alone.
pub(crate) fn data_set(object: &InMemDicomObject, syntax: &str) -> Vec<u8> {
    let mut bytes = bytes(object, syntax);
    let length = u32::from_le_bytes(bytes[140..144].try_into().expect("four bytes"));
    bytes.split_off(144 + length as usize)
}

/// Writes images to a folder. The file names say nothing about the order.
pub(crate) fn write(folder: &Path, images: &[InMemDicomObject], syntax: &str) {
    for (number, image) in images.iter().enumerate() {
        let name = format!("IM{:03}", 7 * number % 11 + 11 * (number / 11));
        fs::write(folder.join(name), bytes(image, syntax)).expect("a writable folder");
    }
}

pub(crate) fn folder_of(images: &[InMemDicomObject]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), images, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    folder
}

/// Files of every kind: plain, compressed, deflated, multi-frame, implicit VR.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let mut packed = slice(1);
    pack_rle(&mut packed, &[pixels(1)]);
    vec![
        bytes(&slice(1), uids::EXPLICIT_VR_LITTLE_ENDIAN),
        bytes(&slice(1), uids::IMPLICIT_VR_LITTLE_ENDIAN),
        bytes(&slice(1), BIG_ENDIAN),
        bytes(&slice(1), uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
        bytes(&packed, uids::RLE_LOSSLESS),
        bytes(&enhanced(), uids::EXPLICIT_VR_LITTLE_ENDIAN),
        JPEG.to_vec(),
        JPEG_2000.to_vec(),
    ]
}
