//! A DICOM series in, and masks out as DICOM SEG.
//!
//! Parsing, transfer syntaxes and rescaling are dicom-rs's. What makes a volume of single images is here: slices are ordered by where
//! they lie, never by name or number, and a series with a gap, with two slices at one place or with turned slices is refused, since no
//! affine could tell where its voxels are.
//!
//! Read: uncompressed, deflated, RLE, JPEG and JPEG 2000; not JPEG-LS, whose decoder needs a C++ compiler.

mod codestream;
mod element;
mod file;
mod frame;
mod pixel_format;
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
use crate::{DataError, DicomError, Grid, LayoutError, SeriesSummary, Volume, files::files_below};

pub use segmentation::{Segment, check_segmentation_output, write_segmentation};

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
/// rescaled (HU in CT); where black is the highest value (MONOCHROME1) they are inverted. Of several series in the folder,
/// `series` chooses one by its Series Instance UID; files that are no DICOM images are ignored.
///
/// # Units
/// The affine leads to millimetres, right to left, posterior to anterior, inferior to superior (RAS), as NIfTI's.
///
/// # Errors
/// [`DataError::Layout`] where there is no DICOM image; [`DataError::Dicom`] where there are several series, slices are missing, lie at
/// one place or are turned against each other, or pixels cannot be decoded.
pub fn read_dicom(folder: impl AsRef<Path>, series: Option<&str>) -> Result<(Volume, DicomSeries), DataError> {
    let folder = folder.as_ref();
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
    let grid = Grid::try_new([stacking.size.1, stacking.size.0, frames.len()], stacking.affine)
        .map_err(|source| DataError::Affine { path: folder.to_path_buf(), source })?;
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
    let summary = |(uid, images): (&String, &Vec<(PathBuf, Header)>)| {
        let Header { modality, description, .. } = &images[0].1;
        let (modality, description) = (modality.clone(), description.clone());
        SeriesSummary { uid: uid.clone(), modality, description, files: images.len() }
    };
    let available: Vec<_> = found.iter().map(summary).collect();
    let refuse = |source| DataError::Dicom { path: folder.to_path_buf(), source };
    let nothing = || DataError::Layout {
        path: folder.to_path_buf(),
        source: LayoutError::NothingFound("looked for DICOM images in it and below it".to_owned()),
    };
    match wanted {
        _ if found.is_empty() => Err(nothing()),
        Some(uid) => {
            found.remove(uid).ok_or_else(|| refuse(DicomError::NoSuchSeries { uid: uid.to_owned(), available }))
        }
        None if found.len() > 1 => Err(refuse(DicomError::SeveralSeries { available })),
        None => found.into_values().next().ok_or_else(nothing),
    }
}

/// The intensities of all frames, each file read once.
fn decode(frames: &[Frame], (rows, columns): (usize, usize)) -> Result<Array3<f32>, DataError> {
    let area = rows * columns;
    let length = area.checked_mul(frames.len()).filter(|&voxels| voxels <= MAX_VOXELS);
    let length = length.ok_or_else(|| DataError::Dicom {
        path: frames[0].path.to_path_buf(),
        source: DicomError::TooLarge { slices: frames.len(), rows, columns, most: MAX_VOXELS },
    })?;
    let mut places: BTreeMap<&Path, Vec<(usize, &Frame)>> = BTreeMap::new();
    for (place, frame) in frames.iter().enumerate() {
        places.entry(&frame.path).or_default().push((place, frame));
    }
    let mut voxels = vec![0.0; length];
    for (path, wanted) in places {
        let refuse = |source| DataError::Dicom { path: path.to_path_buf(), source };
        let (object, _) = file::open(path, Part::Pixels)?.ok_or_else(|| refuse(DicomError::Changed))?;
        for (place, frame) in wanted {
            let pixels = frame.format().unpack(&object).map_err(refuse)?;
            let slice = &mut voxels[place * area..(place + 1) * area];
            slice.iter_mut().zip(frame.levels.intensities(&pixels)).for_each(|(voxel, intensity)| *voxel = intensity);
            if slice.iter().any(|voxel| !voxel.is_finite()) {
                return Err(refuse(DicomError::NotFinite));
            }
        }
    }
    Ok(Array3::from_shape_vec((columns, rows, frames.len()).f(), voxels).expect("length is their product"))
}
