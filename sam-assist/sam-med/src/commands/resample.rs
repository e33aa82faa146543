//! `sam-med resample`: writes a scan, or a label map of it, on a grid at right angles.
//!
//! The slices of a CT with a tilted gantry are sheared. NIfTI can hold such a grid, and masks keep it, but programs on ITK open images at
//! right angles alone.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use sam_data::{Grid, LabelVolume, Scan, check_output, write_labels_on, write_volume};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

use crate::{
    console::Console,
    options::{InputOptions, OutputOptions, ScanOptions, with_record},
    record,
};

/// Write a scan on a grid at right angles, for programs that do not open sheared slices (tilted gantry).
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Intensities are interpolated linearly, labels by the nearest voxel; outside the scan are its lowest
intensity and the label 0. Annotate on the scan itself: masks of the resampled scan lie on its new grid.
Writes the options to a record beside the new file: NAME.json.

Examples:
  sam-med resample --image dicom-folder --out upright.nii.gz
  sam-med resample --image dicom-folder --labels mask.nii.gz --out upright-mask.nii.gz")]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    input: InputOptions,
    /// A label map of the scan, to write it in place of the intensities: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    labels: Option<LossyPath>,
    /// The file to write: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    out: LossyPath,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// Resamples a scan or its label map.
///
/// # Errors
/// If an input cannot be read, the label map is not on the scan's grid, or the output would overwrite an input or cannot be written.
/// [`Failure::Stopped`](crate::exit::Failure).
pub fn run(options: &Options, console: &Console) -> Result<()> {
    check_output(&options.out)?;
    let (plan, record) = options.plan(console);
    plan.check()?;
    let scan = options.input.read(console)?;
    let grid = scan.grid().right_angled()?;
    let labels = options.labels.as_ref().map(|path| ScanOptions::read_labels(&scan, path, console)).transpose()?;
    let outputs = plan.inputs("--image", scan.files()).open()?;
    outputs.stage(&options.out, |staged| write(staged, &scan, labels.as_ref(), &grid))?;
    outputs.publish_with_record(record, record::saved_options("resample", options)?)?;
    console.result(&ResampleReport { shape: grid.shape, spacing_mm: grid.spacing(), written: options.out.clone() })
}

impl Options {
    /// What is read and written, as far as the command line tells, and the path of the record.
    fn plan(&self, console: &Console) -> (OutputPlan, PathBuf) {
        let plan = self.input.plan(self.outputs.plan(console));
        with_record(plan.inputs("--labels", &self.labels).output("--out", &self.out), &self.out)
    }
}

/// Writes the label map if there is one, and the scan otherwise.
fn write(path: &Path, scan: &Scan, labels: Option<&LabelVolume>, grid: &Grid) -> Result<()> {
    if let Some(labels) = labels {
        return Ok(write_labels_on(path, labels.resampled(grid)?.labels.view(), grid, None)?);
    }
    let lowest = scan.volume().voxels.iter().copied().fold(f32::INFINITY, f32::min);
    Ok(write_volume(path, &scan.volume().resampled(grid, lowest)?)?)
}

/// The result of `resample`.
#[derive(Debug, Serialize)]
struct ResampleReport {
    shape: [usize; 3],
    spacing_mm: [f64; 3],
    written: LossyPath,
}

impl fmt::Display for ResampleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape.map(|side| side.to_string()).join(" x ");
        let spacing = self.spacing_mm.map(|distance| format!("{distance:.3}")).join(" x ");
        write!(f, "Wrote {}: {shape} voxels of {spacing} mm", self.written.display())
    }
}
