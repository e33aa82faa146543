//! Options of the scan and of the output mask.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use sam_annotate::Output;
use sam_data::{LabelVolume, Scan, nifti_files};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

use super::OutputOptions;
use crate::{console::Console, exit::Failure, progress::ProgressBars};

/// Which scan, and where its mask is written.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Scan and mask")]
pub struct ScanOptions {
    /// The scan: .nii, .nii.gz, or a DICOM folder or multi-frame file
    #[arg(long, value_name = "PATH")]
    pub image: LossyPath,
    /// Series Instance UID, if the folder has several DICOM series
    #[arg(long, value_name = "UID")]
    pub series: Option<String>,
    /// The mask to write: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    pub out: LossyPath,
    /// Also write it as DICOM SEG of the series: .dcm
    #[arg(long, value_name = "FILE")]
    pub seg: Option<LossyPath>,
    /// What happens to files that exist already.
    #[command(flatten)]
    #[serde(skip_serializing)]
    pub outputs: OutputOptions,
}

impl ScanOptions {
    /// Reads the scan. The console shows the number of files read of a series.
    ///
    /// # Errors
    /// If it cannot be read, or `--series` is given for a scan that is not DICOM. [`Failure::Stopped`].
    pub fn read(&self, console: &Console) -> Result<Scan> {
        let mut bars = ProgressBars::new(console);
        let scan = Scan::open_observed(&self.image, self.series.as_deref(), &mut |progress| match progress.total {
            1 => console.flow(),
            _ => bars.show("files", progress),
        });
        Ok(scan?.ok_or(Failure::Stopped("nothing was written"))?)
    }

    /// Reads a label map on the scan's grid.
    ///
    /// # Errors
    /// If it cannot be read, or is not on the scan's grid.
    pub fn read_labels(scan: &Scan, path: impl AsRef<Path>) -> Result<LabelVolume> {
        Ok(scan.read_labels(path)?)
    }

    /// The mask's files, not checked yet.
    pub fn output(&self) -> Output {
        let output = Output::new(&self.out);
        self.seg.iter().fold(output, Output::with_segmentation)
    }

    /// What is read and written, as far as the command line tells. Check it before the scan is read.
    pub fn plan(&self, console: &Console) -> OutputPlan {
        self.output().plan(self.inputs(console))
    }

    /// A plan that has the scan as its input, and no outputs yet.
    pub fn inputs(&self, console: &Console) -> OutputPlan {
        let plan = self.outputs.plan(console);
        if self.image.is_dir() {
            plan.input("--image", &self.image)
        } else {
            plan.inputs("--image", nifti_files(&self.image))
        }
    }
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
        let (image, out) = (LossyPath::from(image), LossyPath::from(folder.path().join("mask.nii.gz")));
        let options = ScanOptions { image, series: None, out, seg: None, outputs: OutputOptions::default() };
        let scan = options.read(&Console::plain())?;
        let check = |out: &str| -> Result<()> {
            let options = ScanOptions { out: folder.path().join(out).into(), ..options.clone() };
            options.plan(&Console::plain()).check()?;
            Ok(options.output().check(&scan)?)
        };
        let error = check("./scan.nii.gz").expect_err("it is the scan").to_string();
        assert!(error.contains("--out would overwrite --image"), "{error}");
        check("mask.nii.gz")?;
        assert!(check("mask.png").is_err());
        assert!(ScanOptions { series: Some("1.2".to_owned()), ..options }.read(&Console::plain()).is_err());
        Ok(())
    }
}
