//! A label map on the grid of a scan, as other tools saved it: with its axes in another order, cropped, or on the scan's other form.
//!
//! ```sh
//! cargo run --release -p sam-data --example labels -- scan.nii.gz outlines.nii.gz fitted.nii.gz
//! ```
//!
//! Labels are moved, but never resampled. What was done is printed.

use std::error::Error;

use sam_data::{Scan, nifti_files, sam_files::OutputPlan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scan, map, out] = &*arguments else {
        return Err("usage: labels SCAN LABEL_MAP OUTPUT".into());
    };
    let plan = OutputPlan::new().inputs("SCAN", nifti_files(scan)).inputs("LABEL_MAP", nifti_files(map));
    let outputs = plan.output("OUTPUT", out).open()?;
    let scan = Scan::open(scan, None)?;
    let (labels, notes) = scan.read_labels(map)?;
    for note in scan.notes().iter().chain(&notes) {
        println!("{note}");
    }
    outputs.write_now(out, |staged| Ok::<_, Box<dyn Error>>(scan.write_labels(staged, labels.labels.view())?))?;
    println!("{out}: {} label(s)", labels.values().len());
    Ok(())
}
