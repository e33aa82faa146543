//! SAP-Net's training on five annotated slices, as a person waits for it: LiteMedSAM's feature size, random features.

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor, TensorData, backend::Backend};
use burn_flex::{Flex, FlexDevice};
use criterion::{Criterion, criterion_group, criterion_main};
use sapnet::{AnnotatedFeatures, CoarseSegmenter, SapNet, SapNetConfig, progress::ignore_progress};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 7;
const SLICES: usize = 5;
const CHANNELS: usize = 256;
const FEATURES: usize = 64;
const MASK: usize = 256;

/// Random features with discs of different sizes as the object.
fn slices() -> AnnotatedFeatures<Flex> {
    Flex::seed(&FlexDevice, SEED);
    let features = Tensor::random([SLICES, CHANNELS, FEATURES, FEATURES], Distribution::Default, &FlexDevice);
    let disc = |slice: usize, row: usize, column: usize| {
        row.abs_diff(100).pow(2) + column.abs_diff(140).pow(2) < (20 + 5 * slice).pow(2)
    };
    let object: Vec<bool> =
        (0..SLICES * MASK * MASK).map(|at| disc(at / (MASK * MASK), at / MASK % MASK, at % MASK)).collect();
    let object =
        Tensor::<Flex, 3, burn::tensor::Bool>::from_data(TensorData::new(object, [SLICES, MASK, MASK]), &FlexDevice);
    AnnotatedFeatures::new(features, object.clone(), object.bool_not()).expect("discs on every slice")
}

fn fit(criterion: &mut Criterion) {
    let slices = slices();
    let config = SapNetConfig::default();
    let fit = |config: &SapNetConfig| SapNet::fit(&slices, config, &mut ignore_progress()).expect("finite");
    let mut group = criterion.benchmark_group("sapnet");
    group.sample_size(10);
    group.bench_function(format!("fit/{SLICES} slices/{} iterations", config.iterations), |bencher| {
        bencher.iter(|| black_box(rayon::scope(|_| fit(&config))));
    });
    let short = fit(&config.with_iterations(1));
    group.bench_function(format!("predict/{SLICES} slices"), |bencher| {
        bencher
            .iter(|| black_box(short.predict(slices.features().clone(), [MASK, MASK]).expect("it fits").into_data()));
    });
    group.finish();
}

criterion_group!(benches, fit);
criterion_main!(benches);
