//! Frames of a DICOM file: position in the patient and pixel format.

use std::{path::Path, sync::Arc};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};

use super::{
    file::PixelBytes,
    pixel_format::{Levels, PixelFormat},
};
use crate::{DataError, DicomError};

/// The highest compression ratio of deflate; no other compression has a higher one.
const MAX_RATIO: u64 = 1032;
/// Unpacked pixels up to this many bytes are always accepted, however small the file is.
const HARMLESS: u64 = 1 << 24;

/// The header of a file with one or more frames.
#[derive(Debug)]
pub(super) struct Header {
    /// Series Instance UID.
    pub(super) series: String,
    pub(super) description: String,
    pub(super) modality: String,
    pub(super) object: DefaultDicomObject,
    pixels: Option<PixelBytes>,
}

/// One image of a series, with its position in the patient.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) path: Arc<Path>,
    /// Index of the frame in its file, from 0.
    pub(super) number: u32,
    /// Number of frames in the file.
    pub(super) of: u32,
    /// SOP class and instance UIDs of the file.
    pub(super) class: String,
    pub(super) instance: String,
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// Distance between rows and between columns, in mm.
    pub(super) spacing: [f64; 2],
    /// Position of the first pixel's centre, in mm: left, posterior, superior.
    pub(super) position: [f64; 3],
    /// Direction of increasing column index, and of increasing row index.
    pub(super) directions: [[f64; 3]; 2],
    /// Slice thickness in mm, if given.
    pub(super) thickness: Option<f64>,
    pub(super) levels: Levels,
}

impl Header {
    /// The header of an image; `None` for reports, indices and segmentations.
    pub(super) fn of_image(object: DefaultDicomObject, pixels: Option<PixelBytes>) -> Option<Self> {
        let modality = text(&object, tags::MODALITY).unwrap_or_default();
        let is_image = object.get(tags::ROWS).is_some() && object.get(tags::COLUMNS).is_some() && modality != "SEG";
        let series = text(&object, tags::SERIES_INSTANCE_UID)?;
        let description = text(&object, tags::SERIES_DESCRIPTION).unwrap_or_default();
        is_image.then_some(Self { series, description, modality, object, pixels })
    }

    /// The frames of the file.
    pub(super) fn frames(&self, path: &Path) -> Result<Vec<Frame>, DataError> {
        self.read_frames(&path.into()).map_err(|source| DataError::Dicom { path: path.to_path_buf(), source })
    }

    fn read_frames(&self, path: &Arc<Path>) -> Result<Vec<Frame>, DicomError> {
        let object = &*self.object;
        let samples = whole(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        if samples != 1 {
            return Err(DicomError::Channels { found: samples });
        }
        let positive = |tag: Tag| whole(object, tag).filter(|&count| count > 0);
        let (rows, columns) = positive(tags::ROWS).zip(positive(tags::COLUMNS)).ok_or(DicomError::NoSize)?;
        let count = whole(object, tags::NUMBER_OF_FRAMES).unwrap_or(1);
        let each = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        if count == 0 {
            return Err(DicomError::NoFrames);
        }
        if count > 1 && each.len() != count {
            return Err(DicomError::NotPlaced { frames: count, placed: each.len() });
        }
        self.check_pixels(rows, columns, count)?;
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let frame = |number: usize| {
            let attributes = FrameAttributes { number, groups: [each.get(number), shared], object };
            attributes.frame(path.clone(), count as u32, (rows, columns))
        };
        (0..count).map(frame).collect()
    }

    /// Checks that the file can hold the announced number of pixels, before memory is allocated for them.
    fn check_pixels(&self, rows: usize, columns: usize, frames: usize) -> Result<(), DicomError> {
        let bits = u64::from(stored_levels(&self.object).allocated);
        let announced = [rows, columns, frames].iter().try_fold(bits, |bits, &side| bits.checked_mul(side as u64));
        let announced = announced.map_or(u64::MAX, |bits| bits.div_ceil(8));
        let (found, at_most) = match self.pixels {
            Some(PixelBytes::Native(found)) => (found, found),
            Some(PixelBytes::Compressed(found)) => (found, found.saturating_mul(MAX_RATIO).max(HARMLESS)),
            None => return Err(DicomError::NoPixels),
        };
        if announced <= at_most {
            return Ok(());
        }
        Err(DicomError::TooFewBytes { frames, rows, columns, bits, found })
    }
}

/// Looks up the attributes of one frame: first in its own functional groups, then in the shared ones, then in the file itself.
struct FrameAttributes<'a> {
    /// Index of the frame in its file, from 0.
    number: usize,
    groups: [Option<&'a InMemDicomObject>; 2],
    object: &'a InMemDicomObject,
}

impl FrameAttributes<'_> {
    fn frame(&self, path: Arc<Path>, of: u32, size: (usize, usize)) -> Result<Frame, DicomError> {
        let position =
            self.exactly(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT, "position (0020,0032)")?;
        let cosines: [f64; 6] =
            self.exactly(tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT, "orientation (0020,0037)")?;
        let spacing = self.exactly(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING, "pixel spacing (0028,0030)")?;
        if spacing.iter().any(|&step: &f64| step <= 0.0) {
            return Err(DicomError::PixelSpacing { found: spacing.to_vec() });
        }
        let thickness = self.first(tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS);
        let rescale =
            |tag: Tag, unless: f64| self.first(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tag).unwrap_or(unless);
        let levels = Levels {
            slope: rescale(tags::RESCALE_SLOPE, 1.0),
            intercept: rescale(tags::RESCALE_INTERCEPT, 0.0),
            ..stored_levels(self.object)
        };
        Ok(Frame {
            path,
            number: self.number as u32,
            of,
            class: text(self.object, tags::SOP_CLASS_UID).unwrap_or_default(),
            instance: text(self.object, tags::SOP_INSTANCE_UID).unwrap_or_default(),
            size,
            spacing,
            position,
            directions: [[cosines[0], cosines[1], cosines[2]], [cosines[3], cosines[4], cosines[5]]],
            thickness: thickness.filter(|&thickness| thickness > 0.0),
            levels: levels.checked()?,
        })
    }

    /// The numeric values of an attribute. `group` is the functional group that it belongs to.
    fn numbers(&self, group: Tag, tag: Tag) -> Option<Vec<f64>> {
        let in_group = |place: &&InMemDicomObject| decimals(items(place, group).first()?, tag);
        self.groups.iter().flatten().find_map(in_group).or_else(|| decimals(self.object, tag))
    }

    fn first(&self, group: Tag, tag: Tag) -> Option<f64> {
        self.numbers(group, tag)?.first().copied()
    }

    /// An attribute with exactly `N` finite values, which every frame must have.
    fn exactly<const N: usize>(&self, group: Tag, tag: Tag, what: &'static str) -> Result<[f64; N], DicomError> {
        let numbers = self.numbers(group, tag).filter(|found| found.iter().all(|number| number.is_finite()));
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.ok_or(DicomError::Lacks { frame: self.number + 1, what })
    }
}

impl Frame {
    /// The pixel format of the frame, for unpacking.
    pub(super) fn format(&self) -> PixelFormat {
        let (rows, columns) = self.size;
        PixelFormat { number: self.number as usize, of: self.of as usize, rows, columns, levels: self.levels }
    }
}

/// How the pixels are stored, before rescaling.
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

/// A text attribute without padding.
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
