//! A DICOM series as NIfTI, and a mask of it as NIfTI and DICOM SEG.
//!
//! ```text
//! cargo run --release -p sam-data --example dicom -- SERIES OUT
//! ```
//!
//! SERIES is a folder, OUT a folder, too, which is made: it will hold `image.nii.gz`, `mask.nii.gz` and `mask.dcm`. The mask has no
//! meaning: "bright" is the brightest tenth of the intensities' range, "dark" the darkest.

use std::{error::Error, fs, path::PathBuf};

use sam_data::{Segment, read_dicom, write_labels, write_segmentation, write_volume};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, out] = &*arguments else { return Err("expected two folders: SERIES OUT".into()) };
    let (volume, series) = read_dicom(folder, None)?;
    series.notes().iter().for_each(|note| eprintln!("{note}"));
    println!(
        "{} \"{}\": {:?} voxels of {:?} mm",
        series.modality,
        series.description,
        volume.grid.shape,
        volume.grid.spacing()
    );
    let lowest = volume.voxels.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = volume.voxels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let tenth = (highest - lowest) / 10.0;
    let labels = volume.voxels.mapv(|voxel| match voxel {
        bright if bright > highest - tenth => 1,
        dark if dark < lowest + tenth => 3,
        _ => 0,
    });
    let segment = |value, name| Segment::new(value, name);
    fs::create_dir_all(out)?;
    write_volume(out.join("image.nii.gz"), &volume)?;
    write_labels(out.join("mask.nii.gz"), labels.view(), &volume)?;
    let segments = [segment(1, "bright"), segment(3, "dark")];
    let told = write_segmentation(out.join("mask.dcm"), labels.view(), &series, &segments, "")?;
    for note in told {
        eprintln!("{note}");
    }
    Ok(())
}
