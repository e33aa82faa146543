//! Reading a packed volume of about 100 MB, and slicing it along each axis.
//!
//! `cargo bench -p sam-data --bench nifti`; `benches/nifti_nibabel.py` runs this and nibabel one after the other on one file.

use std::{fs, hint::black_box, path::PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_data::{SliceAxis, SlicePlane, Volume, VolumeReader, read_volume, write_volume};

const SHAPE: (usize, usize, usize) = (512, 512, 200);
/// The file's own, of 16-bit numbers.
const BYTES: u64 = 512 * 512 * 200 * 2;

/// A body in air with scanner noise: as well to pack as a CT.
fn scan() -> Volume {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let voxels = Array3::from_shape_fn(SHAPE, |(i, j, k)| {
        let (x, y) = (i as f32 / 256.0 - 1.0, (j as f32 / 256.0 - 1.0) * 1.4);
        let organ = 60.0 * (12.0 * x + 0.05 * k as f32).sin() * (9.0 * y).cos();
        let tissue = if x * x + y * y < 0.7 { organ } else { -1000.0 };
        (tissue + random.random_range(-12.0..12.0_f32)).round()
    });
    Volume::new(voxels, [[-0.8, 0.0, 0.0, 0.0], [0.0, -0.8, 0.0, 0.0], [0.0, 0.0, 2.5, 0.0], [0.0, 0.0, 0.0, 1.0]])
}

/// The scan as a file, from `SAM_DATA_BENCH` or in the folder for temporary files.
fn file(ending: &str) -> PathBuf {
    let folder = std::env::var_os("SAM_DATA_BENCH").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("sam-data-bench.{ending}"));
    if !path.is_file() {
        fs::create_dir_all(&folder).expect("a folder that can be made");
        write_volume(&path, &scan()).expect("a writable folder");
    }
    path
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES));
    for ending in ["nii.gz", "nii"] {
        let path = file(ending);
        group.bench_function(BenchmarkId::new("whole", ending), |bencher| {
            bencher.iter(|| read_volume(black_box(&path)).expect("just written"));
        });
        group.bench_function(BenchmarkId::new("open and cut one", ending), |bencher| {
            bencher.iter(|| {
                let mut reader = VolumeReader::open(black_box(&path)).expect("just written");
                let plane = SlicePlane::new(reader.grid(), SliceAxis::Axial);
                reader.slice(&plane, 100).expect("a slice")
            });
        });
    }
    group.finish();
}

fn slicing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slice");
    let volume = read_volume(file("nii")).expect("just written");
    for axis in [SliceAxis::Sagittal, SliceAxis::Coronal, SliceAxis::Axial] {
        let plane = SlicePlane::new(&volume.grid, axis);
        group.bench_function(BenchmarkId::new("of a volume", axis), |bencher| {
            bencher.iter(|| plane.extract(black_box(volume.voxels.view()), 100));
        });
        for ending in ["nii", "nii.gz"] {
            let mut reader = VolumeReader::open(file(ending)).expect("just written");
            let mut index = 0;
            group.bench_function(BenchmarkId::new(format!("of a reader, {ending}"), axis), |bencher| {
                bencher.iter(|| {
                    index = (index + 1) % plane.count();
                    reader.slice(&plane, index).expect("a slice")
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, reading, slicing);
criterion_main!(benches);
