//! Surface distances of two balls in a large volume: what an evaluation pays for HD95.
//!
//! `cargo bench -p sam-eval --bench surface`; `benches/surface_python.py` runs this, MONAI and surface-distance one after the other on the
//! same balls.

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array3;
use sam_eval::{PercentileOf, SurfaceDistances};

/// A ball in a volume of 512 x 512 x 200 elements, 0.8 x 0.8 x 2.5 mm each.
fn ball(centre_mm: [f64; 3], radius_mm: f64) -> Array3<bool> {
    Array3::from_shape_fn((512, 512, 200), |(i, j, k)| {
        let steps = [i as f64 * 0.8 - centre_mm[0], j as f64 * 0.8 - centre_mm[1], k as f64 * 2.5 - centre_mm[2]];
        steps.iter().map(|step| step * step).sum::<f64>() <= radius_mm * radius_mm
    })
}

fn surface(criterion: &mut Criterion) {
    let (prediction, truth) = (ball([200.0, 210.0, 250.0], 120.0), ball([206.0, 205.0, 255.0], 118.0));
    let measure = || {
        let distances = SurfaceDistances::between(&prediction, &truth, &[0.8, 0.8, 2.5]).expect("masks of one shape");
        distances.hd95(PercentileOf::EachDirection)
    };
    println!("HD95: {} mm", measure());
    let mut group = criterion.benchmark_group("surface");
    group.sample_size(10);
    group.bench_function("HD95 of 512 x 512 x 200", |bencher| {
        bencher.iter(measure);
    });
    group.finish();
}

criterion_group!(benches, surface);
criterion_main!(benches);
