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
use sam_data::{check_output, write_labels_on, write_volume};
use serde::Serialize;

use crate::{
    console::Console,
    exit::Failure,
    options::{Spacing, is_same_file, read_scan, scan_config, spacing},
};

/// Write a scan on a grid at right angles, for programs that do not open sheared slices (tilted gantry).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Intensities are interpolated linearly, labels by the nearest voxel; outside the scan are its lowest
intensity and the label 0. Annotate on the scan itself: masks of the resampled scan lie on its new grid.

Examples:
  sam-med resample --image dicom-folder --out upright.nii.gz
  sam-med resample --image dicom-folder --labels mask.nii.gz --out upright-mask.nii.gz")]
pub struct Options {
    /// The scan: .nii, .nii.gz, or a DICOM folder or multi-frame file
    #[arg(long, value_name = "PATH")]
    image: PathBuf,
    /// DICOM series to read, by its UID; repeat it, or `all`, for a volume of several series
    #[arg(long, value_name = "UID", value_delimiter = ',')]
    series: Vec<String>,
    /// Distances in mm of DICOM images without a position: X,Y,Z or one for all
    #[arg(long, value_name = "MM", value_parser = spacing)]
    spacing: Option<Spacing>,
    /// A label map of the scan, to write it in place of the intensities: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The file to write: .nii or .nii.gz
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Resamples a scan or its label map.
///
/// # Errors
/// If an input cannot be read, the label map is not on the scan's grid, or the output would overwrite an input or cannot be written.
/// [`Failure::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let Options { image, series, spacing, labels, out } = options;
    let inputs: [(_, Option<&Path>); 2] = [("--image", Some(image)), ("--labels", labels.as_deref())];
    for (option, input) in inputs {
        if let Some(input) = input.filter(|input| is_same_file(input, out)) {
            let input = input.display();
            return Err(Failure::usage(format_args!("--out would overwrite {option} {input}: choose another name")));
        }
    }
    check_output(out)?;
    let scan = read_scan(image, &scan_config(series, *spacing), console)?;
    let grid = scan.grid().right_angled()?;
    if let Some(labels) = labels {
        let upright = scan.read_labels(labels)?.resampled(&grid)?;
        write_labels_on(out, upright.labels.view(), &grid, None)?;
    } else {
        let lowest = scan.volume().voxels.iter().copied().fold(f32::INFINITY, f32::min);
        write_volume(out, &scan.volume().resampled(&grid, lowest)?)?;
    }
    console.result(&ResampleReport { shape: grid.shape, spacing_mm: grid.spacing(), written: out.clone() })
}

/// The result of `resample`.
#[derive(Debug, Serialize)]
struct ResampleReport {
    shape: [usize; 3],
    spacing_mm: [f64; 3],
    written: PathBuf,
}

impl fmt::Display for ResampleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape.map(|side| side.to_string()).join(" x ");
        let spacing = self.spacing_mm.map(|distance| format!("{distance:.3}")).join(" x ");
        write!(f, "Wrote {}: {shape} voxels of {spacing} mm", self.written.display())
    }
}
