//! A first mask: every voxel at or above an intensity, on the scan's own grid and with its header.
//!
//! ```sh
//! cargo run --release -p sam-data --example threshold -- 200 masks scan.nii.gz other.hdr
//! ```
//!
//! writes `masks/scan.nii.gz` and `masks/other.nii.gz`: bone and contrast, if the scans are CT. Of a file with several volumes the last
//! is taken. Scans are read slice by slice.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use sam_data::{
    DataError, ReadOptions, SliceAxis, SlicePlane, VolumeReader, ndarray::Array3, nifti_files, sam_files::OutputPlan,
    write_labels_on,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [intensity, out, scans @ ..] = &*arguments else {
        return Err("usage: threshold INTENSITY OUTPUT_FOLDER SCAN...".into());
    };
    let intensity: f32 = intensity.parse()?;
    std::fs::create_dir_all(out)?;
    for scan in scans {
        let mask = Path::new(out).join(stem(Path::new(scan))).with_added_extension("nii.gz");
        // Refuses to replace the scan, or a file of others.
        let outputs = OutputPlan::new().inputs("SCAN", nifti_files(scan)).output("the mask", &mask).open()?;
        let mut share = 0.0;
        outputs.write_now(&mask, |staged| {
            share = threshold(Path::new(scan), intensity, staged)?;
            Ok::<_, Box<dyn Error>>(())
        })?;
        println!("{}: {:.1} % of the voxels", mask.display(), 100.0 * share);
    }
    Ok(())
}

/// Writes the mask of a scan and returns its share of the volume.
fn threshold(scan: &Path, intensity: f32, mask: &Path) -> Result<f64, DataError> {
    let mut reader = match VolumeReader::open(scan) {
        Err(DataError::SeveralVolumes { found, .. }) => {
            VolumeReader::open_with(scan, &ReadOptions::default().with_volume_index(found - 1))
        }
        outcome => outcome,
    }?;
    let plane = SlicePlane::new(reader.grid(), SliceAxis::K);
    let mut labels = Array3::<u16>::zeros(reader.grid().shape);
    let mut inside = 0;
    for index in 0..plane.count() {
        let slice = reader.slice(&plane, index)?.mapv(|voxel| u16::from(voxel >= intensity));
        inside += slice.iter().filter(|&&label| label == 1).count();
        plane.insert(&mut labels, index, slice.view());
    }
    write_labels_on(mask, labels.view(), reader.grid(), Some(reader.header()))?;
    Ok(inside as f64 / labels.len() as f64)
}

/// A scan's name without its endings.
fn stem(scan: &Path) -> PathBuf {
    let name = scan.file_name().map(PathBuf::from).unwrap_or_default();
    let packed = name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    if packed { name.with_extension("").with_extension("") } else { name.with_extension("") }
}
