//! A DICOM series as NIfTI, and a mask of it as NIfTI and DICOM SEG.
//!
//! ```text
//! cargo run --release -p sam-data --example dicom -- SERIES OUT
//! ```
//!
//! SERIES is a folder, OUT a folder, too, which is made: it will hold `image.nii.gz`, `mask.nii.gz` and `mask.dcm`. The mask has no
//! meaning: "bright" is the brightest tenth of the intensities' range, "dark" the darkest.

use std::{error::Error, path::PathBuf};

use sam_data::{Segment, read_dicom, sam_files::OutputPlan, write_labels, write_segmentation, write_volume};

type Written = Result<(), Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, out] = &*arguments else { return Err("expected two folders: SERIES OUT".into()) };
    let [image, mask, segmentation] = ["image.nii.gz", "mask.nii.gz", "mask.dcm"].map(|name| out.join(name));
    let plan = OutputPlan::new().input("SERIES", folder).folder(out);
    let plan = [&image, &mask, &segmentation].into_iter().fold(plan, |plan, path| plan.output("a file of OUT", path));
    plan.check()?;
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
    let segments = [segment(1, "bright"), segment(3, "dark")];
    let outputs = plan.open()?;
    outputs.stage(&image, |staged| Written::Ok(write_volume(staged, &volume)?))?;
    outputs.stage(&mask, |staged| Written::Ok(write_labels(staged, labels.view(), &volume)?))?;
    outputs.stage(&segmentation, |staged| {
        let told = write_segmentation(staged, labels.view(), &series, &segments, "")?;
        for note in told {
            eprintln!("{note}");
        }
        Written::Ok(())
    })?;
    outputs.publish()?;
    Ok(())
}
