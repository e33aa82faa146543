//! A scan, whatever it is: a NIfTI file or a DICOM series; and masks of it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sam_data::{DicomSeries, LabelVolume, Segment, Volume};
use sam_prompt::ndarray::ArrayView3;
use serde::Serialize;

use crate::session::{ObjectId, ScanIdentity};

/// A scan and its label maps may lie this far apart, in mm: editors round affines.
const GRID_TOLERANCE_MM: f64 = 0.01;

/// Which scan, and where masks of it go.
#[derive(Debug, Clone, Args, Serialize)]
pub struct ScanOptions {
    /// The scan: .nii, .nii.gz, a folder with a DICOM series, or a DICOM file of many frames.
    #[arg(long, value_name = "PATH")]
    pub image: PathBuf,
    /// Of several DICOM series in the folder, the one with this Series Instance UID.
    #[arg(long, value_name = "UID")]
    pub series: Option<String>,
    /// Where the mask goes: .nii or .nii.gz.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where it also goes as DICOM SEG that refers to the series: .dcm.
    #[arg(long, value_name = "FILE")]
    pub seg: Option<PathBuf>,
}

/// A scan that was read.
#[derive(Debug)]
pub struct Scan {
    /// Its intensities.
    pub volume: Volume,
    /// The series, where it is DICOM.
    pub series: Option<DicomSeries>,
}

impl ScanOptions {
    /// Reads the scan, and checks that masks of it can be written: that is told before the work, not after it.
    ///
    /// # Errors
    /// If the scan cannot be read, a name cannot be written, or DICOM SEG is wanted of what is no DICOM.
    pub fn read(&self) -> Result<Scan> {
        sam_data::check_output(&self.out)?;
        let shown = self.image.display();
        if is_dicom(&self.image) {
            let (volume, series) = sam_data::read_dicom(&self.image, self.series.as_deref())?;
            if let Some(seg) = &self.seg {
                check_segmentation(seg)?;
            }
            return Ok(Scan { volume, series: Some(series) });
        }
        ensure!(self.seg.is_none(), "--seg refers to a DICOM series, but {shown} is none: leave it out");
        ensure!(self.series.is_none(), "--series chooses a DICOM series, but {shown} is none: leave it out");
        Ok(Scan { volume: sam_data::read_volume(&self.image)?, series: None })
    }

    /// Reads a label map of the scan.
    ///
    /// # Errors
    /// If it cannot be read, or does not lie on the scan's grid.
    pub fn read_labels(&self, path: &Path, scan: &Scan) -> Result<LabelVolume> {
        let labels = sam_data::read_labels(path)?;
        if let Err(mismatch) = scan.volume.grid.compare(&labels.grid, GRID_TOLERANCE_MM) {
            bail!("{} does not lie on the grid of {}: {mismatch}", path.display(), self.image.display());
        }
        Ok(labels)
    }

    /// The scan's name: that of its file or folder.
    pub fn name(&self) -> String {
        self.image.file_name().map_or_else(|| "scan".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Writes a mask of the scan wherever it is wanted, and says where.
    ///
    /// # Errors
    /// As [`ScanOptions::save`].
    pub fn write(
        &self,
        labels: ArrayView3<'_, u16>,
        scan: &Scan,
        segments: &[Segment],
        description: &str,
    ) -> Result<()> {
        for path in self.save(labels, scan, segments, description)? {
            println!("Wrote {}", path.display());
        }
        Ok(())
    }

    /// Writes a mask of the scan wherever it is wanted, and gives the paths; where there is a field for it, with a few words of where it
    /// comes from.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(
        &self,
        labels: ArrayView3<'_, u16>,
        scan: &Scan,
        segments: &[Segment],
        description: &str,
    ) -> Result<Vec<&Path>> {
        sam_data::write_labels(&self.out, labels, &scan.volume)?;
        let mut written = vec![self.out.as_path()];
        if let (Some(path), Some(series)) = (&self.seg, &scan.series) {
            sam_data::write_segmentation(path, labels, series, segments, description)
                .with_context(|| format!("the mask is in {}, but not in DICOM SEG", self.out.display()))?;
            written.push(path);
        }
        Ok(written)
    }
}

impl Scan {
    /// Which scan it is, wherever it lies.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn identity(&self, options: &ScanOptions) -> Result<ScanIdentity> {
        Ok(ScanIdentity { name: options.name(), sha256: self.sha256(options)?, grid: self.volume.grid.clone() })
    }

    /// SHA-256 of the scan's file; of several, of their SHA-256s in the order of the slices.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn sha256(&self, options: &ScanOptions) -> Result<ObjectId> {
        let files = match &self.series {
            Some(series) => series.files(),
            None => sam_data::nifti_files(&options.image),
        };
        let hash = |path: &Path| ObjectId::of_file(path).with_context(|| format!("cannot read {}", path.display()));
        match &files[..] {
            [file] => hash(file),
            files => {
                let hashes = files.iter().map(|file| Ok(hash(file)?.to_string()));
                Ok(ObjectId::of(hashes.collect::<Result<Vec<_>>>()?.join("\n").as_bytes()))
            }
        }
    }
}

/// A folder is a series, and so is a file that says so.
fn is_dicom(path: &Path) -> bool {
    let mut start = [0; 132];
    let is_filled = File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok());
    path.is_dir() || is_filled && start.ends_with(b"DICM")
}

fn check_segmentation(path: &Path) -> Result<()> {
    ensure!(
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dcm")),
        "{} must end in .dcm",
        path.display()
    );
    Ok(sam_data::check_folder(path)?)
}

#[cfg(test)]
mod tests {
    use sam_data::PhantomConfig;

    use super::*;

    #[test]
    fn a_scan_is_known_by_its_content() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("scan.nii.gz");
        let phantom = PhantomConfig { shape: [12, 10, 4], ..PhantomConfig::default() }.generate();
        sam_data::write_volume(&image, &phantom.volume).expect("a writable folder");
        let mut options = ScanOptions { image, series: None, out: folder.path().join("mask.nii.gz"), seg: None };
        let scan = options.read().expect("it was written");
        assert!(scan.series.is_none() && scan.volume.grid.shape == [12, 10, 4]);
        options.write(phantom.labels.labels.view(), &scan, &[], "").expect("a writable folder");

        options.seg = Some(folder.path().join("mask.dcm"));
        assert!(options.read().expect_err("no DICOM").to_string().contains("--seg"));
        // A folder is taken for a series, and says what it lacks.
        options.image = folder.path().to_path_buf();
        assert!(options.read().expect_err("no DICOM").to_string().contains("looked for DICOM images"));
        assert!(check_segmentation(Path::new("mask.nii")).is_err());
        assert!(check_segmentation(Path::new("no-such-folder/mask.dcm")).is_err());
    }
}
