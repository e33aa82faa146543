//! Options of the scan and of the output mask.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use sam_annotate::Output;
use sam_data::{LabelVolume, Scan, ScanConfig};
use serde::{Serialize, Serializer};

use crate::{console::Console, exit::Failure, progress::ProgressBars};

/// Which voxels of a NIfTI file are read, and how.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct VoxelOptions {
    /// Volume of a NIfTI file with a fourth dimension, counted from 1
    #[arg(long, value_name = "N", requires = "image")]
    #[serde(rename = "volume_index", serialize_with = "index")]
    pub volume: Option<NonZeroUsize>,
    /// Intensity of voxels that are NaN or infinite, in place of the lowest
    #[arg(long, value_name = "VALUE", requires = "image", allow_hyphen_values = true, value_parser = finite)]
    pub nan: Option<f32>,
}

impl VoxelOptions {
    /// The config of a scan, without a DICOM series.
    pub fn config(&self) -> ScanConfig {
        let config = ScanConfig::default();
        let config = self.volume.map_or(config.clone(), |volume| config.with_volume_index(volume.get() - 1));
        self.nan.map_or(config.clone(), |nan| config.with_nan(nan))
    }
}

/// Saves a number that is counted from 1 as an index, which is counted from 0.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn index<S: Serializer>(number: &Option<NonZeroUsize>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    number.map(|number| number.get() - 1).serialize(serializer)
}

/// A number that is neither NaN nor infinite.
fn finite(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| "expected a finite number, such as -1024".to_owned())
}

/// Which scan, and where its mask is written.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Scan and mask")]
pub struct ScanOptions {
    /// The scan: .nii, .nii.gz, or a DICOM folder or multi-frame file
    #[arg(long, value_name = "PATH")]
    pub image: PathBuf,
    /// Series Instance UID, if the folder has several DICOM series; repeated, they make one volume
    #[arg(long, value_name = "UID", value_delimiter = ',')]
    pub series: Vec<String>,
    /// Which voxels are read, and how.
    #[command(flatten)]
    #[serde(flatten)]
    pub voxels: VoxelOptions,
    /// The mask to write: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Also write it as DICOM SEG of the series: .dcm
    #[arg(long, value_name = "FILE")]
    pub seg: Option<PathBuf>,
}

impl ScanOptions {
    /// Reads the scan. The console shows the number of files read of a series, and then the notes on the scan.
    ///
    /// # Errors
    /// If it cannot be read, or `--series` is given for a scan that is not DICOM. [`Failure::Stopped`].
    pub fn read(&self, console: &Console) -> Result<Scan> {
        let config = self.series.iter().fold(self.voxels.config(), ScanConfig::with_series);
        let mut bars = ProgressBars::new(console);
        let scan = Scan::open_observed(&self.image, &config, &mut |progress| match progress.total {
            1 => console.flow(),
            _ => bars.show("files", progress),
        });
        let scan = scan?.ok_or(Failure::Stopped("nothing was written"))?;
        bars.clear();
        scan.notes().iter().for_each(|note| console.note(note));
        Ok(scan)
    }

    /// Reads a label map on the scan's grid, and shows the notes on it.
    ///
    /// # Errors
    /// If it cannot be read, or its voxels do not lie on those of the scan.
    pub fn read_labels(scan: &Scan, path: impl AsRef<Path>, console: &Console) -> Result<LabelVolume> {
        let (labels, notes) = scan.read_labels(path)?;
        for note in &notes {
            console.note(note);
        }
        Ok(labels)
    }

    /// The output, checked before the work: file names are valid, folders exist, and no input is overwritten.
    ///
    /// # Errors
    /// If the mask cannot be written under this name, DICOM SEG is requested for a scan that is not DICOM, or the scan or a file of
    /// `inputs` would be overwritten.
    pub fn output(&self, scan: &Scan, inputs: &[(&'static str, &Path)]) -> Result<Output> {
        for (option, input) in [("--image", self.image.as_path())].iter().chain(inputs) {
            for (written, path) in [("--out", Some(&self.out)), ("--seg", self.seg.as_ref())] {
                if path.is_some_and(|path| is_same_file(path, input)) {
                    return Err(Failure::usage(format_args!(
                        "{written} would overwrite {option} {}: choose another name for the mask",
                        input.display()
                    )));
                }
            }
        }
        let output = Output::new(&self.out);
        let output = if let Some(seg) = &self.seg { output.with_segmentation(seg) } else { output };
        output.check(scan)?;
        Ok(output)
    }
}

/// Whether two paths lead to the same existing file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(Path::canonicalize);
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use sam_data::PhantomConfig;

    use super::*;

    #[test]
    fn a_mask_never_replaces_what_it_is_made_from() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("scan.nii.gz");
        let phantom = PhantomConfig::default().with_shape([12, 10, 4]).generate();
        sam_data::write_volume(&image, &phantom.volume)?;
        let options =
            ScanOptions { image, series: Vec::new(), voxels: VoxelOptions::default(), out: PathBuf::new(), seg: None };
        let scan = options.read(&Console::plain())?;
        let check = |out: PathBuf| ScanOptions { out, ..options.clone() }.output(&scan, &[]);
        let error = check(folder.path().join("./scan.nii.gz")).expect_err("it is the scan").to_string();
        assert!(error.contains("--out would overwrite --image"), "{error}");
        check(folder.path().join("mask.nii.gz"))?;
        assert!(check(folder.path().join("mask.png")).is_err());
        assert!(ScanOptions { series: vec!["1.2".to_owned()], ..options }.read(&Console::plain()).is_err());
        Ok(())
    }

    #[test]
    fn volumes_are_counted_from_1_by_people_and_from_0_in_files() -> Result<()> {
        let options = VoxelOptions { volume: NonZeroUsize::new(3), nan: Some(-1024.0) };
        assert_eq!(serde_json::to_string(&options)?, r#"{"volume_index":2,"nan":-1024.0}"#);
        assert_eq!(options.config(), ScanConfig::default().with_volume_index(2).with_nan(-1024.0));
        assert_eq!(VoxelOptions::default().config(), ScanConfig::default());
        assert!(finite("NaN").is_err() && finite("inf").is_err() && finite("-1e3").is_ok());
        Ok(())
    }
}
