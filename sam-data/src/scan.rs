//! One scan, NIfTI or DICOM: reading its voxels, and writing label maps on its grid.

mod config;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use ndarray::ArrayView3;
use sam_files::Sha256Id;
use sam_prompt::progress::{Observer, Progress, Stage, ignore_progress};
use serde::{Deserialize, Serialize};

pub use self::config::ScanConfig;
use crate::{
    DataError, Grid, LabelVolume, ScanNote, Volume, nifti::read_labels_on, nifti_files, read_volume_noted, write_labels,
};
#[cfg(feature = "dicom")]
use crate::{DicomSeries, Segment, SegmentationNote, read_dicom_observed, write_segmentation};

/// Identifies a scan independently of its location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanIdentity {
    /// Name of the file or folder.
    pub name: String,
    /// SHA-256 of the file. For several files, the SHA-256 of their SHA-256s in slice order, one per line.
    pub sha256: Sha256Id,
    /// The grid of the scan.
    pub grid: Grid,
    /// Index of the volume, counted from 0, in a NIfTI file with a fourth dimension; else 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub volume_index: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_first(volume_index: &usize) -> bool {
    *volume_index == 0
}

/// A scan: a NIfTI file, a DICOM series (feature `dicom`), or a volume in memory from [`Scan::in_memory`].
///
/// ```
/// use sam_data::{PhantomConfig, Scan, write_volume};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("scan.nii.gz");
/// # let mask = folder.path().join("mask.nii.gz");
/// let phantom = PhantomConfig::default().with_shape([32, 24, 8]).generate();
/// write_volume(&path, &phantom.volume)?;
///
/// let scan = Scan::open(&path, None)?;
/// scan.write_labels(&mask, phantom.labels.labels.view())?;
/// let (labels, notes) = scan.read_labels(&mask)?;
/// assert_eq!(labels.labels, phantom.labels.labels);
/// assert!(notes.is_empty());
/// # Ok::<(), sam_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scan {
    /// The name, if the scan is in memory.
    path: PathBuf,
    in_memory: bool,
    volume: Arc<Volume>,
    /// Index of the volume in its file.
    volume_index: usize,
    notes: Vec<ScanNote>,
    #[cfg(feature = "dicom")]
    series: Option<Arc<DicomSeries>>,
}

impl Scan {
    /// Reads a scan: a `.nii`, `.nii.gz` or header pair; a folder with a DICOM series, or a multi-frame DICOM file. The content decides,
    /// not the name.
    ///
    /// `series` chooses one of several DICOM series in a folder by its Series Instance UID.
    ///
    /// # Errors
    /// Those of [`read_volume`](crate::read_volume) and of `read_dicom`; [`DataError::NotDicom`] if a series is given for a NIfTI file;
    /// [`DataError::WithoutDicom`] for DICOM without the feature `dicom`.
    #[expect(clippy::missing_panics_doc, reason = "an observer that ignores progress stops nothing")]
    #[expect(clippy::expect_used, reason = "an observer that ignores progress cannot stop the call")]
    pub fn open(path: impl AsRef<Path>, series: Option<&str>) -> Result<Self, DataError> {
        let config = ScanConfig { series: series.map(str::to_owned).into_iter().collect(), ..ScanConfig::default() };
        let scan = Self::open_observed(path, &config, &mut ignore_progress())?;
        Ok(scan.expect("it ignores progress, so it stops nothing"))
    }

    /// Reads a scan like [`Scan::open`], as the config says, and reports progress. The observer is called with [`Stage::Read`]: twice for
    /// each file of a DICOM series, once for NIfTI. Returns `None` if the observer stopped the call before the last file.
    ///
    /// # Errors
    /// As [`Scan::open`].
    pub fn open_observed(
        path: impl AsRef<Path>,
        config: &ScanConfig,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Self>, DataError> {
        let (path, begun) = (path.as_ref(), Instant::now());
        let scan = if is_dicom(path) {
            config.check_dicom(path)?;
            let Some(scan) = Self::open_dicom(path, config, observer)? else { return Ok(None) };
            scan
        } else if !config.series.is_empty() || config.spacing.is_some() {
            let purpose = if config.series.is_empty() {
                "the distances of its images were given"
            } else {
                "a series of it was chosen"
            };
            return Err(DataError::NotDicom { path: path.to_path_buf(), purpose });
        } else {
            let (volume, notes) = read_volume_noted(path, &config.read_options())?;
            let volume_index = config.volume_index.unwrap_or(0);
            let scan = Self { in_memory: false, volume_index, notes, ..Self::in_memory(path, volume) };
            // The observer cannot stop the call any more, because reading is done.
            let _ = observer(&Progress::new(Stage::Read, 1, 1));
            scan
        };
        let (shape, spacing, seconds) = (scan.grid().shape, scan.grid().spacing(), begun.elapsed().as_secs_f64());
        tracing::info!(path = ?path, shape = ?shape, spacing_mm = ?spacing, dicom = scan.is_dicom(), seconds, "read the scan");
        tracing::debug!(affine = ?scan.grid().affine, "the scan's affine");
        Ok(Some(scan))
    }

    /// A scan that was not read from a file, such as a phantom. It has no files and no [`Scan::identity`], so it can have no session.
    pub fn in_memory(name: impl AsRef<Path>, volume: impl Into<Arc<Volume>>) -> Self {
        Self {
            path: name.as_ref().to_path_buf(),
            in_memory: true,
            volume: volume.into(),
            volume_index: 0,
            notes: Vec::new(),
            #[cfg(feature = "dicom")]
            series: None,
        }
    }

    #[cfg(feature = "dicom")]
    fn open_dicom(path: &Path, config: &ScanConfig, observer: &mut Observer<'_>) -> Result<Option<Self>, DataError> {
        let read = read_dicom_observed(path, config, observer)?;
        Ok(read.map(|(volume, series)| Self {
            in_memory: false,
            notes: series.notes().iter().cloned().map(ScanNote::Dicom).collect(),
            series: Some(Arc::new(series)),
            ..Self::in_memory(path, volume)
        }))
    }

    #[cfg(not(feature = "dicom"))]
    fn open_dicom(path: &Path, _: &ScanConfig, _: &mut Observer<'_>) -> Result<Option<Self>, DataError> {
        Err(DataError::WithoutDicom { path: path.to_path_buf() })
    }

    /// The file or folder of the scan; the name if the scan is in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the scan's file or folder.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "scan".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The voxels of the scan. Cloning the `Arc` copies no voxels.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// The grid of the scan.
    pub fn grid(&self) -> &Grid {
        &self.volume.grid
    }

    /// What the person must know about how the scan was read.
    pub fn notes(&self) -> &[ScanNote] {
        &self.notes
    }

    /// The DICOM series; `None` for NIfTI.
    #[cfg(feature = "dicom")]
    pub fn series(&self) -> Option<&DicomSeries> {
        self.series.as_deref()
    }

    /// Whether the scan is a DICOM series.
    pub fn is_dicom(&self) -> bool {
        #[cfg(feature = "dicom")]
        return self.series.is_some();
        #[cfg(not(feature = "dicom"))]
        return false;
    }

    /// The files of the scan: for a DICOM series in slice order, for a NIfTI pair the opened file first. A scan in memory has none.
    pub fn files(&self) -> Vec<PathBuf> {
        if self.in_memory {
            return Vec::new();
        }
        #[cfg(feature = "dicom")]
        if let Some(series) = &self.series {
            return series.files();
        }
        nifti_files(&self.path)
    }

    /// The SHA-256 of the scan, as in [`ScanIdentity::sha256`]. Reads all files again.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::InMemory`] if the scan was not read from a file.
    pub fn sha256(&self) -> Result<Sha256Id, DataError> {
        match &self.files()[..] {
            [] => Err(DataError::InMemory { name: self.name() }),
            [file] => Ok(Sha256Id::of_file(file)?),
            files => {
                let hashes = files.iter().map(|file| Ok(Sha256Id::of_file(file)?.to_string()));
                Ok(Sha256Id::of(hashes.collect::<Result<Vec<_>, DataError>>()?.join("\n")))
            }
        }
    }

    /// The identity of the scan, independent of its location.
    ///
    /// # Errors
    /// As [`Scan::sha256`].
    pub fn identity(&self) -> Result<ScanIdentity, DataError> {
        let (grid, volume_index) = (self.volume.grid.clone(), self.volume_index);
        Ok(ScanIdentity { name: self.name(), sha256: self.sha256()?, grid, volume_index })
    }

    /// Reads a label map of the scan from a NIfTI file, on the scan's grid. Also returns what the person must know about it.
    ///
    /// Each voxel of the label map must lie on a voxel of the scan, within a tenth of the voxel's side. Maps whose axes run another way are
    /// turned, maps of a part of the scan are put into their place, and a map may lie on the form of the scan's header (sform, qform) that
    /// is not in use. Nothing is resampled.
    ///
    /// # Errors
    /// Those of [`read_labels`](crate::read_labels); [`DataError::Grid`] if a voxel lies elsewhere; [`DataError::Placement`].
    pub fn read_labels(&self, path: impl AsRef<Path>) -> Result<(LabelVolume, Vec<ScanNote>), DataError> {
        read_labels_on(path.as_ref(), &self.volume, &self.path)
    }

    /// Writes a label map of the scan as NIfTI, with the header of the scan; see [`write_labels`].
    ///
    /// Call [`check_output`](crate::check_output) before a long computation.
    ///
    /// # Errors
    /// As [`write_labels`].
    pub fn write_labels(&self, path: impl AsRef<Path>, labels: ArrayView3<'_, u16>) -> Result<(), DataError> {
        write_labels(path, labels, &self.volume)
    }

    /// Checks that [`Scan::write_segmentation`] can write under this name. Call it before a long computation.
    ///
    /// # Errors
    /// Those of [`Scan::segmentation_notes`] and of [`check_segmentation_output`](crate::check_segmentation_output).
    #[cfg(feature = "dicom")]
    pub fn check_segmentation_output(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        self.segmentation_notes()?;
        crate::check_segmentation_output(path)
    }

    /// What the person must know about a DICOM SEG of the scan, before it is written; see [`DicomSeries::segmentation_notes`].
    ///
    /// # Errors
    /// [`DataError::NotDicom`] if the scan is not a DICOM series; [`DataError::Segmentation`] if no DICOM SEG can refer to its images.
    #[cfg(feature = "dicom")]
    pub fn segmentation_notes(&self) -> Result<Vec<SegmentationNote>, DataError> {
        let refuse = |source| DataError::Segmentation { path: self.path.clone(), source };
        self.referred_series()?.segmentation_notes().map_err(refuse)
    }

    /// Writes a label map of the scan as DICOM SEG that refers to the series; see [`write_segmentation`].
    ///
    /// # Errors
    /// [`DataError::NotDicom`] if the scan is not a DICOM series; those of [`write_segmentation`].
    #[cfg(feature = "dicom")]
    pub fn write_segmentation(
        &self,
        path: impl AsRef<Path>,
        labels: ArrayView3<'_, u16>,
        segments: &[Segment],
        description: &str,
    ) -> Result<Vec<SegmentationNote>, DataError> {
        write_segmentation(path, labels, self.referred_series()?, segments, description)
    }

    #[cfg(feature = "dicom")]
    fn referred_series(&self) -> Result<&DicomSeries, DataError> {
        let purpose = "DICOM SEG refers to one";
        self.series().ok_or_else(|| DataError::NotDicom { path: self.path.clone(), purpose })
    }
}

/// Whether a path is read as DICOM: a folder, or a file that begins as DICOM.
fn is_dicom(path: &Path) -> bool {
    let mut start = Vec::new();
    let is_read = File::open(path).is_ok_and(|file| file.take(132).read_to_end(&mut start).is_ok());
    #[cfg(feature = "dicom")]
    let begins_dicom = crate::dicom::begins_dicom(&start);
    #[cfg(not(feature = "dicom"))]
    let begins_dicom = start.ends_with(b"DICM");
    path.is_dir() || is_read && begins_dicom
}

#[cfg(test)]
mod tests;
