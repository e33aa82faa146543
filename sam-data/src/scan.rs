//! One scan, NIfTI or DICOM: its voxels in, label maps of it out.

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

use crate::{DataError, Grid, LabelVolume, Volume, nifti_files, read_labels, read_volume, write_labels};
#[cfg(feature = "dicom")]
use crate::{DicomSeries, Segment, read_dicom_observed, write_segmentation};

/// Which scan it is, wherever it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanIdentity {
    /// Name of its file or folder.
    pub name: String,
    /// SHA-256 of its file; of several files, of their SHA-256s in the order of the slices, one a line.
    pub sha256: Sha256Id,
    /// Where its voxels lie.
    pub grid: Grid,
}

/// A scan that was read: a NIfTI file, or (feature `dicom`) a DICOM series. [`Scan::in_memory`] is one that came from no file.
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
/// assert_eq!(scan.read_labels(&mask)?.labels, phantom.labels.labels);
/// # Ok::<(), sam_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scan {
    /// Of a scan in memory, its name.
    path: PathBuf,
    in_memory: bool,
    volume: Arc<Volume>,
    #[cfg(feature = "dicom")]
    series: Option<Arc<DicomSeries>>,
}

impl Scan {
    /// Reads a scan: `.nii`, `.nii.gz` or a header pair; a folder with a DICOM series, or a DICOM file of many frames. Content decides,
    /// not the name.
    ///
    /// `series` chooses among several DICOM series of a folder, by Series Instance UID.
    ///
    /// # Errors
    /// Those of [`read_volume`] and of `read_dicom`; [`DataError::NotDicom`] if a series is chosen of a NIfTI file;
    /// [`DataError::WithoutDicom`] for DICOM without the feature `dicom`.
    #[expect(clippy::missing_panics_doc, reason = "an observer that ignores progress stops nothing")]
    pub fn open(path: impl AsRef<Path>, series: Option<&str>) -> Result<Self, DataError> {
        let scan = Self::open_observed(path, series, &mut ignore_progress())?;
        Ok(scan.expect("it ignores progress, so it stops nothing"))
    }

    /// As [`Scan::open`]. The observer is called with [`Stage::Read`]: for DICOM twice for each file, for NIfTI once. `None` if it
    /// stopped the call before the last file.
    ///
    /// # Errors
    /// As [`Scan::open`].
    pub fn open_observed(
        path: impl AsRef<Path>,
        series: Option<&str>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Self>, DataError> {
        let (path, begun) = (path.as_ref(), Instant::now());
        let scan = if is_dicom(path) {
            let Some(scan) = Self::open_dicom(path, series, observer)? else { return Ok(None) };
            scan
        } else if series.is_some() {
            let purpose = "a series of it was chosen";
            return Err(DataError::NotDicom { path: path.to_path_buf(), purpose });
        } else {
            let scan = Self { in_memory: false, ..Self::in_memory(path, read_volume(path)?) };
            // Nothing is left to stop.
            let _ = observer(&Progress::new(Stage::Read, 1, 1));
            scan
        };
        let (shape, spacing, seconds) = (scan.grid().shape, scan.grid().spacing(), begun.elapsed().as_secs_f64());
        tracing::info!(path = ?path, shape = ?shape, spacing_mm = ?spacing, dicom = scan.is_dicom(), seconds, "read the scan");
        tracing::debug!(affine = ?scan.grid().affine, "the scan's affine");
        Ok(Some(scan))
    }

    /// A scan that came from no file, such as a phantom. It has no files and no [`Scan::identity`], so no session can be kept of it.
    pub fn in_memory(name: impl AsRef<Path>, volume: impl Into<Arc<Volume>>) -> Self {
        Self {
            path: name.as_ref().to_path_buf(),
            in_memory: true,
            volume: volume.into(),
            #[cfg(feature = "dicom")]
            series: None,
        }
    }

    #[cfg(feature = "dicom")]
    fn open_dicom(path: &Path, series: Option<&str>, observer: &mut Observer<'_>) -> Result<Option<Self>, DataError> {
        let read = read_dicom_observed(path, series, observer)?;
        Ok(read.map(|(volume, series)| Self {
            in_memory: false,
            series: Some(Arc::new(series)),
            ..Self::in_memory(path, volume)
        }))
    }

    #[cfg(not(feature = "dicom"))]
    fn open_dicom(path: &Path, _: Option<&str>, _: &mut Observer<'_>) -> Result<Option<Self>, DataError> {
        Err(DataError::WithoutDicom { path: path.to_path_buf() })
    }

    /// The file or folder that it was read from; of a scan in memory, its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of its file or folder.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "scan".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Its voxels, to be shared: a clone of the `Arc` copies none.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Where its voxels lie.
    pub fn grid(&self) -> &Grid {
        &self.volume.grid
    }

    /// The DICOM series; `None` for NIfTI.
    #[cfg(feature = "dicom")]
    pub fn series(&self) -> Option<&DicomSeries> {
        self.series.as_deref()
    }

    /// Whether it is a DICOM series.
    pub fn is_dicom(&self) -> bool {
        #[cfg(feature = "dicom")]
        return self.series.is_some();
        #[cfg(not(feature = "dicom"))]
        return false;
    }

    /// Its files: those of a series in the order of the slices, of a NIfTI pair the named one first. A scan in memory has none.
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

    /// SHA-256 of its file; of several, of their SHA-256s in the order of the slices. All files are read again.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::InMemory`] of a scan that came from no file.
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

    /// Which scan it is, wherever it lies.
    ///
    /// # Errors
    /// As [`Scan::sha256`].
    pub fn identity(&self) -> Result<ScanIdentity, DataError> {
        Ok(ScanIdentity { name: self.name(), sha256: self.sha256()?, grid: self.volume.grid.clone() })
    }

    /// Reads a label map of the scan from NIfTI.
    ///
    /// # Errors
    /// Those of [`read_labels`]; [`DataError::Grid`] unless it lies on the scan's grid; see [`Grid::check_same`].
    pub fn read_labels(&self, path: impl AsRef<Path>) -> Result<LabelVolume, DataError> {
        let path = path.as_ref();
        let labels = read_labels(path)?;
        self.volume.grid.check_same(&labels.grid).map_err(|mismatch| DataError::Grid {
            mask: path.to_path_buf(),
            image: self.path.clone(),
            mismatch: Box::new(mismatch),
        })?;
        Ok(labels)
    }

    /// Writes a label map of the scan as NIfTI, with the scan's own header; see [`write_labels`].
    ///
    /// Call [`check_output`](crate::check_output) before hours of work depend on it.
    ///
    /// # Errors
    /// As [`write_labels`].
    pub fn write_labels(&self, path: impl AsRef<Path>, labels: ArrayView3<'_, u16>) -> Result<(), DataError> {
        write_labels(path, labels, &self.volume)
    }

    /// Checks that [`Scan::write_segmentation`] can write under a name, before hours of work depend on it.
    ///
    /// # Errors
    /// [`DataError::NotDicom`] if the scan is no DICOM series; as [`check_segmentation_output`](crate::check_segmentation_output).
    #[cfg(feature = "dicom")]
    pub fn check_segmentation_output(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        self.referred_series()?;
        crate::check_segmentation_output(path)
    }

    /// Writes a label map of the scan as DICOM SEG that refers to its series; see [`write_segmentation`].
    ///
    /// # Errors
    /// [`DataError::NotDicom`] if the scan is no DICOM series; as [`write_segmentation`].
    #[cfg(feature = "dicom")]
    pub fn write_segmentation(
        &self,
        path: impl AsRef<Path>,
        labels: ArrayView3<'_, u16>,
        segments: &[Segment],
        description: &str,
    ) -> Result<(), DataError> {
        write_segmentation(path, labels, self.referred_series()?, segments, description)
    }

    #[cfg(feature = "dicom")]
    fn referred_series(&self) -> Result<&DicomSeries, DataError> {
        let purpose = "DICOM SEG refers to one";
        self.series().ok_or_else(|| DataError::NotDicom { path: self.path.clone(), purpose })
    }
}

/// Whether a path is read as DICOM: a folder, or a file with DICOM's magic.
fn is_dicom(path: &Path) -> bool {
    let mut start = [0; 132];
    let is_filled = File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok());
    path.is_dir() || is_filled && start.ends_with(b"DICM")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelVolume, PhantomConfig, error::error_chain, write_volume};

    fn phantom() -> crate::Phantom {
        PhantomConfig::default().with_shape([12, 10, 4]).generate()
    }

    #[test]
    fn a_nifti_scan_has_a_name_an_identity_and_label_maps() -> Result<(), DataError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [image, mask] = ["scan.nii.gz", "mask.nii.gz"].map(|name| folder.path().join(name));
        let phantom = phantom();
        write_volume(&image, &phantom.volume)?;
        let scan = Scan::open(&image, None)?;
        assert!(!scan.is_dicom());
        let identity = scan.identity()?;
        assert_eq!(identity.name, "scan.nii.gz");
        assert_eq!(identity.sha256, Sha256Id::of_file(&image)?);
        assert_eq!(identity.grid.shape, [12, 10, 4]);
        let json = serde_json::to_string(&identity).expect("plain data");
        assert!(json.starts_with("{\"name\":\"scan.nii.gz\",\"sha256\":\""), "as sessions store it: {json}");
        assert_eq!(serde_json::from_str::<ScanIdentity>(&json).expect("just written"), identity);

        scan.write_labels(&mask, phantom.labels.labels.view())?;
        assert_eq!(scan.read_labels(&mask)?.labels, phantom.labels.labels);
        let mut moved = phantom.volume.clone();
        moved.grid.affine[0][3] += 0.02;
        write_labels(&mask, phantom.labels.labels.view(), &moved)?;
        let elsewhere = scan.read_labels(&mask).expect_err("0.02 mm away");
        assert!(error_chain(&elsewhere).contains("origin"), "{}", error_chain(&elsewhere));
        let _: LabelVolume = read_labels(&mask)?;
        assert!(matches!(Scan::open(&image, Some("1.2.3")), Err(DataError::NotDicom { .. })));
        assert!(matches!(Scan::open(folder.path().join("missing.nii"), None), Err(DataError::Read { .. })));
        Ok(())
    }

    #[test]
    fn a_scan_in_memory_has_voxels_but_no_identity() {
        let phantom = phantom();
        let scan = Scan::in_memory("phantom", phantom.volume.clone());
        assert_eq!((scan.name().as_str(), scan.volume().as_ref()), ("phantom", &phantom.volume));
        assert!(scan.files().is_empty() && !scan.is_dicom());
        let refused = scan.identity().expect_err("no file").to_string();
        assert!(refused.contains("phantom") && refused.contains("write_volume"), "{refused}");
    }

    #[test]
    fn a_pair_is_known_by_both_files() -> Result<(), DataError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [single, header, voxels] = ["scan.nii", "scan.hdr", "scan.img"].map(|name| folder.path().join(name));
        write_volume(&single, &phantom().volume)?;
        let mut bytes = std::fs::read(&single).expect("just written");
        std::fs::write(&voxels, bytes.split_off(352)).expect("a writable folder");
        bytes[344..348].copy_from_slice(b"ni1\0");
        bytes[108..112].copy_from_slice(&0.0_f32.to_le_bytes());
        std::fs::write(&header, &bytes).expect("a writable folder");
        let scan = Scan::open(&header, None)?;
        assert_eq!(scan.files(), [header.clone(), voxels.clone()]);
        let both = format!("{}\n{}", Sha256Id::of_file(&header)?, Sha256Id::of_file(&voxels)?);
        assert_eq!(scan.sha256()?, Sha256Id::of(both));
        Ok(())
    }

    #[cfg(feature = "dicom")]
    #[test]
    fn dicom_seg_needs_a_series() -> Result<(), DataError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("scan.nii");
        let phantom = phantom();
        write_volume(&image, &phantom.volume)?;
        let scan = Scan::open(&image, None)?;
        let seg = folder.path().join("mask.dcm");
        let refused = scan.check_segmentation_output(&seg).expect_err("no DICOM");
        assert!(refused.to_string().contains("no DICOM series, but DICOM SEG refers to one"), "{refused}");
        assert!(scan.write_segmentation(&seg, phantom.labels.labels.view(), &[], "").is_err());
        // A folder is read as a series, and says what it lacks.
        let empty = Scan::open(folder.path(), None).expect_err("no DICOM");
        assert!(error_chain(&empty).contains("looked for DICOM images"), "{}", error_chain(&empty));
        assert!(crate::check_segmentation_output("mask.nii").is_err());
        assert!(crate::check_segmentation_output("no-such-folder/mask.dcm").is_err());
        Ok(())
    }

    #[cfg(not(feature = "dicom"))]
    #[test]
    fn without_the_feature_a_folder_names_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused = Scan::open(folder.path(), None).expect_err("no DICOM").to_string();
        assert!(refused.contains("its feature `dicom`"), "{refused}");
    }
}
