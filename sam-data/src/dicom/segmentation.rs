//! Writes masks as DICOM SEG: one binary frame for each slice of each structure. Each frame refers to its source image.
//!
//! Source of attributes and their types: DICOM PS3.3, A.51 (Segmentation IOD) and C.8.20.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, mem::InMemElement};
use ndarray::{ArrayView2, ArrayView3, Axis};
use sam_files::{Sha256Hasher, check_writable, write_atomic};
use time::OffsetDateTime;

use super::{
    DicomSeries,
    element::{Code, code, decimals, item, items, line, number, words},
    frame::Frame,
    patient::{References, SegmentationNote, Texts, made_uid, unicode},
};
use crate::{DataError, SegmentationError};

/// A structure of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Label value of the structure.
    pub value: u16,
    /// Name of the structure, as viewers show it.
    pub name: String,
}

impl Segment {
    /// A structure with a label value and a name.
    pub fn new(value: u16, name: impl Into<String>) -> Self {
        Self { value, name: name.into() }
    }
}

const ANATOMY: Code = ("123037004", "SCT", "Anatomical Structure");
const SEGMENTATION: Code = ("113076", "DCM", "Segmentation");
const SOURCE_IMAGE: Code = ("121322", "DCM", "Source image for image processing operation");

/// Writes a mask as DICOM SEG that refers to the series it was made on.
///
/// Each structure becomes a segment with the given name. Frames without voxels of the structure are left out; a structure without any
/// voxel has one empty frame. Patient, study and frame of reference are copied from the series. The UIDs are derived from the content and
/// the time. `description` says in up to 64 characters where the mask comes from; it may be empty.
///
/// Returns what the person must know: UIDs that the images lack and that were made, and texts that cannot be decoded. It is known before
/// the work; see [`DicomSeries::segmentation_notes`].
///
/// # Shapes
/// - labels: `[columns, rows, slices]`, as in the volume that [`super::read_dicom`] returned
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.dcm`; [`DataError::Shape`]; [`DataError::Segmentation`] if there is no structure, or
/// a label value belongs to no structure or to two, or the images lack what a mask refers to; [`DataError::Write`].
pub fn write_segmentation(
    path: impl AsRef<Path>,
    labels: ArrayView3<'_, u16>,
    series: &DicomSeries,
    segments: &[Segment],
    description: &str,
) -> Result<Vec<SegmentationNote>, DataError> {
    let path = path.as_ref();
    check_extension(path)?;
    let (rows, columns) = series.slices[0].size;
    let (i, j, k) = labels.dim();
    let expected = [columns, rows, series.slices.len()];
    if [i, j, k] != expected {
        return Err(DataError::Shape { expected, found: [i, j, k] });
    }
    let refuse = |source| DataError::Segmentation { path: path.to_path_buf(), source };
    check(labels, segments).map_err(refuse)?;
    let notes = series.segmentation_notes().map_err(refuse)?;
    let references = References::of(&series.slices).map_err(refuse)?;
    let now = OffsetDateTime::now_utc();
    let names = Names::of(labels, series, segments, now);
    let document = Document { labels, series, segments, names: &names, references: &references };
    let object = document.object(description, now);
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(uids::SEGMENTATION_STORAGE)
        .media_storage_sop_instance_uid(names.instance.as_str())
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let file = object.with_meta(meta).map_err(|error| refuse(SegmentationError::Encode(Box::new(error))))?;
    write_atomic(path, |out| file.write_all(out).map_err(io::Error::other))?;
    Ok(notes)
}

/// Checks that a mask can be written as DICOM SEG under this name. Call it before a long computation.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.dcm`; [`DataError::Write`] if its folder does not exist or cannot be written to.
pub fn check_segmentation_output(path: impl AsRef<Path>) -> Result<(), DataError> {
    let path = path.as_ref();
    check_extension(path)?;
    Ok(check_writable(path)?)
}

fn check_extension(path: &Path) -> Result<(), DataError> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dcm")) {
        return Ok(());
    }
    Err(DataError::Extension { path: path.to_path_buf(), expected: ".dcm" })
}

/// Checks that each label belongs to exactly one structure, and that the format can hold the mask.
fn check(labels: ArrayView3<'_, u16>, segments: &[Segment]) -> Result<(), SegmentationError> {
    let mut named = BTreeSet::new();
    if let Some(twice) = segments.iter().find(|segment| !named.insert(segment.value)) {
        return Err(SegmentationError::SameValue { value: twice.value });
    }
    if named.is_empty() || named.contains(&0) {
        return Err(SegmentationError::NoSegment);
    }
    if let Some(&value) = labels.iter().find(|&&label| label != 0 && !named.contains(&label)) {
        return Err(SegmentationError::Unnamed { value });
    }
    let (columns, rows, slices) = labels.dim();
    let bits = [rows, slices, segments.len()].iter().try_fold(columns, |bits, &side| bits.checked_mul(side));
    if bits.is_none_or(|bits| bits / 8 >= u32::MAX as usize) {
        return Err(SegmentationError::TooLarge { segments: segments.len(), slices });
    }
    Ok(())
}

/// New UIDs for the DICOM SEG object.
struct Names {
    instance: String,
    series: String,
    dimensions: String,
}

impl Names {
    /// Derives the UIDs from the content and the time, so the same mask written again gets new UIDs.
    fn of(labels: ArrayView3<'_, u16>, series: &DicomSeries, segments: &[Segment], now: OffsetDateTime) -> Self {
        let mut content = Sha256Hasher::new();
        content.update(&series.uid);
        content.update(now.unix_timestamp_nanos().to_le_bytes());
        for segment in segments {
            content.update(segment.value.to_le_bytes());
            content.update(&segment.name);
        }
        labels.iter().for_each(|label| content.update(label.to_le_bytes()));
        let name = |part: &str| {
            let mut content = content.clone();
            content.update(part);
            made_uid(&content)
        };
        Self { instance: name("instance"), series: name("series"), dimensions: name("dimensions") }
    }
}

/// What a DICOM SEG is made of.
struct Document<'a> {
    labels: ArrayView3<'a, u16>,
    series: &'a DicomSeries,
    segments: &'a [Segment],
    names: &'a Names,
    references: &'a References,
}

impl Document<'_> {
    /// The object without the file meta header.
    fn object(&self, description: &str, now: OffsetDateTime) -> InMemDicomObject {
        let Self { labels, series, segments, names, references } = *self;
        let first = &series.slices[0];
        let drawn = drawn(labels, segments);
        let texts = Texts::of(&series.texts);
        let frame = |&(segment, slice): &(usize, usize)| frame(segment, slice, &series.slices[slice]);
        let described = |(index, segment): (usize, &Segment)| described(index, segment, texts.is_unicode);
        let date = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let clock = format!("{:02}{:02}{:02}", now.hour(), now.minute(), now.second());
        let mut object = InMemDicomObject::from_element_iter([
            words(tags::SOP_CLASS_UID, VR::UI, uids::SEGMENTATION_STORAGE),
            words(tags::SOP_INSTANCE_UID, VR::UI, &names.instance),
            words(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY"),
            words(tags::CONTENT_DATE, VR::DA, &date),
            words(tags::CONTENT_TIME, VR::TM, &clock),
            words(tags::SERIES_DATE, VR::DA, &date),
            words(tags::SERIES_TIME, VR::TM, &clock),
            words(tags::MODALITY, VR::CS, "SEG"),
            words(tags::SERIES_INSTANCE_UID, VR::UI, &names.series),
            words(tags::SERIES_NUMBER, VR::IS, "1000"),
            words(tags::SERIES_DESCRIPTION, VR::LO, "Segmentation"),
            words(tags::INSTANCE_NUMBER, VR::IS, "1"),
            words(tags::MANUFACTURER, VR::LO, "sam-data"),
            words(tags::MANUFACTURER_MODEL_NAME, VR::LO, "SAM^Med in Rust"),
            words(tags::DEVICE_SERIAL_NUMBER, VR::LO, "none"),
            words(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION")),
            words(tags::CONTENT_LABEL, VR::CS, "SEGMENTATION"),
            words(tags::CONTENT_DESCRIPTION, VR::LO, &line(&texts.own(description))),
            words(tags::CONTENT_CREATOR_NAME, VR::PN, ""),
            words(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            words(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
            words(tags::SEGMENTATION_TYPE, VR::CS, "BINARY"),
            words(tags::SEGMENTS_OVERLAP, VR::CS, "NO"),
            words(tags::NUMBER_OF_FRAMES, VR::IS, &drawn.len().to_string()),
            number(tags::SAMPLES_PER_PIXEL, 1),
            number(tags::ROWS, first.size.0),
            number(tags::COLUMNS, first.size.1),
            number(tags::BITS_ALLOCATED, 1),
            number(tags::BITS_STORED, 1),
            number(tags::HIGH_BIT, 0),
            number(tags::PIXEL_REPRESENTATION, 0),
            items(tags::SEGMENT_SEQUENCE, segments.iter().enumerate().map(described).collect()),
            items(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![item([dimensions(names)])]),
            items(tags::DIMENSION_INDEX_SEQUENCE, dimension_indices(names)),
            items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared(&series.slices)]),
            items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, drawn.iter().map(frame).collect()),
            items(tags::REFERENCED_SERIES_SEQUENCE, referenced_series(&series.slices, references)),
            DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(packed(labels, segments, &drawn))),
        ]);
        texts.character_set().into_iter().chain(texts.elements(references)).for_each(|element| {
            object.put(element);
        });
        object
    }
}

/// Pairs of segment and slice with voxels, in frame order. A segment without voxels gets the first slice.
fn drawn(labels: ArrayView3<'_, u16>, segments: &[Segment]) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let before = frames.len();
        let slices = labels.axis_iter(Axis(2)).enumerate();
        let shown = slices.filter(|(_, slice)| slice.iter().any(|&label| label == segment.value));
        frames.extend(shown.map(|(slice, _)| (number, slice)));
        if frames.len() == before {
            frames.push((number, 0));
        }
    }
    frames
}

/// The pixels of all frames, 1 bit per pixel without gaps, lowest bit first. Source: DICOM PS3.5, 8.1.1.
fn packed(labels: ArrayView3<'_, u16>, segments: &[Segment], drawn: &[(usize, usize)]) -> Vec<u8> {
    let area = labels.dim().0 * labels.dim().1;
    let bytes = (area * drawn.len()).div_ceil(8);
    // The length of a value must be even.
    let mut packed = vec![0_u8; bytes.next_multiple_of(2)];
    for (number, &(segment, slice)) in drawn.iter().enumerate() {
        let slice: ArrayView2<'_, u16> = labels.index_axis(Axis(2), slice);
        // DICOM stores pixels row by row; the volume's first axis is the column.
        for (pixel, &label) in slice.reversed_axes().iter().enumerate() {
            if label == segments[segment].value {
                let bit = number * area + pixel;
                packed[bit / 8] |= 1 << (bit % 8);
            }
        }
    }
    packed
}

/// A segment. The object's character set may not have the letters of its name; then the item has a character set of its own.
fn described(index: usize, segment: &Segment, is_unicode: bool) -> InMemDicomObject {
    let mut described = item([
        number(tags::SEGMENT_NUMBER, index + 1),
        words(tags::SEGMENT_LABEL, VR::LO, &line(&segment.name)),
        words(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "SEMIAUTOMATIC"),
        words(tags::SEGMENT_ALGORITHM_NAME, VR::LO, "SAM^Med"),
        code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, ANATOMY),
        code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, ANATOMY),
    ]);
    if !is_unicode {
        described.put(unicode());
    }
    described
}

/// The shared functional groups: orientation and spacing.
fn shared(slices: &[Frame]) -> InMemDicomObject {
    let first = &slices[0];
    let between = match slices {
        [one, other, ..] => crate::geometry::norm([0, 1, 2].map(|axis| other.position[axis] - one.position[axis])),
        _ => first.thickness.unwrap_or(1.0),
    };
    let measures = item([
        decimals(tags::SLICE_THICKNESS, &[first.thickness.unwrap_or(between)]),
        decimals(tags::SPACING_BETWEEN_SLICES, &[between]),
        decimals(tags::PIXEL_SPACING, &first.spacing),
    ]);
    let orientation = item([decimals(tags::IMAGE_ORIENTATION_PATIENT, first.directions.as_flattened())]);
    item([
        items(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]),
        items(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]),
    ])
}

/// The functional groups of one frame: its segment, position and source image.
fn frame(segment: usize, slice: usize, source: &Frame) -> InMemDicomObject {
    let indices = PrimitiveValue::U32([segment as u32 + 1, slice as u32 + 1].as_slice().into());
    let content = item([DataElement::new(tags::DIMENSION_INDEX_VALUES, VR::UL, indices)]);
    let mut image = referenced_image(source);
    if source.of > 1 {
        image.put(words(tags::REFERENCED_FRAME_NUMBER, VR::IS, &(source.number + 1).to_string()));
    }
    // Viewers find a mask by its source image only if this attribute is set.
    image.put(words(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES"));
    image.put(code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, SOURCE_IMAGE));
    let derivation =
        item([items(tags::SOURCE_IMAGE_SEQUENCE, vec![image]), code(tags::DERIVATION_CODE_SEQUENCE, SEGMENTATION)]);
    let position = item([decimals(tags::IMAGE_POSITION_PATIENT, &source.position)]);
    let identification = item([number(tags::REFERENCED_SEGMENT_NUMBER, segment + 1)]);
    item([
        items(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
        items(tags::PLANE_POSITION_SEQUENCE, vec![position]),
        items(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![identification]),
        items(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation]),
    ])
}

fn dimensions(names: &Names) -> InMemElement {
    words(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &names.dimensions)
}

/// Frames are indexed by segment, then by position.
fn dimension_indices(names: &Names) -> Vec<InMemDicomObject> {
    let by = |pointer: Tag, group: Tag, label: &str| {
        item([
            dimensions(names),
            DataElement::new(tags::DIMENSION_INDEX_POINTER, VR::AT, PrimitiveValue::from(pointer)),
            DataElement::new(tags::FUNCTIONAL_GROUP_POINTER, VR::AT, PrimitiveValue::from(group)),
            words(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label),
        ])
    };
    vec![
        by(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "Segment"),
        by(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Position"),
    ]
}

/// The images of each series.
fn referenced_series(slices: &[Frame], references: &References) -> Vec<InMemDicomObject> {
    let mut all: BTreeMap<&str, Vec<&Frame>> = BTreeMap::new();
    for frame in slices {
        all.entry(references.series(frame)).or_default().push(frame);
    }
    let series = |(uid, mut images): (&str, Vec<&Frame>)| {
        images.dedup_by(|one, other| one.uids.instance == other.uids.instance);
        item([
            words(tags::SERIES_INSTANCE_UID, VR::UI, uid),
            items(tags::REFERENCED_INSTANCE_SEQUENCE, images.into_iter().map(referenced_image).collect()),
        ])
    };
    all.into_iter().map(series).collect()
}

fn referenced_image(source: &Frame) -> InMemDicomObject {
    item([
        words(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &source.uids.class),
        words(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &source.uids.instance),
    ])
}
