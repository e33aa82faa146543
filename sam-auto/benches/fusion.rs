//! The parts of the fusion that need no model, on a slice of 512 x 512 pixels: the shape between outlines, and the random walk around its edge.

use std::{collections::BTreeMap, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_auto::{
    RandomWalker, ShapePrior,
    sam_prompt::{PixelAspect, mask_area},
};

const SIDE: usize = 512;
/// The slice in the middle of the gap.
const SLICE: usize = 10;

/// A disc around a column.
fn disc(column: f32, radius: f32) -> Array2<bool> {
    Array2::from_shape_fn((SIDE, SIDE), |(y, x)| (y as f32 - 256.0).hypot(x as f32 - column) < radius)
}

/// A bright disc on a dark ground, with noise.
fn image() -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    disc(250.0, 105.0).mapv(|inside| if inside { 0.6 } else { 0.4 } + rng.random_range(-0.1..0.1))
}

fn fusion(criterion: &mut Criterion) {
    let outlines = BTreeMap::from([(0, disc(240.0, 90.0)), (2 * SLICE, disc(270.0, 110.0))]);
    let mut group = criterion.benchmark_group("fusion");
    group.sample_size(10);
    group.bench_function("shape/fit", |bencher| {
        bencher.iter(|| black_box(ShapePrior::new(&outlines).expect("outlines of one size")));
    });
    let shape = ShapePrior::new(&outlines).expect("outlines of one size");
    group.bench_function("shape/slice", |bencher| {
        bencher.iter(|| black_box(shape.slice(SLICE)));
    });
    let (prior, image) = (shape.slice(SLICE).expect("a slice between the outlines"), image());
    let walk = || RandomWalker::default().refine(image.view(), &prior, PixelAspect::SQUARE);
    let open = mask_area(walk().mapv(|inside| inside > 0.0 && inside < 1.0).view());
    group.bench_function(format!("walk/{open} open pixels"), |bencher| bencher.iter(|| black_box(walk())));
    group.finish();
}

criterion_group!(benches, fusion);
criterion_main!(benches);
