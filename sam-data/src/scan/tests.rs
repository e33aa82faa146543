use super::*;
use crate::{LabelVolume, PhantomConfig, error::error_chain, write_volume};

fn phantom() -> crate::Phantom {
    PhantomConfig::default().with_shape([12, 10, 4]).generate()
}

#[test]
fn a_nifti_scan_has_a_name_an_identity_and_label_maps() -> Result<(), DataError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [image, mask] = ["scan.nii.gz", "mask.nii.gz"].map(|name| folder.path().join(name));
    let phantom = phantom();
    write_volume(&image, &phantom.volume)?;
    let scan = Scan::open(&image, None)?;
    assert!(!scan.is_dicom());
    let identity = scan.identity()?;
    assert_eq!(identity.name, "scan.nii.gz");
    assert_eq!(identity.sha256, Sha256Id::of_file(&image)?);
    assert_eq!(identity.grid.shape, [12, 10, 4]);
    let json = serde_json::to_string(&identity).expect("plain data");
    assert!(json.starts_with("{\"name\":\"scan.nii.gz\",\"sha256\":\""), "as sessions store it: {json}");
    assert_eq!(serde_json::from_str::<ScanIdentity>(&json).expect("just written"), identity);

    scan.write_labels(&mask, phantom.labels.labels.view())?;
    let (labels, notes) = scan.read_labels(&mask)?;
    assert_eq!((labels.labels, &labels.grid, notes), (phantom.labels.labels.clone(), scan.grid(), Vec::new()));
    let mut moved = phantom.volume.clone();
    moved.grid.affine[0][3] += 0.11 * moved.grid.spacing()[0];
    write_labels(&mask, phantom.labels.labels.view(), &moved)?;
    let elsewhere = scan.read_labels(&mask).expect_err("more than a tenth of a voxel away");
    assert!(error_chain(&elsewhere).contains("origin"), "{}", error_chain(&elsewhere));
    let _: LabelVolume = crate::read_labels(&mask)?;
    assert!(matches!(Scan::open(&image, Some("1.2.3")), Err(DataError::NotDicom { .. })));
    assert!(matches!(Scan::open(folder.path().join("missing.nii"), None), Err(DataError::Read { .. })));
    Ok(())
}

#[test]
fn a_scan_in_memory_has_voxels_but_no_identity() {
    let phantom = phantom();
    let scan = Scan::in_memory("phantom", phantom.volume.clone());
    assert_eq!((scan.name().as_str(), scan.volume().as_ref()), ("phantom", &phantom.volume));
    assert!(scan.files().is_empty() && !scan.is_dicom());
    let refused = scan.identity().expect_err("no file").to_string();
    assert!(refused.contains("phantom") && refused.contains("write_volume"), "{refused}");
}

#[test]
fn a_pair_is_known_by_both_files() -> Result<(), DataError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [single, header, voxels] = ["scan.nii", "scan.hdr", "scan.img"].map(|name| folder.path().join(name));
    write_volume(&single, &phantom().volume)?;
    let mut bytes = std::fs::read(&single).expect("just written");
    std::fs::write(&voxels, bytes.split_off(352)).expect("a writable folder");
    bytes[344..348].copy_from_slice(b"ni1\0");
    bytes[108..112].copy_from_slice(&0.0_f32.to_le_bytes());
    std::fs::write(&header, &bytes).expect("a writable folder");
    let scan = Scan::open(&header, None)?;
    assert_eq!(scan.files(), [header.clone(), voxels.clone()]);
    let both = format!("{}\n{}", Sha256Id::of_file(&header)?, Sha256Id::of_file(&voxels)?);
    assert_eq!(scan.sha256()?, Sha256Id::of(both));
    Ok(())
}

#[cfg(feature = "dicom")]
#[test]
fn dicom_seg_needs_a_series() -> Result<(), DataError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("scan.nii");
    let phantom = phantom();
    write_volume(&image, &phantom.volume)?;
    let scan = Scan::open(&image, None)?;
    let seg = folder.path().join("mask.dcm");
    let refused = scan.check_segmentation_output(&seg).expect_err("no DICOM");
    assert!(refused.to_string().contains("no DICOM series, but DICOM SEG refers to one"), "{refused}");
    assert!(scan.write_segmentation(&seg, phantom.labels.labels.view(), &[], "").is_err());
    // A folder is read as a DICOM series, and the error says what is missing.
    let empty = Scan::open(folder.path(), None).expect_err("no DICOM");
    assert!(error_chain(&empty).contains("looked for DICOM images"), "{}", error_chain(&empty));
    assert!(crate::check_segmentation_output("mask.nii").is_err());
    assert!(crate::check_segmentation_output("no-such-folder/mask.dcm").is_err());
    Ok(())
}

#[cfg(not(feature = "dicom"))]
#[test]
fn without_the_feature_a_folder_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = Scan::open(folder.path(), None).expect_err("no DICOM").to_string();
    assert!(refused.contains("its feature `dicom`"), "{refused}");
}
