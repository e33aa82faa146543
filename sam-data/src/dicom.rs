//! A DICOM series in, and masks out as DICOM SEG.
//!
//! Parsing, transfer syntaxes and rescaling are dicom-rs's. What makes a volume of single images is here: slices are ordered by where
//! they lie, never by name or number, and a series with a gap, with two slices at one place or with turned slices is refused, since no
//! affine could tell where its voxels are.
//!
//! Read: uncompressed, deflated, RLE, JPEG and JPEG 2000; not JPEG-LS, whose decoder needs a C++ compiler.

mod codestream;
mod file;
mod frame;
mod pixels;
mod segmentation;
mod stacking;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use dicom_object::DefaultDicomObject;
use ndarray::{Array3, ShapeBuilder};

use self::{
    file::Part,
    frame::{Frame, Header},
    stacking::Stacking,
};
use crate::{DataError, Grid, Volume, files::files_below};

pub use segmentation::{Segment, write_segmentation};

/// More voxels are refused before they are decoded: 8 GiB of them.
const MAX_VOXELS: usize = 1 << 31;

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

impl DicomSeries {
    /// The series' files in the order of the slices, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let first = |path: &&Path| seen.insert(path.to_path_buf());
        self.slices.iter().map(|frame| &*frame.path).filter(first).map(Path::to_path_buf).collect()
    }
}

/// Reads a series from a folder and all below it, or from one file, as a volume in the order of its slices' positions.
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
    let files = if folder.is_file() { vec![folder.to_path_buf()] } else { files_below(folder)? };
    for path in files {
        let opened = file::open(&path, Part::Header)?;
        if let Some(header) = opened.and_then(|(object, pixels)| Header::of_image(object, pixels)) {
            found.entry(header.series.clone()).or_default().push((path, header));
        }
    }
    let mut images = choose(folder, found, series)?;
    let mut frames = Vec::new();
    for (path, header) in &images {
        frames.extend(header.frames(path)?);
    }
    let stacking = Stacking::of(folder, &mut frames)?;
    let voxels = decode(&frames, stacking.size)?;
    let grid = Grid::new([stacking.size.1, stacking.size.0, frames.len()], stacking.affine);
    let first = images.iter().position(|(path, _)| *path == *frames[0].path).unwrap_or(0);
    let (_, header) = images.swap_remove(first);
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
    let nothing = || DataError::Layout {
        path: folder.to_path_buf(),
        reason: "looked for DICOM images in it and below it".to_owned(),
    };
    match wanted {
        _ if found.is_empty() => Err(nothing()),
        Some(uid) => found.remove(uid).ok_or_else(|| refuse(format!("it has no series {uid}; there are: {list}"))),
        None if found.len() > 1 => Err(refuse(format!("it holds {} series; choose one of: {list}", found.len()))),
        None => found.into_values().next().ok_or_else(nothing),
    }
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
        let refuse = |reason: String| DataError::Dicom { path: path.to_path_buf(), reason };
        let (object, _) =
            file::open(path, Part::Pixels)?.ok_or_else(|| refuse("it changed while it was read".to_owned()))?;
        for (place, frame) in wanted {
            let pixels = frame.wanted().unpack(&object).map_err(refuse)?;
            let slice = &mut voxels[place * area..(place + 1) * area];
            slice.iter_mut().zip(frame.levels.intensities(&pixels)).for_each(|(voxel, intensity)| *voxel = intensity);
            if slice.iter().any(|voxel| !voxel.is_finite()) {
                return Err(refuse("it rescales to intensities beyond all measure".to_owned()));
            }
        }
    }
    Ok(Array3::from_shape_vec((columns, rows, frames.len()).f(), voxels).expect("length is their product"))
}

/// An error with all of its causes: dicom-rs tells the reason last.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
