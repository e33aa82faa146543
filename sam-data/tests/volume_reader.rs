//! Slices from `VolumeReader` compared with slices of the whole volume.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use ndarray::Array3;
use sam_data::{
    DataError, NonFinite, ReadOptions, SliceAxis, SlicePlane, VolumeReader, read_volume_with, write_labels,
    write_labels_on,
};

const CUTS: [SliceAxis; 6] =
    [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal, SliceAxis::I, SliceAxis::J, SliceAxis::K];

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = fs::read_dir(folder).expect("a committed folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "nii")).collect()
}

#[test]
fn every_slice_is_the_one_of_the_whole_volume() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in fixtures() {
        let gzip = folder.path().join("scan.nii.gz");
        let mut encoder = GzEncoder::new(fs::File::create(&gzip).expect("a writable folder"), Compression::default());
        encoder
            .write_all(&fs::read(&path).expect("a committed file"))
            .and_then(|()| encoder.finish().map(drop))
            .expect("space");
        let last = if path.ends_with("three_volumes.nii") { 2 } else { 0 };
        for path in [&path, &gzip] {
            let options = ReadOptions::default().with_volume_index(last);
            let volume = read_volume_with(path, &options).expect("a committed file");
            let mut reader = VolumeReader::open_with(path, &options).expect("a committed file");
            assert_eq!((reader.grid(), Some(reader.header())), (&volume.grid, volume.header.as_ref()));
            for axis in CUTS {
                let plane = SlicePlane::new(&volume.grid, axis);
                // Reads backwards and then forwards, so that bands are dropped and read again.
                for index in (0..plane.count()).rev().chain(0..plane.count()) {
                    let slice = reader.slice(&plane, index).expect("it was read before");
                    assert_eq!(slice, plane.extract(volume.voxels.view(), index), "{} {axis}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_mask_leaves_as_it_would_with_the_whole_volume() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in fixtures() {
        let options = ReadOptions::default().with_volume_index(0);
        let volume = read_volume_with(&path, &options).expect("a committed file");
        let reader = VolumeReader::open_with(&path, &options).expect("a committed file");
        let labels = volume.voxels.mapv(|voxel| u16::from(voxel > 10.0));
        let masks = ["whole.nii", "slices.nii"].map(|name| folder.path().join(name));
        write_labels(&masks[0], labels.view(), &volume).expect("a writable folder");
        write_labels_on(&masks[1], labels.view(), reader.grid(), Some(reader.header())).expect("a writable folder");
        assert_eq!(fs::read(&masks[0]).expect("just written"), fs::read(&masks[1]).expect("just written"));
        let other = Array3::zeros((1, 1, 1));
        let refused = write_labels_on(&masks[1], other.view(), reader.grid(), Some(reader.header()));
        assert!(matches!(refused, Err(DataError::Shape { .. })));
    }
}

#[test]
fn voxels_that_are_no_numbers_are_met_with_their_slice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("scan.nii");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/float32_le.nii");
    let mut bytes = fs::read(fixture).expect("a committed file");
    // Voxel [1, 1, 1] of a volume of 2 x 3 x 4 becomes NaN.
    bytes[352 + 4 * 9..352 + 4 * 10].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("a writable folder");
    for axis in [SliceAxis::I, SliceAxis::J, SliceAxis::K] {
        let mut reader = VolumeReader::open(&path).expect("a header");
        let plane = SlicePlane::new(reader.grid(), axis);
        assert!(reader.slice(&plane, 0).is_ok());
        let met = reader.slice(&plane, 1).expect_err("a voxel is NaN");
        assert!(matches!(met, DataError::NonFinite { count: 1, first: [1, 1, 1], .. }), "{met}");
        let options = ReadOptions::default().with_non_finite(NonFinite::Replace(-7.0));
        let mut reader = VolumeReader::open_with(&path, &options).expect("a header");
        let slice = reader.slice(&plane, 1).expect("it is replaced");
        assert!(slice.iter().any(|voxel| (voxel + 7.0).abs() < f32::EPSILON));
    }
}
