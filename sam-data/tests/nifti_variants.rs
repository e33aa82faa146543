//! Sound files as other tools write them: each is read, or refused with a way on.

use std::fs;

use ndarray::Array3;
use proptest::prelude::*;
use sam_data::{
    AffineForm, DataError, NiftiNote, NonFinite, ReadOptions, Scan, ScanConfig, ScanNote, SliceAxis, SlicePlane,
    VolumeReader, read_labels, read_mask, read_volume, read_volume_noted, read_volume_with,
};
use sam_prompt::{error_chain, progress::ignore_progress};
use sam_testing::TestResult;
use tempfile::TempDir;

use crate::built::{Built, F32, F64, I16, ROWS, U8, packed};

/// A folder with one file.
fn folder_with(name: &str, bytes: &[u8]) -> std::io::Result<(TempDir, std::path::PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    fs::write(&path, bytes)?;
    Ok((folder, path))
}

fn open(path: &std::path::Path, config: &ScanConfig) -> Result<Scan, DataError> {
    Ok(Scan::open_observed(path, config, &mut ignore_progress())?.expect("nothing stops it"))
}

fn notes_of(scan: &Scan) -> Vec<&NiftiNote> {
    let nifti = scan.notes().iter().map(|note| if let ScanNote::Nifti { note, .. } = note { Some(note) } else { None });
    nifti.flatten().collect()
}

#[test]
fn zeros_after_a_gzip_stream_are_padding_and_other_bytes_a_note() -> TestResult {
    let plain = Built::new(&[2, 3, 4], U8).sform(ROWS).with(&(0..24).collect::<Vec<u8>>());
    let two_members = [packed(&plain[..360]), packed(&plain[360..])].concat();
    // More than what is read at once.
    let (zeros, lines) = (vec![0; 300_000], vec![b'\n'; 300_000]);
    for stream in [packed(&plain), two_members] {
        for (tail, foreign) in [
            (&b""[..], None),
            (&[0], None),
            (&zeros, None),
            (b"x", Some(1)),
            (b"\0\0\0\x1f\x8b", Some(5)),
            (&lines, Some(300_000)),
        ] {
            let (_folder, path) = folder_with("scan.nii.gz", &[&stream[..], tail].concat())?;
            let scan = Scan::open(&path, None)?;
            assert!((scan.volume().voxels[(1, 2, 3)] - 23.0).abs() < f32::EPSILON);
            let expected = foreign.map(|bytes| NiftiNote::AfterGzip { bytes });
            assert_eq!(notes_of(&scan), expected.iter().collect::<Vec<_>>());
            assert_eq!(VolumeReader::open(&path)?.notes(), scan.notes());
            assert_eq!(read_labels(&path)?.labels[(1, 2, 3)], 23);
        }
        // What is missing in the stream is not in the bytes behind it.
        let (_folder, path) = folder_with("scan.nii.gz", &[packed(&plain[..370]), vec![0; 100]].concat())?;
        assert!(matches!(read_volume(&path), Err(DataError::Truncated { expected: 24, found: 18, .. })));
    }
    Ok(())
}

#[test]
fn voxels_that_are_no_numbers_get_the_lowest_intensity() -> TestResult {
    let mut values = [3.5_f32; 24];
    (values[0], values[7], values[9], values[23]) = (f32::NAN, f32::NEG_INFINITY, -1000.0, f32::INFINITY);
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let plain = Built::new(&[2, 3, 4], F32).sform(ROWS).with(&bytes);
    for (name, bytes) in [("scan.nii", plain.clone()), ("scan.nii.gz", packed(&plain))] {
        let (_folder, path) = folder_with(name, &bytes)?;
        let scan = Scan::open(&path, None)?;
        let expected = values.map(|value| if value.is_finite() { value } else { -1000.0 });
        assert!(scan.volume().voxels.t().iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6));
        assert_eq!(notes_of(&scan), [&NiftiNote::NonFinite { count: 3, first: [0, 0, 0], value: -1000.0 }]);
        assert!(scan.notes()[0].to_string().contains("3 voxel(s) are NaN or infinite"), "{}", scan.notes()[0]);
        let chosen = open(&path, &ScanConfig::default().with_nan(7.0))?;
        assert!((chosen.volume().voxels[(0, 0, 0)] - 7.0).abs() < f32::EPSILON && chosen.notes().is_empty());
        assert!(matches!(open(&path, &ScanConfig::default().with_nan(f32::NAN)), Err(DataError::NonFinite { .. })));
        // Single slices have the lowest intensity of the whole volume.
        let options = ReadOptions::default().with_non_finite(NonFinite::Lowest);
        let mut reader = VolumeReader::open_with(&path, &options)?;
        for axis in [SliceAxis::I, SliceAxis::J, SliceAxis::K] {
            let plane = SlicePlane::new(scan.grid(), axis);
            for index in 0..plane.count() {
                assert_eq!(reader.slice(&plane, index)?, plane.extract(scan.volume().voxels.view(), index));
            }
        }
        assert!(matches!(read_volume(&path), Err(DataError::NonFinite { count: 3, .. })), "no note, so no value");
    }
    let (_folder, path) = folder_with("scan.nii", &Built::new(&[1, 1, 2], F32).sform(ROWS).with(&[0xff; 8]))?;
    assert!(matches!(Scan::open(&path, None), Err(DataError::NonFinite { count: 2, .. })), "there is no lowest");
    Ok(())
}

#[test]
fn an_sform_without_an_inverse_gives_way_to_the_qform() -> TestResult {
    let header = Built::new(&[2, 3, 4], U8);
    let flat = [ROWS[0], ROWS[0], ROWS[2]];
    let nan = [[f32::NAN; 4]; 3];
    for sform in [[[0.0; 4]; 3], flat, nan] {
        let with = header.clone().sform(sform).qform([2.0, 2.0, 5.0], [0.0; 3], [-159.0, -79.0, -27.5]);
        let (_folder, path) = folder_with("scan.nii", &with.with(&[1; 24]))?;
        let scan = Scan::open(&path, None)?;
        let expected = ROWS.map(|row| row.map(f64::from));
        assert_eq!(scan.grid().affine[..3], expected);
        assert!(matches!(notes_of(&scan)[..], [NiftiNote::UnusableSform { .. }]), "{:?}", scan.notes());
        let said = scan.notes()[0].to_string();
        assert!(said.contains("scan.nii") && said.contains("sform") && said.contains("qform"), "{said}");

        let (_folder, path) = folder_with("scan.nii", &header.clone().sform(sform).with(&[1; 24]))?;
        for refused in [Scan::open(&path, None).map(drop), read_labels(&path).map(drop)] {
            let refused = error_chain(&refused.expect_err("it says nowhere where it lies"));
            assert!(refused.contains("scan.nii does not say where its voxels lie"), "{refused}");
            assert!(refused.contains("found an sform with") && refused.contains("no qform"), "{refused}");
        }
    }
    // A qform with a quaternion that is no rotation, and no sform.
    let long = header.qform([2.0, 2.0, 5.0], [2.0, 0.0, 0.0], [0.0; 3]);
    let (_folder, path) = folder_with("scan.nii", &long.with(&[1; 24]))?;
    let refused = error_chain(&read_volume(&path).expect_err("no rotation"));
    assert!(refused.contains("no sform") && refused.contains("longer than 1"), "{refused}");
    Ok(())
}

#[test]
fn dimensions_beyond_the_third_may_be_0() -> TestResult {
    for sides in [&[2, 3, 4, 0][..], &[2, 3, 4, 1, 0], &[2, 3, 4, 0, 0, 0, 0]] {
        let (folder, path) = folder_with("scan.nii", &Built::new(sides, U8).sform(ROWS).with(&[1; 24]))?;
        let scan = Scan::open(&path, None)?;
        assert_eq!(scan.grid().shape, [2, 3, 4]);
        let mask = folder.path().join("mask.nii");
        scan.write_labels(&mask, Array3::ones((2, 3, 4)).view())?;
        assert_eq!(scan.read_labels(&mask)?.0.labels, Array3::<u16>::ones((2, 3, 4)));
    }
    let (_folder, path) = folder_with("scan.nii", &Built::new(&[2, 3, 0], U8).sform(ROWS).with(&[1; 24]))?;
    assert!(error_chain(&read_volume(&path).expect_err("no slices")).contains("0 along dimension 3"));
    Ok(())
}

#[test]
fn one_of_several_volumes_is_chosen() -> TestResult {
    let voxels: Vec<u8> = (0..48).collect();
    let (_folder, path) = folder_with("scan.nii", &Built::new(&[2, 3, 4, 2], U8).sform(ROWS).with(&voxels))?;
    let refused = Scan::open(&path, None).expect_err("two volumes").to_string();
    assert!(refused.contains("2 volumes") && refused.contains("choose one from 1 to 2"), "{refused}");
    let [first, second] = [0, 1].map(|index| open(&path, &ScanConfig::default().with_volume_index(index)));
    let (first, second) = (first?, second?);
    assert!((second.volume().voxels[(0, 0, 0)] - 24.0).abs() < f32::EPSILON);
    assert_ne!(first.identity()?, second.identity()?, "the volume is a part of what a scan is");
    let json = serde_json::to_string(&second.identity()?)?;
    assert!(json.ends_with("\"volume_index\":1}"), "{json}");
    let beyond = open(&path, &ScanConfig::default().with_volume_index(2)).expect_err("two volumes").to_string();
    assert!(beyond.contains("counted from 1, but volume 3"), "{beyond}");
    let labels = read_labels(&path).expect_err("two volumes").to_string();
    assert!(labels.contains("a label map of one volume") && !labels.contains("--"), "{labels}");
    Ok(())
}

#[test]
fn files_of_other_formats_are_named_with_what_to_do() -> TestResult {
    for (name, start, word, advice) in [
        ("outlines.seg.nrrd", &b"NRRD0004\n# Complete NRRD"[..], "an NRRD file", "Export to files, as NIfTI"),
        ("outlines.mha", b"ObjectType = Image\nNDims = 3\n", "MetaImage", "ITK-SNAP"),
        ("outlines.zip", b"PK\x03\x04\x14\0\0\0", "zip", "unpack it"),
        ("outlines.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG", "3D Slicer"),
        ("outlines.mgh", b"\0\0\0\x01\0\0\x01\0", "MGH", "mri_convert"),
        ("scan.nii.gz", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    ] {
        for (is_packed, bytes) in [(false, start.to_vec()), (true, packed(start))] {
            let (_folder, path) = folder_with(name, &bytes)?;
            for refused in [read_labels(&path).map(drop), read_volume(&path).map(drop)] {
                let refused = refused.expect_err("no NIfTI").to_string();
                assert!(refused.contains(name) && refused.contains(word) && refused.contains(advice), "{refused}");
                assert_eq!(refused.contains("gzip of"), is_packed, "{refused}");
            }
        }
    }
    let (_folder, path) = folder_with("mask.png", b"NRRD0004\n")?;
    let refused = error_chain(&read_mask(&path).expect_err("no image"));
    assert!(refused.contains("it is an NRRD file, but an image is wanted"), "{refused}");
    Ok(())
}

#[test]
fn a_file_that_announces_more_than_it_can_hold_is_refused_before_it_is_unpacked() -> TestResult {
    // 16 KiB of zeros in a few bytes, which announce 4 TB.
    let header = Built::new(&[i16::MAX, i16::MAX, 4096], U8).sform(ROWS);
    let (_folder, path) = folder_with("scan.nii.gz", &packed(&header.with(&[0; 16 << 10])))?;
    for refused in [read_volume(&path).map(drop), read_labels(&path).map(drop), VolumeReader::open(&path).map(drop)] {
        let refused = refused.expect_err("4 TB").to_string();
        assert!(refused.contains("4397778079744 bytes of voxels") && refused.contains("hold at most"), "{refused}");
    }
    // As many zeros as gzip can pack are read.
    let sound = Built::new(&[256, 256, 64], U8).sform(ROWS);
    let (_folder, path) = folder_with("scan.nii.gz", &packed(&sound.with(&vec![0; 256 * 256 * 64])))?;
    assert!(read_volume(&path).is_ok());
    Ok(())
}

#[test]
fn plain_readers_take_the_same_files_and_return_the_notes() -> TestResult {
    let header = Built::new(&[2, 3, 4], U8).sform([[0.0; 4]; 3]).qform([1.0; 3], [0.0; 3], [0.0; 3]);
    let (_folder, path) = folder_with("scan.nii", &header.with(&[1; 24]))?;
    let (volume, notes) = read_volume_noted(&path, &ReadOptions::default())?;
    assert_eq!((volume.clone(), notes.len()), (read_volume_with(&path, &ReadOptions::default())?, 1));
    assert_eq!(AffineForm::Qform.to_string(), "qform");
    Ok(())
}

proptest! {
    /// Tools store label maps as 8-bit numbers with a slope in 32 bits, or scale them with it and store the result in 64 bits.
    #[test]
    fn labels_are_whole_up_to_the_rounding_of_a_slope(label in 1_u16.., parts in 1_u8.., offset in 0_u16..100) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("labels.nii");
        let label = label.max(1);
        let slope = (f64::from(label) / f64::from(parts)) as f32;
        let mut voxels = [0; 24];
        voxels[5] = parts;
        let read = |bytes: Vec<u8>| {
            fs::write(&path, bytes).expect("a writable folder");
            read_labels(&path).map(|found| found.labels[(1, 2, 0)])
        };
        let scaled = Built::new(&[2, 3, 4], U8).sform(ROWS).scaled(slope, 0.0);
        prop_assert_eq!(read(scaled.with(&voxels)).expect("whole"), label);
        // The same label with an intercept, so that background is not 0.
        if let Some(moved) = label.checked_add(offset) {
            let scaled = Built::new(&[2, 3, 4], U8).sform(ROWS).scaled(slope, f32::from(offset));
            prop_assert_eq!(read(scaled.with(&voxels)).expect("whole"), moved);
        }
        let value = f64::from(parts) * f64::from(slope);
        let values: Vec<u8> = voxels.iter().flat_map(|&part| if part == 0 { 0.0 } else { value }.to_le_bytes()).collect();
        prop_assert_eq!(read(Built::new(&[2, 3, 4], F64).sform(ROWS).with(&values)).expect("whole"), label);
        // Half a label is none.
        let half = Built::new(&[2, 3, 4], I16).sform(ROWS).scaled(0.5, 0.0);
        let voxels: Vec<u8> = (0..24).flat_map(|_| (2 * (label as i16 / 2) + 1).to_le_bytes()).collect();
        let is_refused = matches!(read(half.with(&voxels)), Err(DataError::NoLabel { .. }));
        prop_assert!(is_refused);
    }
}
