//! A scan at another spacing, about the same centre, or on another scan's grid.
//!
//! ```sh
//! cargo run --release -p sam-data --example resample -- scan.nii.gz 1.0 isotropic.nii.gz
//! cargo run --release -p sam-data --example resample -- scan.nii.gz 0.8,0.8,3 scan-3mm.nii.gz
//! cargo run --release -p sam-data --example resample -- isotropic.nii.gz scan.nii.gz back.nii.gz
//! ```
//!
//! Intensities are interpolated linearly; beyond the scan they are its lowest.

use std::{error::Error, path::Path};

use sam_data::{Grid, VolumeReader, nifti_files, read_volume, sam_files::OutputPlan, write_volume};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scan, onto, out] = &*arguments else {
        return Err("usage: resample SCAN SPACING|SCAN OUTPUT".into());
    };
    let plan = OutputPlan::new().inputs("SCAN", nifti_files(scan)).inputs("the grid", nifti_files(onto));
    let outputs = plan.output("OUTPUT", out).open()?;
    let scan = read_volume(Path::new(scan))?;
    let grid = match spacing(onto) {
        Some(spacing) => scan.grid.with_spacing(spacing)?,
        None => VolumeReader::open(Path::new(onto))?.grid().clone(),
    };
    let lowest = scan.voxels.iter().copied().fold(f32::INFINITY, f32::min);
    let resampled = scan.resampled(&grid, lowest)?;
    outputs.write_now(out, |staged| Ok::<_, Box<dyn Error>>(write_volume(staged, &resampled)?))?;
    println!("{out}: {}, before {}", describe(&grid), describe(&scan.grid));
    Ok(())
}

/// One number for all axes or one for each.
fn spacing(text: &str) -> Option<[f64; 3]> {
    let numbers = text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<Vec<f64>>>()?;
    match *numbers {
        [all] => Some([all; 3]),
        [i, j, k] => Some([i, j, k]),
        _ => None,
    }
}

fn describe(grid: &Grid) -> String {
    let sides = grid.shape.map(|side| side.to_string()).join(" x ");
    format!("{sides} voxels of {} mm", grid.spacing().map(|size| format!("{size:.3}")).join(" x "))
}
