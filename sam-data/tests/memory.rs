//! Peak memory of reading, compared with the documented limits. There is only one test, because the counter counts all threads.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use peak_alloc::PeakAlloc;
use sam_data::{SliceAxis, SlicePlane, VolumeReader, read_labels, read_volume};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: f64 = (1 << 20) as f64;

/// The additional peak memory of some work, in MiB.
fn peak_of(work: impl FnOnce()) -> f64 {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    (ALLOCATOR.peak_usage() - before) as f64 / MIB
}

/// A header for 16-bit voxels, made from that of a fixture.
fn header(shape: [i16; 3]) -> Vec<u8> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/int16_le.nii");
    let mut bytes = fs::read(fixture).expect("a committed file");
    bytes.truncate(352);
    for (axis, side) in shape.into_iter().enumerate() {
        bytes[42 + 2 * axis..44 + 2 * axis].copy_from_slice(&side.to_le_bytes());
    }
    bytes
}

fn slices(reader: &mut VolumeReader, axis: SliceAxis, indices: impl IntoIterator<Item = usize>) {
    let plane = SlicePlane::new(reader.grid(), axis);
    for index in indices {
        assert_eq!(reader.slice(&plane, index).expect("zeros").dim(), plane.size());
    }
}

#[test]
fn memory_stays_below_what_the_documentation_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");

    // 500 MiB, stored as a sparse file.
    let plain = folder.path().join("scan.nii");
    let mut file = File::create(&plain).expect("a writable folder");
    file.write_all(&header([512, 512, 1000])).and_then(|()| file.set_len(352 + 512 * 512 * 1000 * 2)).expect("a hole");
    let peak = peak_of(|| {
        let mut reader = VolumeReader::open(&plain).expect("a header and zeros");
        slices(&mut reader, SliceAxis::K, [0, 500, 999]);
        slices(&mut reader, SliceAxis::J, [0, 1, 511]);
        slices(&mut reader, SliceAxis::I, [0, 511]);
    });
    println!(".nii, 512 x 512 x 1000: {peak:.1} MiB");
    assert!(peak < 40.0, "{peak:.1} MiB");

    // 50 MiB uncompressed.
    let packed = folder.path().join("scan.nii.gz");
    let mut encoder = GzEncoder::new(File::create(&packed).expect("a writable folder"), Compression::fast());
    encoder.write_all(&header([512, 512, 100])).expect("space");
    io::copy(&mut io::Read::take(io::repeat(0), 512 * 512 * 100 * 2), &mut encoder).expect("space");
    encoder.finish().expect("space");
    let mut reader = None;
    let opening = peak_of(|| reader = Some(VolumeReader::open(&packed).expect("a header and zeros")));
    let mut reader = reader.expect("just opened");
    let cutting = peak_of(|| {
        for axis in [SliceAxis::I, SliceAxis::J, SliceAxis::K] {
            slices(&mut reader, axis, [0, 99]);
        }
    });
    println!(".nii.gz, 512 x 512 x 100 (50 MiB): {opening:.1} MiB to open, {cutting:.1} MiB to cut");
    assert!(opening < 50.0 + 1.0 && cutting < 5.0, "{opening:.1} and {cutting:.1} MiB");
    drop(reader);

    // Read as a whole, the volume needs 32-bit floats, a label map 16-bit numbers.
    let peak = peak_of(|| drop(read_volume(&packed).expect("zeros")));
    println!("whole, 100 MiB of floats: {peak:.1} MiB");
    assert!(peak < 100.0 + 1.0, "{peak:.1} MiB");
    let peak = peak_of(|| drop(read_labels(&packed).expect("zeros")));
    println!("a label map of 50 MiB: {peak:.1} MiB");
    assert!(peak < 50.0 + 1.0, "{peak:.1} MiB");

    // The header announces 32 TiB, which no file of this length holds: it is not unpacked.
    for side in [3_usize, 200] {
        let mut encoder = GzEncoder::new(File::create(&packed).expect("a writable folder"), Compression::fast());
        encoder.write_all(&header([i16::MAX; 3])).expect("space");
        io::copy(&mut io::Read::take(io::repeat(0), (side << 18) as u64), &mut encoder).expect("space");
        encoder.finish().expect("space");
        let there = side as f64 / 4.0;
        let refused =
            || [read_volume(&packed).is_err(), read_labels(&packed).is_err(), VolumeReader::open(&packed).is_err()];
        let peak = peak_of(|| assert_eq!(refused(), [true; 3]));
        println!("32 TiB announced, {there:.1} MiB there: {peak:.1} MiB");
        assert!(peak < 1.0, "{peak:.1} MiB");
    }
}
