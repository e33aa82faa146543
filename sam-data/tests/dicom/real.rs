//! A real series, if available: T2-weighted MR of the `PROSTATEx` collection, 19 slices.

use sam_data::{Segment, read_dicom, write_segmentation};

#[test]
#[ignore = "needs SAM_MED_DATA: scans of others are not in the repository"]
fn a_series_of_a_scanner() {
    let (volume, series) =
        read_dicom(crate::data_folder().join("prostatex0000_t2_dicom"), None).expect("a series without fault");
    assert_eq!(volume.grid.shape, [384, 384, 19]);
    assert_eq!(series.modality, "MR");
    let spacing = volume.grid.spacing();
    assert!(
        spacing.iter().zip([0.5, 0.5, 3.0]).all(|(found, expected)| (found - expected).abs() < 1e-3),
        "{spacing:?}"
    );
    let brightest = volume.voxels.iter().copied().fold(0.0, f32::max);
    assert!((100.0..5000.0).contains(&brightest), "{brightest}");

    let labels = volume.voxels.mapv(|voxel| u16::from(voxel > 0.5 * brightest));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let segment = Segment::new(1, "bright");
    write_segmentation(folder.path().join("mask.dcm"), labels.view(), &series, &[segment], "")
        .expect("a writable folder");
}
