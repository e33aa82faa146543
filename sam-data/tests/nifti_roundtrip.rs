//! Volumes compared with nibabel, and masks compared with the headers that they must keep.
//!
//! `generate_nifti_fixtures.py` makes `fixtures/` and its `expected.json`.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ndarray::{Array3, ShapeBuilder};
use proptest::prelude::*;
use sam_data::{
    DataError, Grid, NonFinite, ReadOptions, Volume, read_labels, read_volume, read_volume_with, write_labels,
    write_volume,
};
use sam_prompt::error_chain;
use serde::Deserialize;
use tempfile::TempDir;

/// The content of a file as nibabel reads it.
#[derive(Deserialize)]
struct Expected {
    file: String,
    shape: Vec<usize>,
    affine: [[f64; 4]; 4],
    /// First index fastest.
    voxels: Vec<f64>,
}

impl Expected {
    fn all() -> Vec<Self> {
        let text = fs::read_to_string(fixture("expected.json")).expect("a committed file");
        serde_json::from_str(&text).expect("what the generator writes")
    }

    fn volumes(&self) -> usize {
        self.shape.iter().skip(3).product()
    }

    /// One volume as this crate should read it.
    fn volume(&self, time: usize) -> (Grid, Array3<f32>) {
        let side = |axis: usize| self.shape.get(axis).copied().unwrap_or(1);
        let shape = [side(0), side(1), side(2)];
        let length: usize = shape.iter().product();
        let voxels = self.voxels[time * length..(time + 1) * length].iter().map(|&voxel| voxel as f32).collect();
        let voxels =
            Array3::from_shape_vec((shape[0], shape[1], shape[2]).f(), voxels).expect("as many as the shape needs");
        (Grid::new(shape, self.affine), voxels)
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).expect("a committed file")
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).expect("a gzip stream");
    content
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Writes bytes to a file and reads it as a volume.
fn read_bytes(folder: &TempDir, bytes: &[u8]) -> Result<Volume, DataError> {
    let path = folder.path().join("scan.nii");
    fs::write(&path, bytes).expect("a writable folder");
    read_volume(&path)
}

fn refusal(folder: &TempDir, bytes: &[u8]) -> String {
    error_chain(&read_bytes(folder, bytes).expect_err("it must be refused"))
}

/// A fixture with some of its bytes replaced.
fn altered(name: &str, position: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes_of(name);
    bytes[position..position + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn every_type_order_and_affine_reads_as_in_nibabel() {
    let folder = folder();
    let all = Expected::all();
    assert!(all.len() > 40);
    for expected in &all {
        let plain = fixture(&expected.file);
        // The name says uncompressed, but the content is gzip: the content decides.
        let gzip = folder.path().join(&expected.file);
        fs::write(&gzip, packed(&bytes_of(&expected.file))).expect("a writable folder");
        for path in [&plain, &gzip] {
            for time in 0..expected.volumes() {
                let options = ReadOptions::default().with_volume_index(time);
                let volume = read_volume_with(path, &options).expect("nibabel reads it, too");
                let (grid, voxels) = expected.volume(time);
                assert_eq!(volume.voxels, voxels, "{}", expected.file);
                // Both compute in f64 from the same f32 fields, but with another order of operations for the quaternion.
                grid.compare(&volume.grid, 1e-6).unwrap_or_else(|mismatch| panic!("{}: {mismatch}", expected.file));
            }
        }
    }
}

#[test]
fn masks_keep_every_other_byte_of_the_header() {
    let folder = folder();
    // Data type and bits, slope and intercept, display range.
    let rewritten_in = |version: usize, position: usize| match version {
        2 => matches!(position, 12..16 | 176..208),
        _ => matches!(position, 70..74 | 112..120 | 124..132),
    };
    for expected in Expected::all().iter().filter(|expected| expected.volumes() == 1) {
        let source = bytes_of(&expected.file);
        let volume = read_volume(fixture(&expected.file)).expect("nibabel reads it, too");
        for highest in [1_u16, 255, 256, 65535] {
            let labels = Array3::from_shape_fn(volume.voxels.dim(), |(i, j, _)| if i > j { highest } else { 0 });
            let mut contents = Vec::new();
            for name in ["mask.nii", "mask.nii.gz"] {
                let path = folder.path().join(name);
                write_labels(&path, labels.view(), &volume).expect("a writable folder");
                let back = read_labels(&path).expect("a mask");
                assert_eq!((&back.labels, &back.grid), (&labels, &volume.grid), "{}", expected.file);
                contents.push(fs::read(&path).expect("just written"));
            }
            assert_eq!(contents[0], unpacked(&contents[1]));
            let mask = &contents[0];
            let data = mask.len() - labels.len() * if highest > 255 { 2 } else { 1 };
            let version = if expected.file.starts_with("nifti2") { 2 } else { 1 };
            let rewritten = |position: usize| rewritten_in(version, position);
            // A fourth dimension of one volume is dropped.
            let kept = |position: usize| !rewritten(position) && (position != 40 || expected.shape.len() <= 3);
            for position in (0..data).filter(|&position| kept(position)) {
                assert_eq!(mask[position], source[position], "byte {position} of {}", expected.file);
            }
        }
    }
}

#[test]
fn a_mask_of_one_of_several_volumes_is_three_dimensional() {
    let folder = folder();
    let path = fixture("three_volumes.nii");
    let refused = read_volume(&path).expect_err("three volumes").to_string();
    assert!(refused.contains("3 volumes"), "{refused}");
    let beyond = read_volume_with(&path, &ReadOptions::default().with_volume_index(3));
    assert!(matches!(beyond, Err(DataError::NoSuchVolume { asked: 3, found: 3, .. })));
    let volume = read_volume_with(&path, &ReadOptions::default().with_volume_index(2)).expect("the last one");
    let mask = folder.path().join("mask.nii");
    write_labels(&mask, volume.voxels.mapv(|voxel| u16::from(voxel > 0.0)).view(), &volume).expect("a writable folder");
    let bytes = fs::read(&mask).expect("just written");
    assert_eq!(bytes[40..56], [3, 0, 2, 0, 3, 0, 2, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
    assert_eq!(read_labels(&mask).expect("a mask").grid, volume.grid);
}

/// Splits a single file into a header pair.
fn write_pair(folder: &TempDir, name: &str, pack: bool) {
    let mut header = bytes_of(name);
    let (length, magic) = if name.starts_with("nifti2") { (540, 5) } else { (348, 345) };
    let mut voxels = header.split_off(length);
    let extensions =
        if name == "extension.nii" { voxels.drain(..36).collect() } else { voxels.drain(..4).collect::<Vec<_>>() };
    header[magic] = b'i';
    if length == 348 {
        header[108..112].fill(0);
    } else {
        header[168..176].fill(0);
    }
    if name == "int16_be.nii" {
        // The voxels of a pair may begin at any offset.
        header[108..112].copy_from_slice(&24_f32.to_be_bytes());
        voxels.splice(0..0, [77; 24]);
    }
    header.extend(extensions);
    let write = |half: &str, bytes: &[u8]| {
        let (ending, bytes) = if pack { (".gz", packed(bytes)) } else { ("", bytes.to_vec()) };
        fs::write(folder.path().join(format!("{half}{ending}")), bytes)
    };
    write("scan.hdr", &header).and_then(|()| write("scan.img", &voxels)).expect("a writable folder");
}

#[test]
fn a_pair_reads_as_a_single_file_and_its_mask_is_one() {
    for name in ["int16_le.nii", "int16_be.nii", "oblique.nii", "extension.nii", "nifti2_le.nii", "nifti2_be.nii"] {
        let single = read_volume(fixture(name)).expect("a committed file");
        for (pack, halves) in [(false, ["scan.hdr", "scan.img"]), (true, ["scan.hdr.gz", "scan.img.gz"])] {
            let folder = folder();
            write_pair(&folder, name, pack);
            for half in halves {
                let volume = read_volume(folder.path().join(half)).expect("a pair");
                assert_eq!((&volume.voxels, &volume.grid), (&single.voxels, &single.grid), "{name} {half}");
                // The mask of the pair equals the mask of the single file, byte for byte.
                let labels = single.voxels.mapv(|voxel| u16::from(voxel > 0.0));
                let masks = [("of_pair.nii", &volume), ("of_single.nii", &single)].map(|(mask, image)| {
                    let path = folder.path().join(mask);
                    write_labels(&path, labels.view(), image).expect("a writable folder");
                    fs::read(path).expect("just written")
                });
                assert_eq!(masks[0], masks[1], "{name} {half}");
            }
        }
    }
}

#[test]
fn half_a_pair_says_what_is_missing() {
    let folder = folder();
    write_pair(&folder, "int16_le.nii", false);
    fs::remove_file(folder.path().join("scan.img")).expect("just written");
    let message = error_chain(&read_volume(folder.path().join("scan.hdr")).expect_err("half a pair"));
    assert!(message.contains("scan.hdr") && message.contains(".img.gz") && message.contains("copy"), "{message}");
}

#[test]
fn a_mask_of_another_shape_and_an_unknown_ending_are_refused() {
    let folder = folder();
    let mut volume = read_volume(fixture("las.nii")).expect("a committed file");
    let labels = Array3::<u16>::zeros((2, 3, 5));
    let path = folder.path().join("mask.nii");
    assert!(matches!(write_labels(&path, labels.view(), &volume), Err(DataError::Shape { .. })));
    // A changed grid no longer fits the header.
    volume.grid.shape = [2, 3, 5];
    assert!(matches!(write_labels(&path, labels.view(), &volume), Err(DataError::Shape { .. })));
    let fresh = Volume::new(Array3::zeros((2, 3, 5)), volume.grid.affine);
    let refused = write_labels(folder.path().join("mask.png"), labels.view(), &fresh).expect_err("no NIfTI name");
    assert!(refused.to_string().contains(".nii.gz"), "{refused}");
    let wide = Volume::new(Array3::zeros((40_000, 1, 1)), volume.grid.affine);
    assert!(matches!(write_volume(&path, &wide), Err(DataError::Sides { .. })));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was left behind");
}

#[test]
fn a_written_volume_is_read_back() {
    let folder = folder();
    let (sine, cosine) = 0.3_f64.sin_cos();
    let straight = [[-2.0, 0.0, 0.0, 10.0], [0.0, 3.0, 0.0, -20.0], [0.0, 0.0, 5.0, 30.0], [0.0, 0.0, 0.0, 1.0]];
    let turned =
        [[2.0 * cosine, -3.0 * sine, 0.0, 10.0], [2.0 * sine, 3.0 * cosine, 0.0, -20.0], straight[2], straight[3]];
    for affine in [straight, turned] {
        for factor in [1.0_f32, 0.37] {
            let voxels = Array3::from_shape_fn((4, 3, 2), |(i, j, k)| (100 * i + 10 * j + k) as f32 * factor - 150.0);
            let volume = Volume::new(voxels, affine);
            let path = folder.path().join("scan.nii.gz");
            write_volume(&path, &volume).expect("a writable folder");
            let back = read_volume(&path).expect("just written");
            assert_eq!(back.voxels, volume.voxels);
            volume.grid.compare(&back.grid, 1e-4).expect("the same grid");
            // Without its sform, the file has the same affine from its qform.
            let mut bytes = unpacked(&fs::read(&path).expect("just written"));
            bytes[254] = 0;
            volume.grid.compare(&read_bytes(&folder, &bytes).expect("a qform").grid, 1e-4).expect("the same grid");
        }
    }
}

#[test]
fn damaged_headers_are_refused_in_words() {
    let folder = folder();
    let cases: [(Vec<u8>, &str); 12] = [
        (altered("las.nii", 0, &[0; 4]), "a NIfTI file"),
        (altered("nifti2_le.nii", 4, b"n+1\0"), "NIfTI-2"),
        (altered("las.nii", 344, b"ni1\0"), ".img.gz"),
        (altered("las.nii", 344, b"abc\0"), "magic \"abc"),
        (altered("las.nii", 70, &128_i16.to_le_bytes()), "Rgb24"),
        (altered("las.nii", 70, &32_i16.to_le_bytes()), "Complex64"),
        (altered("las.nii", 70, &1536_i16.to_le_bytes()), "Float128"),
        (altered("las.nii", 70, &9999_i16.to_le_bytes()), "unknown"),
        (altered("las.nii", 40, &8_i16.to_le_bytes()), "1 to 7 dimensions"),
        (altered("las.nii", 44, &(-3_i16).to_le_bytes()), "-3 along dimension 2"),
        (altered("las.nii", 108, &0_f32.to_le_bytes()), "352"),
        (altered("las.nii", 280, &f32::NAN.to_le_bytes()), "finite"),
    ];
    for (bytes, word) in cases {
        let message = refusal(&folder, &bytes);
        assert!(message.contains(word) && message.contains("scan.nii"), "{word}: {message}");
    }
    let intercept = [1_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    assert!(refusal(&folder, &altered("las.nii", 112, &intercept)).contains("intercept"));
}

#[test]
fn sizes_beyond_the_file_are_refused_without_taking_memory() {
    let folder = folder();
    // The header announces 32767³ voxels: 32 TiB.
    let huge = altered("las.nii", 42, &[0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f]);
    for (bytes, most) in [(packed(&huge), "hold at most"), (huge, "found 24")] {
        let message = refusal(&folder, &bytes);
        assert!(
            message.contains("truncated") && message.contains("35181150961663") && message.contains(most),
            "{message}"
        );
    }
    // Sides of 64 bits: one whose file size is still valid, and larger ones.
    for (side, word) in [(1_i64 << 55, "truncated"), (1 << 60, "size that exists"), (i64::MAX, "size that exists")] {
        let huge = altered("nifti2_le.nii", 24, &side.to_le_bytes());
        for bytes in [packed(&huge), huge] {
            let message = refusal(&folder, &bytes);
            assert!(message.contains(word), "{message}");
        }
    }
}

#[test]
fn any_truncation_and_any_flipped_voxel_of_a_packed_file_is_noticed() {
    let folder = folder();
    let plain = bytes_of("int16_be.nii");
    let gzip = packed(&plain);
    for whole in [&plain, &gzip] {
        assert!(read_bytes(&folder, whole).is_ok());
        for length in 0..whole.len() {
            assert!(read_bytes(&folder, &whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }
    // Damages the checksum and the length after the compressed data.
    for position in gzip.len() - 8..gzip.len() {
        let mut damaged = gzip.clone();
        damaged[position] ^= 0x10;
        let message = refusal(&folder, &damaged);
        assert!(message.contains("damaged"), "{message}");
    }
}

#[test]
fn voxels_that_are_no_numbers_are_counted_or_replaced() {
    let folder = folder();
    let mut bytes = bytes_of("float32_le.nii");
    bytes[352 + 4 * 3..352 + 4 * 4].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes[352 + 4 * 9..352 + 4 * 10].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let message = refusal(&folder, &bytes);
    assert!(message.contains("2 voxel(s)") && message.contains("[1, 1, 0]"), "{message}");
    let options = ReadOptions::default().with_non_finite(NonFinite::Replace(-1024.0));
    let volume = read_volume_with(folder.path().join("scan.nii"), &options).expect("they are replaced");
    assert_eq!((volume.voxels[(1, 1, 0)], volume.voxels[(1, 1, 1)]), (-1024.0, -1024.0));
}

#[test]
fn labels_are_whole_numbers_from_0_to_65535() {
    let folder = folder();
    let path = folder.path().join("mask.nii");
    let read = |values: [f32; 24]| {
        let mut bytes = bytes_of("float32_le.nii");
        bytes.truncate(352);
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        fs::write(&path, bytes).expect("a writable folder");
        read_labels(&path)
    };
    let mut values = [0.0; 24];
    (values[2], values[3]) = (65535.0, 7.0);
    let labels = read(values).expect("whole numbers").labels;
    assert_eq!((labels[(0, 1, 0)], labels[(1, 1, 0)]), (65535, 7));
    for odd in [0.5, -1.0, 65536.0, f32::NAN, f32::INFINITY] {
        values[3] = odd;
        let message = read(values).expect_err("no label").to_string();
        assert!(message.contains("[1, 1, 0]") && message.contains("65535"), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Reading random bytes returns; it never panics.
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let folder = folder();
        prop_assert!(read_bytes(&folder, &bytes).is_err());
        prop_assert!(read_bytes(&folder, &packed(&bytes)).is_err());
    }

    /// Valid files in which a few header bytes are overwritten.
    #[test]
    fn altered_headers_never_panic(changes in prop::collection::vec((0_usize..352, any::<u8>()), 1..8), big: bool) {
        let folder = folder();
        let mut bytes = bytes_of(if big { "int16_be.nii" } else { "int16_le.nii" });
        for (position, value) in changes {
            bytes[position] = value;
        }
        if let Ok(volume) = read_bytes(&folder, &bytes) {
            let labels = volume.voxels.mapv(|_| 1);
            prop_assert!(write_labels(folder.path().join("mask.nii"), labels.view(), &volume).is_ok());
        }
        let _ = read_labels(folder.path().join("scan.nii"));
    }
}
