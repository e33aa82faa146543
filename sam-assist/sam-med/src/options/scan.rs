//! Options of the scan and of the output mask.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use sam_annotate::Output;
use sam_data::{DataError, DicomError, LabelVolume, Scan, ScanConfig, nifti_files};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

use super::{OutputOptions, VoxelOptions, read_scan, voxels::hinted};
use crate::console::Console;

/// Which scan is read, and how.
#[derive(Debug, Clone, Args, Serialize)]
pub struct InputOptions {
    /// The scan: .nii, .nii.gz, or a DICOM folder or multi-frame file
    #[arg(long, value_name = "PATH")]
    pub image: LossyPath,
    /// UID of the DICOM series; repeat it, or `all`, for a volume of several
    #[arg(long, value_name = "UID", value_delimiter = ',')]
    pub series: Vec<String>,
    /// Distances in mm of DICOM images without a position: X,Y,Z or one for all
    #[arg(long, value_name = "MM", value_parser = spacing)]
    pub spacing: Option<Spacing>,
    /// Which voxels are read, and how.
    #[command(flatten)]
    #[serde(flatten)]
    pub voxels: VoxelOptions,
}

/// Which scan, and where its mask is written.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Scan and mask")]
pub struct ScanOptions {
    /// Which scan is read, and how.
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
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

/// Adds the option that helps to the error of a DICOM series that cannot be read. Only commands with these options have this hint.
fn with_hint(error: anyhow::Error) -> anyhow::Error {
    if let Some(DataError::NotDicom { .. }) = error.downcast_ref() {
        return hinted(&error, "leave out --series and --spacing");
    }
    let hint = match error.chain().find_map(|cause| cause.downcast_ref()) {
        Some(DicomError::SeveralSeries { .. } | DicomError::NoSuchSeries { .. }) => {
            "--series UID chooses one; repeated, or as --series all, it reads several as one volume"
        }
        Some(DicomError::UnknownSeries(_)) => "--series UID leaves it out",
        Some(DicomError::NotPlaced { .. } | DicomError::NoPosition { .. }) => "--spacing gives them",
        Some(DicomError::SpacingKnown) => "leave out --spacing",
        _ => return error,
    };
    hinted(&error, hint)
}

/// Distances in mm between columns, between rows and between slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Spacing(pub [f64; 3]);

/// Parses three distances, or one that holds for all axes.
fn spacing(text: &str) -> std::result::Result<Spacing, String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let distances = match numbers.as_deref() {
        Some(&[all]) => Some([all; 3]),
        Some(&[x, y, z]) => Some([x, y, z]),
        _ => None,
    };
    let is_distance = |distance: &f64| distance.is_finite() && *distance > 0.0;
    let distances = distances.filter(|distances| distances.iter().all(is_distance));
    distances.map(Spacing).ok_or_else(|| "expected one or three numbers of mm above 0, such as 0.3,0.3,1".to_owned())
}

impl InputOptions {
    /// Reads the scan. The console shows the number of files read of a series, and then the notes on the scan.
    ///
    /// # Errors
    /// If it cannot be read, or `--series` or `--spacing` is given for a scan that is not DICOM. [`Failure::Stopped`](crate::exit::Failure).
    pub fn read(&self, console: &Console) -> Result<Scan> {
        let config = self.series.iter().fold(self.voxels.config(), ScanConfig::with_series);
        let config = match self.spacing {
            Some(Spacing(spacing)) => config.with_spacing(spacing),
            None => config,
        };
        read_scan(&self.image, &config, console).map_err(with_hint)
    }

    /// Adds the scan to the inputs of a plan, as far as the command line tells its files.
    pub fn plan(&self, plan: OutputPlan) -> OutputPlan {
        if self.image.is_dir() {
            plan.input("--image", &self.image)
        } else {
            plan.inputs("--image", nifti_files(&self.image))
        }
    }
}

impl ScanOptions {
    /// Reads the scan, as [`InputOptions::read`], and shows the notes on its DICOM SEG.
    ///
    /// # Errors
    /// As [`InputOptions::read`], and if `--seg` is given for a scan whose images a DICOM SEG cannot refer to.
    pub fn read(&self, console: &Console) -> Result<Scan> {
        let scan = self.input.read(console)?;
        if self.seg.is_some() {
            scan.segmentation_notes()?.iter().for_each(|note| console.note(note));
        }
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
        self.input.plan(self.outputs.plan(console))
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
        let (voxels, outputs) = (VoxelOptions::default(), OutputOptions::default());
        let input = InputOptions { image, series: Vec::new(), spacing: None, voxels };
        let options = ScanOptions { input: input.clone(), out, seg: None, outputs };
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
        assert!(InputOptions { series: vec!["1.2".to_owned()], ..input.clone() }.read(&Console::plain()).is_err());
        let spacing = Some(Spacing([1.0; 3]));
        assert!(InputOptions { spacing, ..input }.read(&Console::plain()).is_err());
        let seg = Some(LossyPath::from(folder.path().join("mask.dcm")));
        assert!(ScanOptions { seg, ..options }.read(&Console::plain()).is_err());
        Ok(())
    }

    #[test]
    fn distances_are_one_or_three_positive_numbers() {
        assert_eq!(spacing("0.5"), Ok(Spacing([0.5; 3])));
        assert_eq!(spacing("0.5, 0.25,3"), Ok(Spacing([0.5, 0.25, 3.0])));
        for text in ["", "0", "-1", "1,2", "1,2,3,4", "1,x,3", "nan", "inf,1,1"] {
            assert!(spacing(text).is_err(), "{text}");
        }
        // The form in which a record keeps it, and --config gives it back.
        assert_eq!(serde_json::to_string(&Spacing([0.5, 0.25, 3.0])).ok().as_deref(), Some("[0.5,0.25,3.0]"));
    }
}
