//! A DICOM series in, and masks out as DICOM SEG.
//!
//! Parsing, transfer syntaxes and rescaling are dicom-rs's. What makes a volume of single images is here: slices are ordered by where
//! they lie, never by name or number, and a series with a gap, with two slices at one place or with turned slices is refused, since no
//! affine could tell where its voxels are.
//!
//! Read: uncompressed, deflated, RLE, JPEG and JPEG 2000; not JPEG-LS, whose decoder needs a C++ compiler.

mod frame;
mod segmentation;
mod stacking;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_pixeldata::{DecodedPixelData, PixelDecoder};
use ndarray::{Array3, ShapeBuilder};

use self::{
    frame::{Frame, Header},
    stacking::Stacking,
};
use crate::{DataError, Grid, Volume, files::files_below};

pub use segmentation::{Segment, write_segmentation};

/// More voxels are refused before they are decoded: 8 GiB of them.
const MAX_VOXELS: usize = 1 << 31;

/// Where `DICM` stands in a file.
const MAGIC_OFFSET: usize = 128;

/// A series that was read: what a mask needs to say which images it belongs to.
#[derive(Debug, Clone)]
pub struct DicomSeries {
    /// Series Instance UID.
    pub uid: String,
    /// Series Description, as the scanner's operator saw it.
    pub description: String,
    /// Modality: CT, MR, US.
    pub modality: String,
    /// The frame of each slice, in the volume's order.
    slices: Vec<Frame>,
    /// The first slice's file without its pixels: patient and study.
    first: Box<DefaultDicomObject>,
}

/// Reads a series from a folder and all below it, as a volume in the order of its slices' positions.
///
/// The first axis runs along the image's rows to the right, the second down its columns, the third along the slices. Intensities are
/// rescaled (HU in CT); where black is the highest value (MONOCHROME1) they are turned over. Several series in the folder must be told
/// apart by `series`, a Series Instance UID; files that are no DICOM images are passed over.
///
/// # Units
/// The affine leads to millimetres, right to left, posterior to anterior, inferior to superior (RAS), as NIfTI's.
///
/// # Errors
/// [`DataError::Layout`] where there is no DICOM image; [`DataError::Dicom`] where there are several series, slices are missing, lie at
/// one place or are turned against each other, or pixels cannot be decoded.
pub fn read_dicom(folder: &Path, series: Option<&str>) -> Result<(Volume, DicomSeries), DataError> {
    let mut found: BTreeMap<String, Vec<(PathBuf, Header)>> = BTreeMap::new();
    for path in files_below(folder)? {
        if let Some(header) = open(&path, false)?.and_then(Header::of_image) {
            found.entry(header.series.clone()).or_default().push((path, header));
        }
    }
    let images = choose(folder, found, series)?;
    let mut frames = Vec::new();
    for (path, header) in &images {
        frames.extend(header.frames(path)?);
    }
    let stacking = Stacking::of(folder, &mut frames)?;
    let voxels = decode(&frames, stacking.size)?;
    let grid = Grid::new([stacking.size.1, stacking.size.0, frames.len()], stacking.affine);
    let (_, header) = images.into_iter().find(|(path, _)| *path == *frames[0].path).expect("each frame has its file");
    let series = DicomSeries {
        uid: header.series,
        description: header.description,
        modality: header.modality,
        slices: frames,
        first: Box::new(header.object),
    };
    Ok((Volume { voxels, grid, header: None }, series))
}

/// The images of the wanted series.
fn choose(
    folder: &Path,
    mut found: BTreeMap<String, Vec<(PathBuf, Header)>>,
    wanted: Option<&str>,
) -> Result<Vec<(PathBuf, Header)>, DataError> {
    let told = |(uid, images): (&String, &Vec<(PathBuf, Header)>)| {
        let header = &images[0].1;
        format!("{uid} ({} \"{}\", {} files)", header.modality, header.description, images.len())
    };
    let list = found.iter().map(told).collect::<Vec<_>>().join("; ");
    let refuse = |reason: String| DataError::Dicom { path: folder.to_path_buf(), reason };
    match wanted {
        _ if found.is_empty() => Err(DataError::Layout {
            path: folder.to_path_buf(),
            reason: "looked for DICOM images in it and below it".to_owned(),
        }),
        Some(uid) => found.remove(uid).ok_or_else(|| refuse(format!("it has no series {uid}; there are: {list}"))),
        None if found.len() > 1 => Err(refuse(format!("it holds {} series; choose one of: {list}", found.len()))),
        None => Ok(found.into_values().next().expect("there is one")),
    }
}

/// Opens a file, or passes it over where it is no DICOM file at all.
fn open(path: &Path, with_pixels: bool) -> Result<Option<DefaultDicomObject>, DataError> {
    let read = |source| DataError::Read { path: path.to_path_buf(), source };
    let mut start = [0; MAGIC_OFFSET + 4];
    let mut file = std::fs::File::open(path).map_err(read)?;
    match std::io::Read::read_exact(&mut file, &mut start) {
        Ok(()) if start.ends_with(b"DICM") => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(read(error)),
    }
    let options = OpenFileOptions::new();
    let options = if with_pixels { options } else { options.read_until(tags::PIXEL_DATA) };
    options.open_file(path).map(Some).map_err(|error| unreadable(path, &error))
}

/// The intensities of all frames, each file read once.
fn decode(frames: &[Frame], (rows, columns): (usize, usize)) -> Result<Array3<f32>, DataError> {
    let area = rows * columns;
    let length = area.checked_mul(frames.len()).filter(|&voxels| voxels <= MAX_VOXELS);
    let length = length.ok_or_else(|| DataError::Dicom {
        path: frames[0].path.to_path_buf(),
        reason: format!(
            "{} slices of {rows} x {columns} pixels are more than {MAX_VOXELS} voxels; crop the series",
            frames.len()
        ),
    })?;
    let mut places: BTreeMap<&Path, Vec<(usize, &Frame)>> = BTreeMap::new();
    for (place, frame) in frames.iter().enumerate() {
        places.entry(&frame.path).or_default().push((place, frame));
    }
    let mut voxels = vec![0.0; length];
    for (path, wanted) in places {
        let object = open(path, true)?.ok_or_else(|| DataError::Dicom {
            path: path.to_path_buf(),
            reason: "it changed while it was read".to_owned(),
        })?;
        let decoded = object.decode_pixel_data().map_err(|error| unreadable(path, &error))?;
        for (place, frame) in wanted {
            let levels: Vec<f32> = decoded.to_vec_frame(frame.number).map_err(|error| unreadable(path, &error))?;
            if levels.len() != area {
                let reason = format!("expected {area} pixels in frame {}, found {}", frame.number + 1, levels.len());
                return Err(DataError::Dicom { path: path.to_path_buf(), reason });
            }
            let slice = &mut voxels[place * area..(place + 1) * area];
            slice.copy_from_slice(&levels);
            if frame.black_is_highest {
                turn_over(slice, &decoded, frame.number).map_err(|error| unreadable(path, &error))?;
            }
        }
    }
    Ok(Array3::from_shape_vec((columns, rows, frames.len()).f(), voxels).expect("length is their product"))
}

/// Makes the highest stored level the lowest, as a viewer shows MONOCHROME1.
fn turn_over(
    levels: &mut [f32],
    decoded: &DecodedPixelData<'_>,
    frame: u32,
) -> Result<(), dicom_pixeldata::Error> {
    let rescales = decoded.rescale()?;
    let rescale = rescales.get(frame as usize).or(rescales.first());
    let (slope, intercept) = rescale.map_or((1.0, 0.0), |rescale| (rescale.slope, rescale.intercept));
    let span = 2.0_f64.powi(i32::from(decoded.bits_stored())) - 1.0;
    let lowest = match decoded.pixel_representation() {
        dicom_pixeldata::PixelRepresentation::Unsigned => 0.0,
        dicom_pixeldata::PixelRepresentation::Signed => -((span + 1.0) / 2.0),
    };
    let ends = (2.0 * lowest + span) * slope + 2.0 * intercept;
    levels.iter_mut().for_each(|level| *level = (ends - f64::from(*level)) as f32);
    Ok(())
}

/// An error with all of its causes: dicom-rs tells the reason last.
fn unreadable(path: &Path, error: &dyn std::error::Error) -> DataError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason.push_str(": ");
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    DataError::Dicom { path: path.to_path_buf(), reason }
}
