//! Options of the scan and of the output mask.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use sam_annotate::Output;
use sam_data::{LabelVolume, Scan, ScanConfig};
use serde::Serialize;

use crate::{console::Console, exit::Failure, progress::ProgressBars};

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
        let config = self.series.iter().fold(ScanConfig::default(), |config, uid| config.with_series(uid));
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

    /// Reads a label map on the scan's grid.
    ///
    /// # Errors
    /// If it cannot be read, or is not on the scan's grid.
    pub fn read_labels(scan: &Scan, path: impl AsRef<Path>) -> Result<LabelVolume> {
        Ok(scan.read_labels(path)?)
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
        let options = ScanOptions { image, series: Vec::new(), out: PathBuf::new(), seg: None };
        let scan = options.read(&Console::plain())?;
        let check = |out: PathBuf| ScanOptions { out, ..options.clone() }.output(&scan, &[]);
        let error = check(folder.path().join("./scan.nii.gz")).expect_err("it is the scan").to_string();
        assert!(error.contains("--out would overwrite --image"), "{error}");
        check(folder.path().join("mask.nii.gz"))?;
        assert!(check(folder.path().join("mask.png")).is_err());
        assert!(ScanOptions { series: vec!["1.2".to_owned()], ..options }.read(&Console::plain()).is_err());
        Ok(())
    }
}
