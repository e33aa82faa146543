//! The fuzz targets. To add a reader, add a line to [`TARGETS`]: its valid files, how they are damaged, and the reader.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt};
use sam_data::{
    DataError, LabelTable, NonFinite, ReadOptions, SliceAxis, SlicePlane, VolumeReader, read_image, read_labels,
    read_volume_with, write_labels,
};

use crate::{
    damage::damage,
    gzip::{packed, unpacked_length},
    harness::Target,
};

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "nifti", prepare: damaged_nifti, read: read_nifti },
    Target { name: "gzip", prepare: damaged_gzip, read: read_nifti },
    Target { name: "pair", prepare: damaged_pair, read: read_nifti },
    Target { name: "labels", prepare: damaged_table, read: read_table },
    Target { name: "image", prepare: damaged_image, read: read_png },
    #[cfg(feature = "dicom")]
    Target { name: "dicom", prepare: damaged_series, read: read_series },
];

/// Fixtures with both versions, both byte orders, several types, a qform, scaling, extensions and several volumes.
const FIXTURES: [&str; 9] = [
    "int16_le.nii",
    "int16_be.nii",
    "float32_le.nii",
    "uint64_be.nii",
    "scaled_be.nii",
    "extension.nii",
    "three_volumes.nii",
    "nifti2_le.nii",
    "nifti2_qform.nii",
];

fn fixture(random: &mut dyn Rng) -> Vec<u8> {
    let name = FIXTURES[random.random_range(0..FIXTURES.len())];
    let mut bytes =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).expect("a committed file");
    // Sometimes the file holds more than its header says, so that larger sides are valid.
    if random.random_bool(0.3) {
        bytes.resize(bytes.len() + random.random_range(0..1 << 18), 3);
    }
    bytes
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> usize {
    fs::write(folder.join(name), bytes).expect("a writable folder");
    unpacked_length(bytes)
}

fn damaged_nifti(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut bytes = fixture(random);
    damage(&mut bytes, 600, random);
    let bytes = if random.random_bool(0.5) { packed(&bytes, random) } else { bytes };
    put(folder, "scan.nii", &bytes)
}

fn damaged_gzip(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut bytes = fixture(random);
    if random.random_bool(0.5) {
        damage(&mut bytes, 600, random);
    }
    let mut bytes = packed(&bytes, random);
    damage(&mut bytes, 64, random);
    put(folder, "scan.nii", &bytes)
}

fn damaged_pair(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut header = fixture(random);
    let length = if header[..4].contains(&0x1c) { 540 } else { 348 };
    let mut voxels = header.split_off(length);
    header[if length == 348 { 345 } else { 5 }] = b'i';
    let offset = if length == 348 { 108..112 } else { 168..176 };
    header[offset].fill(0);
    let extensions = random.random_range(0..40).min(voxels.len());
    header.extend(voxels.drain(..extensions));
    damage(&mut header, 600, random);
    if random.random_bool(0.3) {
        damage(&mut voxels, 64, random);
    }
    let mut held = 0;
    for (half, bytes) in [("hdr", header), ("img", voxels)] {
        held += if random.random_bool(0.5) {
            put(folder, &format!("scan.{half}.gz"), &packed(&bytes, random))
        } else {
            put(folder, &format!("scan.{half}"), &bytes)
        };
    }
    held
}

fn damaged_table(folder: &Path, random: &mut dyn Rng) -> usize {
    const TABLES: [&str; 3] = [
        r#"{"0": "background", "1": "liver", "2": "left kidney", "65535": "äöü"}"#,
        r#"{"encoding": "instance", "1": "nucleus"}"#,
        r#"{"encoding": "class-index", "7": "[[[[\u0041\ud83d\ude00"}"#,
    ];
    let mut bytes = TABLES[random.random_range(0..TABLES.len())].as_bytes().to_vec();
    if random.random_bool(0.1) {
        bytes.splice(1..1, b"[".repeat(random.random_range(1..1 << 16)));
    }
    damage(&mut bytes, 600, random);
    put(folder, "labels.json", &bytes)
}

fn damaged_image(folder: &Path, random: &mut dyn Rng) -> usize {
    let side = random.random_range(1..20);
    let path = folder.join("image.png");
    let image = sam_data::ndarray::Array3::from_shape_fn((side, side + 3, 3), |(i, j, k)| (i * j + k) as u8);
    sam_data::write_rgb(&path, image.view()).expect("a writable folder");
    let mut bytes = fs::read(&path).expect("just written");
    damage(&mut bytes, 60, random);
    // A decoded image is as large as its sides say. The reader has its own limit.
    put(folder, "image.png", &bytes).max(64 << 20)
}

/// A series of one file. Its decoded size is limited by its sides, which the reader checks against the file's length. The rest of the
/// memory is used by dicom-rs and the decoders.
#[cfg(feature = "dicom")]
fn damaged_series(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut files = crate::written::files();
    let mut bytes = files.swap_remove(random.random_range(0..files.len()));
    // A file without its preamble, or with its data set alone.
    match random.random_range(0..6) {
        0 => drop(bytes.drain(..128)),
        1 => drop(bytes.drain(..144 + usize::from(u16::from_le_bytes([bytes[140], bytes[141]])))),
        _ => {}
    }
    damage(&mut bytes, usize::MAX, random);
    put(folder, "slice.dcm", &bytes)
}

#[cfg(feature = "dicom")]
fn read_series(folder: &Path) -> Result<bool, String> {
    let Ok((volume, series)) = sam_data::read_dicom(folder, None) else { return Ok(false) };
    if !volume.voxels.iter().all(|voxel| voxel.is_finite()) {
        return Err("an intensity is not finite".to_owned());
    }
    let mask = folder.join("mask.nii");
    let labels = volume.voxels.mapv(|voxel| u16::from(voxel > 0.0));
    write_labels(&mask, labels.view(), &volume).map_err(|error| format!("its mask cannot be written: {error}"))?;
    let back = read_labels(&mask).map_err(|error| format!("its mask cannot be read: {error}"))?;
    let segments = [sam_data::Segment::new(1, "structure")];
    match (
        series.segmentation_notes(),
        sam_data::write_segmentation(folder.join("mask.dcm"), labels.view(), &series, &segments, ""),
    ) {
        (Ok(known), Ok(told)) if known == told => {}
        (Err(_), Err(_)) => {}
        (known, written) => {
            return Err(format!("a DICOM SEG is written other than it was announced: {known:?}, {written:?}"));
        }
    }
    if back.labels == labels { Ok(true) } else { Err("its mask is read as another than it was written".to_owned()) }
}

/// The file to open: a single file or the header of a pair.
fn scan(folder: &Path) -> PathBuf {
    let names = ["scan.nii", "scan.hdr", "scan.hdr.gz"].map(|name| folder.join(name));
    names.into_iter().find(|path| path.is_file()).expect("one of them was made")
}

/// Reads a volume as a whole, as labels and slice by slice, and writes a mask for it.
fn read_nifti(folder: &Path) -> Result<bool, String> {
    let path = scan(folder);
    let accepted = compare_readers(&path, &ReadOptions::default())?;
    let options = ReadOptions::default().with_volume_index(1).with_non_finite(NonFinite::Replace(-1.0));
    compare_readers(&path, &options)?;
    let _ = read_labels(&path);
    // The other file of a pair must give the same outcome.
    for half in ["scan.img", "scan.img.gz"].map(|name| folder.join(name)).iter().filter(|half| half.is_file()) {
        if read_volume_with(half, &ReadOptions::default()).is_ok() != accepted {
            return Err("one half of the pair can be read, the other cannot".to_owned());
        }
    }
    Ok(accepted)
}

fn compare_readers(path: &Path, options: &ReadOptions) -> Result<bool, String> {
    let whole = read_volume_with(path, options);
    let slices = VolumeReader::open_with(path, options);
    let (volume, mut reader) = match (whole, slices) {
        (Ok(volume), Ok(reader)) => (volume, reader),
        (Err(DataError::NonFinite { .. }), Ok(_)) | (Err(_), Err(_)) => return Ok(false),
        // The readers must agree: both notice a truncated compressed file, and an uncompressed file has no checksum.
        (whole, slices) => {
            let outcomes = (whole.map(drop), slices.map(drop));
            return Err(format!("a volume is read in one way and refused in another: {outcomes:?}"));
        }
    };
    for axis in [SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal] {
        let plane = SlicePlane::new(&volume.grid, axis);
        for index in [0, plane.count() / 2, plane.count() - 1] {
            let slice = reader.slice(&plane, index).map_err(|error| format!("a slice is refused: {error}"))?;
            if slice != plane.extract(volume.voxels.view(), index) {
                return Err(format!("slice {index} along {axis} is another than that of the whole volume"));
            }
        }
    }
    let _ = volume.grid.with_spacing([1.0, 2.0, 3.0]);
    let labels = volume.voxels.mapv(|voxel| u16::from(voxel > 0.0));
    let mask = path.with_file_name("mask.nii");
    write_labels(&mask, labels.view(), &volume).map_err(|error| format!("its mask cannot be written: {error}"))?;
    let back = read_labels(&mask).map_err(|error| format!("its mask cannot be read: {error}"))?;
    if back.labels != labels || back.grid != volume.grid {
        return Err("its mask is read as another than it was written".to_owned());
    }
    Ok(true)
}

fn read_table(folder: &Path) -> Result<bool, String> {
    let Ok(table) = LabelTable::read(&folder.join("labels.json")) else { return Ok(false) };
    let background = table.structures().into_iter().find(|structure| structure.values.contains(&0));
    background.map_or(Ok(true), |structure| Err(format!("background is the structure {}", structure.name)))
}

fn read_png(folder: &Path) -> Result<bool, String> {
    let Ok(image) = read_image(&folder.join("image.png")) else { return Ok(false) };
    match image.dim().2 {
        1 | 3 => Ok(true),
        channels => Err(format!("an image has {channels} channels")),
    }
}
