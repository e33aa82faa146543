//! Where one image lies, in a file of one or of many.

use std::{path::Path, sync::Arc};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};

use super::{
    file::PixelBytes,
    pixels::{Levels, Wanted},
};
use crate::DataError;

/// No compression packs more densely than deflate, whose limit this is.
const MAX_RATIO: u64 = 1032;
/// So few bytes of unpacked pixels do no harm, however small their file is.
const HARMLESS: u64 = 1 << 24;

/// A file's header: one image or several.
#[derive(Debug)]
pub(super) struct Header {
    /// Series Instance UID.
    pub(super) series: String,
    pub(super) description: String,
    pub(super) modality: String,
    pub(super) object: DefaultDicomObject,
    pixels: Option<PixelBytes>,
}

/// One image of a series and where it lies in the patient.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) path: Arc<Path>,
    /// Within its file, from 0.
    pub(super) number: u32,
    /// How many its file holds.
    pub(super) of: u32,
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
    pub(super) levels: Levels,
}

impl Header {
    /// A header of images of patients; nothing of reports, indices and segmentations.
    pub(super) fn of_image(object: DefaultDicomObject, pixels: Option<PixelBytes>) -> Option<Self> {
        let modality = text(&object, tags::MODALITY).unwrap_or_default();
        let is_image = object.get(tags::ROWS).is_some() && object.get(tags::COLUMNS).is_some() && modality != "SEG";
        let series = text(&object, tags::SERIES_INSTANCE_UID)?;
        let description = text(&object, tags::SERIES_DESCRIPTION).unwrap_or_default();
        is_image.then_some(Self { series, description, modality, object, pixels })
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
        let count = whole(object, tags::NUMBER_OF_FRAMES).unwrap_or(1);
        let each = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        if count == 0 {
            return Err(refuse("it holds no frames".to_owned()));
        }
        if count > 1 && each.len() != count {
            return Err(refuse(format!(
                "it holds {count} frames, but says of {} where they lie: a film or an old multi-frame file is no volume",
                each.len()
            )));
        }
        self.check_pixels(rows, columns, count).map_err(refuse)?;
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
            let rescale = |tag: Tag, unless: f64| {
                let found = numbers(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tag);
                found.and_then(|found| found.first().copied()).unwrap_or(unless)
            };
            let levels = Levels {
                slope: rescale(tags::RESCALE_SLOPE, 1.0),
                intercept: rescale(tags::RESCALE_INTERCEPT, 0.0),
                ..stored_levels(object)
            };
            Ok(Frame {
                path: path.clone(),
                number: number as u32,
                of: count as u32,
                class: text(object, tags::SOP_CLASS_UID).unwrap_or_default(),
                instance: text(object, tags::SOP_INSTANCE_UID).unwrap_or_default(),
                size: (rows, columns),
                spacing: [spacing[0], spacing[1]],
                position: [position[0], position[1], position[2]],
                directions: [[cosines[0], cosines[1], cosines[2]], [cosines[3], cosines[4], cosines[5]]],
                thickness: thickness.and_then(|found| found.first().copied()).filter(|&thickness| thickness > 0.0),
                levels: levels.checked().map_err(refuse)?,
            })
        };
        (0..count).map(frame).collect()
    }

    /// Checks that the file can hold as many pixels as it announces, before memory is reserved for them.
    fn check_pixels(&self, rows: usize, columns: usize, frames: usize) -> Result<(), String> {
        let bits = u64::from(stored_levels(&self.object).allocated);
        let announced = [rows, columns, frames].iter().try_fold(bits, |bits, &side| bits.checked_mul(side as u64));
        let announced = announced.map_or(u64::MAX, |bits| bits.div_ceil(8));
        let (found, at_most) = match self.pixels {
            Some(PixelBytes::Native(found)) => (found, found),
            Some(PixelBytes::Compressed(found)) => (found, found.saturating_mul(MAX_RATIO).max(HARMLESS)),
            None => return Err("it holds no pixels; copy or download it again".to_owned()),
        };
        if announced <= at_most {
            return Ok(());
        }
        Err(format!(
            "it announces {frames} frame(s) of {rows} x {columns} pixels of {bits} bits, but holds {found} bytes of them; copy or \
             download it again"
        ))
    }
}

impl Frame {
    /// What unpacking must know of it.
    pub(super) fn wanted(&self) -> Wanted {
        let (rows, columns) = self.size;
        Wanted { number: self.number as usize, of: self.of as usize, rows, columns, levels: self.levels }
    }
}

/// How pixels are stored, not rescaled.
fn stored_levels(object: &InMemDicomObject) -> Levels {
    let bits = |tag: Tag| whole(object, tag).and_then(|bits| u16::try_from(bits).ok());
    let allocated = bits(tags::BITS_ALLOCATED).unwrap_or(0);
    let stored = bits(tags::BITS_STORED).unwrap_or(allocated);
    Levels {
        allocated,
        stored,
        high: bits(tags::HIGH_BIT).unwrap_or(stored.saturating_sub(1)),
        is_signed: whole(object, tags::PIXEL_REPRESENTATION) == Some(1),
        slope: 1.0,
        intercept: 0.0,
        black_is_highest: text(object, tags::PHOTOMETRIC_INTERPRETATION).is_some_and(|kind| kind == "MONOCHROME1"),
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
