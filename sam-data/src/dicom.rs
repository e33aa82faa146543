//! Reads DICOM series and writes masks as DICOM SEG.
//!
//! dicom-rs does parsing, transfer syntaxes and rescaling. This module builds a volume from single images. It orders slices by their
//! position, never by file name or instance number. It refuses a series with a gap, with two slices at one position or with rotated slices,
//! because no affine describes such a series. A value that is present but cannot be read is an error, and so is a file that may be a slice.
//!
//! Supported: uncompressed, deflated, RLE, JPEG and JPEG 2000. JPEG-LS is not supported, because its decoder needs a C++ compiler.

mod codestream;
mod element;
mod file;
mod folder;
mod frame;
mod note;
mod patient;
mod pixel_format;
mod pixels;
mod segmentation;
mod stacking;
mod texts;
mod value;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use ndarray::{Array3, ShapeBuilder};
use sam_prompt::progress::{Observer, Progress, Stage, ignore_progress};

use self::{
    file::{Opened, Part},
    folder::{Chosen, Files},
    frame::Frame,
    stacking::Stacking,
    texts::StoredTexts,
};
use crate::{DataError, DicomError, Grid, ScanConfig, Volume, files::files_below};

pub(crate) use file::begins_dicom;
pub use note::{DicomFolderReport, DicomNote, SkipReason, SkippedFile};
pub use patient::SegmentationNote;
pub use segmentation::{Segment, check_segmentation_output, write_segmentation};

/// The largest number of voxels that is decoded: 8 GiB as `f32`.
const MAX_VOXELS: usize = 1 << 31;

/// A DICOM series that was read. A mask written as DICOM SEG refers to its images.
#[derive(Debug, Clone)]
pub struct DicomSeries {
    /// Series Instance UID; of several series that make one volume, the first. Empty if the files have none.
    pub uid: String,
    /// Series Description.
    pub description: String,
    /// Modality: CT, MR, US.
    pub modality: String,
    /// The frame of each slice, in the volume's order.
    slices: Vec<Frame>,
    report: DicomFolderReport,
    notes: Vec<DicomNote>,
    /// Texts of patient and study, of the first slice's file.
    texts: StoredTexts,
}

impl DicomSeries {
    /// What was read of the folder, and what was not.
    pub fn report(&self) -> &DicomFolderReport {
        &self.report
    }

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
/// rescaled (HU in CT) and, for MONOCHROME1, inverted; pixels of padding (Pixel Padding Value) become the lowest intensity. If the folder
/// holds several series, `series` chooses one by its Series Instance UID. Files that are not DICOM images are skipped, see
/// [`DicomSeries::report`]. A file without the preamble of DICOM files is read, too.
///
/// # Units
/// The affine maps to millimetres in RAS (right, anterior, superior), as in NIfTI.
///
/// # Errors
/// [`DataError::Layout`] if there is no DICOM image; [`DataError::Dicom`] if there are several series, slices are missing, at the same
/// position or rotated against each other, a value cannot be read, or pixels cannot be decoded. A file that cannot be read is an error if it
/// belongs to the series, or if its series is unknown and `series` is `None`: it may be a slice.
#[expect(clippy::missing_panics_doc, reason = "an observer that ignores progress stops nothing")]
#[expect(clippy::expect_used, reason = "an observer that ignores progress cannot stop the call")]
pub fn read_dicom(folder: impl AsRef<Path>, series: Option<&str>) -> Result<(Volume, DicomSeries), DataError> {
    let config = ScanConfig { series: series.map(str::to_owned).into_iter().collect(), ..ScanConfig::default() };
    let read = read_dicom_observed(folder, &config, &mut ignore_progress())?;
    Ok(read.expect("it ignores progress, so it stops nothing"))
}

/// Reads a DICOM series like [`read_dicom`], as the config says, and reports progress. The observer is called with [`Stage::Read`] after
/// each file's header, and again after its pixels. Returns `None` if the observer stopped the call before the last file.
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
    let Some(found) = headers(files, &mut steps) else { return Ok(None) };
    let Chosen { images, report } = found.choose(folder, &config.series)?;
    for file in &report.skipped {
        tracing::info!(path = ?file.path, reason = ?file.reason, "skipped a file");
    }
    // The pixels of other series' files are not read.
    steps.done = steps.total - images.len();
    let mut frames = Vec::new();
    for (path, header) in &images {
        frames.extend(header.frames(path, config.spacing)?);
    }
    let stacking = Stacking::of(folder, &mut frames)?;
    let Some(Decoded { voxels, padding }) = decode(&frames, stacking.size, &mut steps)? else { return Ok(None) };
    let grid = Grid::try_new([stacking.size.1, stacking.size.0, frames.len()], stacking.affine)
        .map_err(|source| DataError::Affine { path: folder.to_path_buf(), source })?;
    let mut notes = if folder.is_file() { Vec::new() } else { report.notes() };
    notes.extend(stacking.shear.map(|degrees| DicomNote::Sheared { degrees }));
    notes.extend((!frames[0].is_placed).then_some(DicomNote::Unplaced { images: frames.len() }));
    notes.extend(padding);
    let first = images.iter().position(|(path, _)| *path == *frames[0].path).unwrap_or(0);
    let header = &images[first].1;
    let series = DicomSeries {
        uid: header.series.clone(),
        description: header.description.clone(),
        modality: header.modality.clone(),
        texts: header.texts().clone(),
        slices: frames,
        report,
        notes,
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

/// Reads the headers of all files; `None` if the observer stops the call.
fn headers(files: Vec<PathBuf>, steps: &mut Steps<'_, '_>) -> Option<Files> {
    let mut found = Files::default();
    for path in files {
        found.add(path);
        if steps.is_stopped_after_another() {
            return None;
        }
    }
    Some(found)
}

/// The intensities of all frames, and a note on padding.
struct Decoded {
    voxels: Array3<f32>,
    padding: Option<DicomNote>,
}

/// Decodes the intensities of all frames, reading each file once; `None` if the observer stops the call.
#[expect(clippy::expect_used, reason = "the length is the product of the sides")]
fn decode(
    frames: &[Frame],
    (rows, columns): (usize, usize),
    steps: &mut Steps<'_, '_>,
) -> Result<Option<Decoded>, DataError> {
    let area = rows * columns;
    let mut voxels = room(frames, (rows, columns))?;
    let mut places: BTreeMap<&Path, Vec<(usize, &Frame)>> = BTreeMap::new();
    for (place, frame) in frames.iter().enumerate() {
        places.entry(&frame.path).or_default().push((place, frame));
    }
    let (mut padding, mut lowest) = (0, f32::INFINITY);
    for (path, wanted) in places {
        let refuse = |source| DataError::Dicom { path: path.to_path_buf(), source };
        let Opened::Dicom(data) = file::open(path, Part::Pixels).map_err(|unreadable| *unreadable.error)? else {
            return Err(refuse(DicomError::Changed));
        };
        for (place, frame) in wanted {
            let pixels = frame.format().unpack(&data).map_err(refuse)?;
            let slice = &mut voxels[place * area..(place + 1) * area];
            for (voxel, intensity) in slice.iter_mut().zip(frame.levels.intensities(&pixels)) {
                if intensity.is_some_and(|intensity| !intensity.is_finite()) {
                    return Err(refuse(DicomError::NotFinite));
                }
                // Padding is marked by NaN until the lowest intensity is known.
                padding += usize::from(intensity.is_none());
                *voxel = intensity.unwrap_or(f32::NAN);
                lowest = lowest.min(*voxel);
            }
        }
        if steps.is_stopped_after_another() {
            return Ok(None);
        }
    }
    // Without any other voxel, no intensity is the lowest.
    let lowest = if lowest.is_finite() { lowest } else { 0.0 };
    if padding > 0 {
        voxels.iter_mut().filter(|voxel| voxel.is_nan()).for_each(|voxel| *voxel = lowest);
    }
    let note = (padding > 0).then_some(DicomNote::Padding { voxels: padding, lowest });
    let voxels = Array3::from_shape_vec((columns, rows, frames.len()).f(), voxels);
    Ok(Some(Decoded { voxels: voxels.expect("length is their product"), padding: note }))
}

/// Memory for the voxels of all frames.
fn room(frames: &[Frame], (rows, columns): (usize, usize)) -> Result<Vec<f32>, DataError> {
    let length = (rows * columns).checked_mul(frames.len()).filter(|&voxels| voxels <= MAX_VOXELS);
    // Zeroed memory is claimed page by page as it is written, so a file that announces too much takes none.
    let is_free = |&length: &usize| Vec::<f32>::new().try_reserve_exact(length).is_ok();
    let length = length.filter(is_free).ok_or_else(|| DataError::Dicom {
        path: frames[0].path.to_path_buf(),
        source: DicomError::TooLarge { slices: frames.len(), rows, columns, most: MAX_VOXELS },
    })?;
    Ok(vec![0.0; length])
}
