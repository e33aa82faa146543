//! Frames of a DICOM file: position in the patient and pixel format.

use std::{path::Path, sync::Arc};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{
    file::DataSet,
    pixel_format::{Levels, PixelFormat},
    texts::StoredTexts,
    value::Attributes,
    walk::PixelBytes,
};
use crate::{
    DataError, DicomError,
    geometry::{dot, norm},
};

/// The highest compression ratio of deflate; no other compression has a higher one.
const MAX_RATIO: u64 = 1032;
/// Unpacked pixels up to this many bytes are always accepted, however small the file is.
const HARMLESS: u64 = 1 << 24;
/// How far directions may be from length 1 and from a right angle. Some files store them with two digits.
const DIRECTION_TOLERANCE: f64 = 1e-2;

/// The header of a file with one or more frames.
#[derive(Debug)]
pub(super) struct Header {
    /// Series Instance UID; empty if the file has none.
    pub(super) series: String,
    pub(super) description: String,
    pub(super) modality: String,
    data: Box<DataSet>,
}

/// One image of a series, with its position in the patient.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) path: Arc<Path>,
    /// Index of the frame in its file, from 0.
    pub(super) number: u32,
    /// Number of frames in the file.
    pub(super) of: u32,
    /// Instance Number of the file, if given.
    pub(super) instance_number: Option<i64>,
    /// UIDs of the file; empty if the file has none.
    pub(super) uids: Arc<Uids>,
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// Distance between rows and between columns, in mm.
    pub(super) spacing: [f64; 2],
    /// Position of the first pixel's centre, in mm: left, posterior, superior.
    pub(super) position: [f64; 3],
    /// The value of one in the last stored digit of each coordinate of the position; 0 if it is exact.
    pub(super) units: [f64; 3],
    /// Whether the file states the position; if not, the user gave the distances.
    pub(super) is_placed: bool,
    /// Direction of increasing column index, and of increasing row index.
    pub(super) directions: [[f64; 3]; 2],
    /// Slice thickness in mm, if given.
    pub(super) thickness: Option<f64>,
    pub(super) levels: Levels,
}

/// The UIDs of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Uids {
    /// SOP Class UID and SOP Instance UID.
    pub(super) class: String,
    pub(super) instance: String,
    /// Series Instance UID, Study Instance UID and Frame of Reference UID.
    pub(super) series: String,
    pub(super) study: String,
    pub(super) frame_of_reference: String,
}

impl Header {
    /// The header of an image; `None` for reports, indices and segmentations.
    pub(super) fn of_image(data: Box<DataSet>) -> Result<Option<Self>, DicomError> {
        let attributes = data.attributes();
        let modality = attributes.text(tags::MODALITY)?.unwrap_or_default();
        let is_image = attributes.has(tags::ROWS) && attributes.has(tags::COLUMNS) && modality != "SEG";
        let series = attributes.text(tags::SERIES_INSTANCE_UID)?.unwrap_or_default();
        let description = data.texts.shown(tags::SERIES_DESCRIPTION);
        Ok(is_image.then_some(Self { series, description, modality, data }))
    }

    /// Texts of patient, study and series.
    pub(super) fn texts(&self) -> &StoredTexts {
        &self.data.texts
    }

    /// The frames of the file. `spacing` is what the user gave for frames without a position: distances in mm between columns, rows and
    /// slices.
    pub(super) fn frames(&self, path: &Path, spacing: Option<[f64; 3]>) -> Result<Vec<Frame>, DataError> {
        let frames = self.read_frames(&path.into(), spacing);
        frames.map_err(|source| DataError::Dicom { path: path.to_path_buf(), source })
    }

    fn read_frames(&self, path: &Arc<Path>, spacing: Option<[f64; 3]>) -> Result<Vec<Frame>, DicomError> {
        let object = self.data.attributes();
        let samples = object.count(tags::SAMPLES_PER_PIXEL)?.unwrap_or(1);
        if samples != 1 {
            return Err(DicomError::Channels { found: samples });
        }
        let length = |tag: Tag| object.count(tag)?.filter(|&count| count > 0).ok_or(DicomError::NoSize);
        let size = (length(tags::ROWS)?, length(tags::COLUMNS)?);
        let count = object.count(tags::NUMBER_OF_FRAMES)?.unwrap_or(1);
        if count == 0 {
            return Err(DicomError::NoFrames);
        }
        let each = object.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)?;
        let is_film = spacing.is_some() && each.is_empty();
        if count > 1 && each.len() != count && !is_film {
            return Err(DicomError::NotPlaced { frames: count, placed: each.len() });
        }
        let stored = stored_levels(object)?;
        self.check_pixels(size, count, stored)?;
        let shared = object.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)?.first().copied();
        let file = FileAttributes {
            path: path.clone(),
            frames: count as u32,
            instance_number: object.whole(tags::INSTANCE_NUMBER)?,
            uids: Arc::new(self.uids()?),
            size,
            spacing,
            levels: stored,
        };
        let frame = |number: usize| {
            let groups = [each.get(number).copied(), shared];
            FrameAttributes { number, groups, object }.frame(&file)
        };
        (0..count).map(frame).collect()
    }

    /// The UIDs of the file. What the data set lacks may be in the file meta header (PS3.10, 7.1).
    fn uids(&self) -> Result<Uids, DicomError> {
        let [class, instance] = self.data.media_storage();
        let text = |tag: Tag| self.data.attributes().text(tag);
        Ok(Uids {
            class: text(tags::SOP_CLASS_UID)?.unwrap_or_else(|| class.to_owned()),
            instance: text(tags::SOP_INSTANCE_UID)?.unwrap_or_else(|| instance.to_owned()),
            series: self.series.clone(),
            study: text(tags::STUDY_INSTANCE_UID)?.unwrap_or_default(),
            frame_of_reference: text(tags::FRAME_OF_REFERENCE_UID)?.unwrap_or_default(),
        })
    }

    /// Checks that the file can hold the announced number of pixels, before memory is allocated for them.
    fn check_pixels(&self, (rows, columns): (usize, usize), frames: usize, levels: Levels) -> Result<(), DicomError> {
        let bits = u64::from(levels.allocated);
        let announced = [rows, columns, frames].iter().try_fold(bits, |bits, &side| bits.checked_mul(side as u64));
        let announced = announced.map_or(u64::MAX, |bits| bits.div_ceil(8));
        let (found, at_most) = match self.data.pixels {
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

/// What all frames of a file share.
struct FileAttributes {
    path: Arc<Path>,
    frames: u32,
    instance_number: Option<i64>,
    uids: Arc<Uids>,
    size: (usize, usize),
    /// The distances that the user gave.
    spacing: Option<[f64; 3]>,
    levels: Levels,
}

/// Looks up the attributes of one frame: first in its own functional groups, then in the shared ones, then in the file itself.
struct FrameAttributes<'a> {
    /// Index of the frame in its file, from 0.
    number: usize,
    groups: [Option<Attributes<'a>>; 2],
    object: Attributes<'a>,
}

impl FrameAttributes<'_> {
    fn frame(&self, file: &FileAttributes) -> Result<Frame, DicomError> {
        let measures = tags::PIXEL_MEASURES_SEQUENCE;
        let rescaling = tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE;
        let levels = Levels {
            slope: self.find(rescaling, |place| place.decimal(tags::RESCALE_SLOPE))?.unwrap_or(1.0),
            intercept: self.find(rescaling, |place| place.decimal(tags::RESCALE_INTERCEPT))?.unwrap_or(0.0),
            ..file.levels
        };
        let thickness = self.find(measures, |place| place.decimal(tags::SLICE_THICKNESS))?;
        let position = self.find(tags::PLANE_POSITION_SEQUENCE, |place| place.exactly(tags::IMAGE_POSITION_PATIENT))?;
        let Place { position, units, directions, spacing } = match (position, file.spacing) {
            (Some(_), Some(_)) => return Err(DicomError::SpacingKnown),
            (None, None) => return Err(DicomError::NoPosition { frame: self.number + 1 }),
            (None, Some([columns, rows, _])) => Place::unknown([rows, columns]),
            (Some(position), None) => Place {
                position: position.map(|coordinate| coordinate.value),
                units: position.map(|coordinate| coordinate.unit),
                directions: self.directions()?,
                spacing: self.spacing()?,
            },
        };
        Ok(Frame {
            path: file.path.clone(),
            number: self.number as u32,
            of: file.frames,
            instance_number: file.instance_number,
            uids: file.uids.clone(),
            size: file.size,
            spacing,
            position,
            units,
            is_placed: file.spacing.is_none(),
            directions,
            thickness: file.spacing.map(|[.., between]| between).or(thickness.filter(|&thickness| thickness > 0.0)),
            levels: levels.checked()?,
        })
    }

    fn directions(&self) -> Result<[[f64; 3]; 2], DicomError> {
        let tag = tags::IMAGE_ORIENTATION_PATIENT;
        let what = "orientation (0020,0037)";
        let found = self.find(tags::PLANE_ORIENTATION_SEQUENCE, |place| {
            let Some(cosines) = place.exactly::<6>(tag)? else { return Ok(None) };
            let at = |index: usize| cosines[index].value;
            let [row, column] = [0, 3].map(|first| [at(first), at(first + 1), at(first + 2)]);
            let off = [norm(row) - 1.0, norm(column) - 1.0, dot(row, column)];
            if off.iter().any(|off| off.abs() > DIRECTION_TOLERANCE) {
                return Err(place.wrong(tag, "two directions of length 1 at right angles"));
            }
            Ok(Some([row, column]))
        })?;
        found.ok_or(DicomError::Lacks { frame: self.number + 1, what })
    }

    fn spacing(&self) -> Result<[f64; 2], DicomError> {
        let tag = tags::PIXEL_SPACING;
        let what = "pixel spacing (0028,0030)";
        let found = self.find(tags::PIXEL_MEASURES_SEQUENCE, |place| {
            let spacing = place.exactly::<2>(tag)?.map(|spacing| spacing.map(|step| step.value));
            match spacing {
                Some(steps) if steps.iter().any(|&step| step <= 0.0) => Err(place.wrong(tag, "two positive numbers")),
                spacing => Ok(spacing),
            }
        })?;
        found.ok_or(DicomError::Lacks { frame: self.number + 1, what })
    }

    /// The first value that `read` finds. `group` is the functional group that it belongs to.
    fn find<T>(
        &self,
        group: Tag,
        read: impl Fn(Attributes<'_>) -> Result<Option<T>, DicomError>,
    ) -> Result<Option<T>, DicomError> {
        for place in self.groups.into_iter().flatten() {
            if let Some(&item) = place.items(group)?.first()
                && let Some(found) = read(item)?
            {
                return Ok(Some(found));
            }
        }
        read(self.object)
    }
}

/// Where a frame is in the patient.
struct Place {
    position: [f64; 3],
    units: [f64; 3],
    directions: [[f64; 3]; 2],
    spacing: [f64; 2],
}

impl Place {
    /// The place of a frame that states none: it becomes an axial slice.
    fn unknown(spacing: [f64; 2]) -> Self {
        Self { position: [0.0; 3], units: [0.0; 3], directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], spacing }
    }
}

impl Frame {
    /// The pixel format of the frame, for unpacking.
    pub(super) fn format(&self) -> PixelFormat {
        let (rows, columns) = self.size;
        PixelFormat { number: self.number as usize, of: self.of as usize, rows, columns, levels: self.levels }
    }

    /// The frame's name for error messages.
    pub(super) fn name(&self) -> String {
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if self.of > 1 { format!("frame {} of {file}", self.number + 1) } else { file }
    }
}

/// How the pixels are stored, before rescaling.
///
/// Defaults of absent values: all bits are stored, up to the highest; unsigned; black is lowest; no padding.
fn stored_levels(object: Attributes<'_>) -> Result<Levels, DicomError> {
    let bits = |tag: Tag| {
        let bits = object.count(tag)?.map(u16::try_from);
        bits.transpose().map_err(|_| object.wrong(tag, "a number of bits"))
    };
    let allocated = bits(tags::BITS_ALLOCATED)?.unwrap_or(0);
    let stored = bits(tags::BITS_STORED)?.unwrap_or(allocated);
    let is_signed = match object.whole(tags::PIXEL_REPRESENTATION)? {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(object.wrong(tags::PIXEL_REPRESENTATION, "0 or 1")),
    };
    let black_is_highest = match object.text(tags::PHOTOMETRIC_INTERPRETATION)?.as_deref() {
        None | Some("MONOCHROME2") => false,
        Some("MONOCHROME1") => true,
        Some(_) => return Err(object.wrong(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1 or MONOCHROME2")),
    };
    let padding = object.whole(tags::PIXEL_PADDING_VALUE)?;
    let limit = object.whole(tags::PIXEL_PADDING_RANGE_LIMIT)?;
    Ok(Levels {
        allocated,
        stored,
        high: bits(tags::HIGH_BIT)?.unwrap_or(stored.saturating_sub(1)),
        is_signed,
        slope: 1.0,
        intercept: 0.0,
        black_is_highest,
        padding: padding.map(|padding| [padding, limit.unwrap_or(padding)]),
    })
}
