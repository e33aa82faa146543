//! Reads DICOM series and writes masks as DICOM SEG.
//!
//! dicom-rs does parsing, transfer syntaxes and rescaling. This module builds a volume from single images. It orders slices by their
//! position, never by file name or instance number. It refuses a series with a gap, with two slices at one position or with rotated slices,
//! because no affine describes such a series.
//!
//! Supported: uncompressed, deflated, RLE, JPEG and JPEG 2000. JPEG-LS is not supported, because its decoder needs a C++ compiler.

mod codestream;
mod element;
mod file;
mod frame;
mod note;
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
use sam_prompt::progress::{Observer, Progress, Stage, ignore_progress};

use self::{
    file::Part,
    frame::{Frame, Header},
    stacking::Stacking,
};
use crate::{DataError, DicomError, Grid, LayoutError, ScanConfig, SeriesSummary, Volume, files::files_below};

pub use note::DicomNote;
pub use segmentation::{Segment, check_segmentation_output, write_segmentation};

/// The images of each series, by Series Instance UID: their files and headers.
type Images = BTreeMap<String, Vec<(PathBuf, Header)>>;

/// The largest number of voxels that is decoded: 8 GiB as `f32`.
const MAX_VOXELS: usize = 1 << 31;

/// A DICOM series that was read. A mask written as DICOM SEG refers to its images.
#[derive(Debug, Clone)]
pub struct DicomSeries {
    /// Series Instance UID.
    pub uid: String,
    /// Series Description.
    pub description: String,
    /// Modality: CT, MR, US.
    pub modality: String,
    /// The frame of each slice, in the volume's order.
    slices: Vec<Frame>,
    notes: Vec<DicomNote>,
    /// The first slice's file without pixels; it holds the attributes of patient and study.
    first: Box<DefaultDicomObject>,
}

impl DicomSeries {
    /// What the person must know about how the series was read.
    pub fn notes(&self) -> &[DicomNote] {
        &self.notes
    }

    /// The files of the series in slice order, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let first = |path: &&Path| seen.insert(path.to_path_buf());
        self.slices.iter().map(|frame| &*frame.path).filter(first).map(Path::to_path_buf).collect()
    }
}

/// Reads a DICOM series from a folder and its sub-folders, or from one file, as a volume. Slices are ordered by position.
///
/// The first axis runs along the image's rows to the right, the second down its columns, the third along the slices. Intensities are
/// rescaled (HU in CT) and, for MONOCHROME1, inverted. If the folder holds several series, `series` chooses one by its Series Instance UID.
/// Files that are not DICOM images are ignored.
///
/// # Units
/// The affine maps to millimetres in RAS (right, anterior, superior), as in NIfTI.
///
/// # Errors
/// [`DataError::Layout`] if there is no DICOM image; [`DataError::Dicom`] if there are several series, slices are missing, at the same
/// position or rotated against each other, or pixels cannot be decoded.
#[expect(clippy::missing_panics_doc, reason = "an observer that ignores progress stops nothing")]
pub fn read_dicom(folder: impl AsRef<Path>, series: Option<&str>) -> Result<(Volume, DicomSeries), DataError> {
    let config = ScanConfig { series: series.map(str::to_owned).into_iter().collect(), ..ScanConfig::default() };
    let read = read_dicom_observed(folder, &config, &mut ignore_progress())?;
    Ok(read.expect("it ignores progress, so it stops nothing"))
}

/// Reads a DICOM series like [`read_dicom`], as the config says, and reports progress. The observer is called with [`Stage::Read`] after each file's header, and
/// again after its pixels. Returns `None` if the observer stopped the call before the last file.
///
/// # Errors
/// As [`read_dicom`].
pub fn read_dicom_observed(
    folder: impl AsRef<Path>,
    config: &ScanConfig,
    observer: &mut Observer<'_>,
) -> Result<Option<(Volume, DicomSeries)>, DataError> {
    let folder = folder.as_ref();
    let files = if folder.is_file() { vec![folder.to_path_buf()] } else { files_below(folder)? };
    let mut steps = Steps { observer, done: 0, total: 2 * files.len() };
    let Some(found) = headers(files, &mut steps)? else { return Ok(None) };
    let mut images = choose(folder, found, config.series.first().map(String::as_str))?;
    // The pixels of other series' files are not read.
    steps.done = steps.total - images.len();
    let mut frames = Vec::new();
    for (path, header) in &images {
        frames.extend(header.frames(path)?);
    }
    let stacking = Stacking::of(folder, &mut frames)?;
    let Some(voxels) = decode(&frames, stacking.size, &mut steps)? else { return Ok(None) };
    let grid = Grid::try_new([stacking.size.1, stacking.size.0, frames.len()], stacking.affine)
        .map_err(|source| DataError::Affine { path: folder.to_path_buf(), source })?;
    let first = images.iter().position(|(path, _)| *path == *frames[0].path).unwrap_or(0);
    let (_, header) = images.swap_remove(first);
    let series = DicomSeries {
        uid: header.series,
        description: header.description,
        modality: header.modality,
        slices: frames,
        notes: Vec::new(),
        first: Box::new(header.object),
    };
    Ok(Some((Volume { voxels, grid, header: None }, series)))
}

/// Reports the number of files read to the observer.
struct Steps<'a, 'b> {
    observer: &'a mut Observer<'b>,
    done: usize,
    total: usize,
}

impl Steps<'_, '_> {
    /// Counts one more file; returns whether the observer stops the call. It cannot stop it after the last file.
    fn is_stopped_after_another(&mut self) -> bool {
        self.done += 1;
        (self.observer)(&Progress::new(Stage::Read, self.done, self.total)).is_break() && self.done < self.total
    }
}

/// Reads the headers and groups them by series; `None` if the observer stops the call.
fn headers(files: Vec<PathBuf>, steps: &mut Steps<'_, '_>) -> Result<Option<Images>, DataError> {
    let mut found = Images::new();
    for path in files {
        let opened = file::open(&path, Part::Header)?;
        if let Some(header) = opened.and_then(|(object, pixels)| Header::of_image(object, pixels)) {
            found.entry(header.series.clone()).or_default().push((path, header));
        }
        if steps.is_stopped_after_another() {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// Chooses the images of the wanted series.
fn choose(folder: &Path, mut found: Images, wanted: Option<&str>) -> Result<Vec<(PathBuf, Header)>, DataError> {
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

/// Decodes the intensities of all frames, reading each file once; `None` if the observer stops the call.
fn decode(
    frames: &[Frame],
    (rows, columns): (usize, usize),
    steps: &mut Steps<'_, '_>,
) -> Result<Option<Array3<f32>>, DataError> {
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
        if steps.is_stopped_after_another() {
            return Ok(None);
        }
    }
    let voxels = Array3::from_shape_vec((columns, rows, frames.len()).f(), voxels);
    Ok(Some(voxels.expect("length is their product")))
}
