//! Where one image lies, in a file of one or of many.

use std::{path::Path, sync::Arc};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};

use crate::DataError;

/// A file's header: one image or several.
#[derive(Debug)]
pub(super) struct Header {
    /// Series Instance UID.
    pub(super) series: String,
    pub(super) description: String,
    pub(super) modality: String,
    pub(super) object: DefaultDicomObject,
}

/// One image of a series and where it lies in the patient.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) path: Arc<Path>,
    /// Within its file, from 0.
    pub(super) number: u32,
    /// Whether the file holds several.
    pub(super) is_one_of_many: bool,
    /// SOP class and instance of its file.
    pub(super) class: String,
    pub(super) instance: String,
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// Distance between rows and between columns, in mm.
    pub(super) spacing: [f64; 2],
    /// Where the first pixel's centre lies, in mm: left, posterior, superior.
    pub(super) position: [f64; 3],
    /// The direction in which columns count up, and that in which rows do.
    pub(super) directions: [[f64; 3]; 2],
    /// The slice's thickness in mm, as far as it is told.
    pub(super) thickness: Option<f64>,
    /// MONOCHROME1.
    pub(super) black_is_highest: bool,
}

impl Header {
    /// A header of images of patients; nothing of reports, indices and segmentations.
    pub(super) fn of_image(object: DefaultDicomObject) -> Option<Self> {
        let modality = text(&object, tags::MODALITY).unwrap_or_default();
        let is_image = object.get(tags::ROWS).is_some() && object.get(tags::COLUMNS).is_some() && modality != "SEG";
        let series = text(&object, tags::SERIES_INSTANCE_UID)?;
        let description = text(&object, tags::SERIES_DESCRIPTION).unwrap_or_default();
        is_image.then_some(Self { series, description, modality, object })
    }

    /// The file's frames.
    pub(super) fn frames(&self, path: &Path) -> Result<Vec<Frame>, DataError> {
        let object = &*self.object;
        let refuse = |reason: String| DataError::Dicom { path: path.to_path_buf(), reason };
        let samples = whole(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        if samples != 1 {
            return Err(refuse(format!(
                "its pixels have {samples} channels; grey is expected: save colour images as PNG"
            )));
        }
        let size = |tag: Tag| whole(object, tag).filter(|&side| side > 0);
        let (Some(rows), Some(columns)) = (size(tags::ROWS), size(tags::COLUMNS)) else {
            return Err(refuse("it says no number of rows or columns".to_owned()));
        };
        let black_is_highest =
            text(object, tags::PHOTOMETRIC_INTERPRETATION).is_some_and(|kind| kind == "MONOCHROME1");
        let count = whole(object, tags::NUMBER_OF_FRAMES).unwrap_or(1);
        let each = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        if count > 1 && each.len() != count {
            return Err(refuse(format!(
                "it holds {count} frames, but says of {} where they lie: a film or an old multi-frame file is no volume",
                each.len()
            )));
        }
        let path: Arc<Path> = path.into();
        let frame = |number: usize| {
            let places = [each.get(number), shared];
            let numbers = |group: Tag, tag: Tag| {
                let in_group = |place: &&InMemDicomObject| decimals(items(place, group).first()?, tag);
                places.iter().flatten().find_map(in_group).or_else(|| decimals(object, tag))
            };
            let missing = |what: &str| refuse(format!("frame {} does not say its {what}", number + 1));
            let wanted = |group, tag, what: &str, count: usize| {
                numbers(group, tag)
                    .filter(|found| found.len() == count && found.iter().all(|number| number.is_finite()))
                    .ok_or_else(|| missing(what))
            };
            let position =
                wanted(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT, "position (0020,0032)", 3)?;
            let cosines = wanted(
                tags::PLANE_ORIENTATION_SEQUENCE,
                tags::IMAGE_ORIENTATION_PATIENT,
                "orientation (0020,0037)",
                6,
            )?;
            let spacing = wanted(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING, "pixel spacing (0028,0030)", 2)?;
            let thickness = numbers(tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS);
            if spacing.iter().any(|&step| step <= 0.0) {
                return Err(refuse(format!("its pixel spacing is {spacing:?}; expected two positive numbers")));
            }
            Ok(Frame {
                path: path.clone(),
                number: number as u32,
                is_one_of_many: count > 1,
                class: self.object.meta().media_storage_sop_class_uid().to_owned(),
                instance: self.object.meta().media_storage_sop_instance_uid().to_owned(),
                size: (rows, columns),
                spacing: [spacing[0], spacing[1]],
                position: [position[0], position[1], position[2]],
                directions: [[cosines[0], cosines[1], cosines[2]], [cosines[3], cosines[4], cosines[5]]],
                thickness: thickness.and_then(|found| found.first().copied()).filter(|&thickness| thickness > 0.0),
                black_is_highest,
            })
        };
        (0..count).map(frame).collect()
    }
}

/// A text without the padding that makes its length even.
pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?;
    Some(text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0').to_owned())
}

fn whole(object: &InMemDicomObject, tag: Tag) -> Option<usize> {
    object.get(tag)?.to_int().ok()
}

fn decimals(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    object.get(tag)?.to_multi_float64().ok()
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}
