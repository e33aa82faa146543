//! Benchmarks of what the user waits for: image encoders, and a prompt on a ready embedding. Weights are random, which does not change the
//! time.
//!
//! Run with `cargo bench -p sam-core --features flex`; `models_peers.py` runs it together with PyTorch and ONNX Runtime. `product` measures
//! this machine's best speed of matrix products; each time of ViT-B is reported with the fraction of that speed.

use std::{cell::OnceCell, hint::black_box, time::Instant};

use burn::tensor::{Distribution, Tensor};
use burn_flex::{Flex, FlexDevice};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sam_core::{Frame, ImageEmbedding, ImageEncoder, Precision, SamConfig, SamPredictor, TinyVitConfig, ViTConfig};
use sam_prompt::{Label, Point, Prompts};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Multiply-adds of ViT-B's matrix products for one image, in units of 10^9: qkv, projections and perceptrons on 4096 tokens, scores and
/// weighted sums within windows and over the whole image, patches, neck.
fn vit_base_products() -> f64 {
    let (dim, tokens, depth, global) = (768.0, 4096.0, 12.0, 4.0);
    let linear = depth * tokens * dim * dim * 12.0;
    let window = 25.0 * 196.0_f64.powi(2) * dim * 2.0 * (depth - global);
    let whole = tokens * tokens * dim * 2.0 * global;
    let ends = tokens * dim * dim + tokens * dim * 256.0 + tokens * 9.0 * 256.0 * 256.0;
    (linear + window + whole + ends) / 1e9
}

fn image(side: usize) -> Tensor<Flex, 4> {
    Tensor::random([1, 3, side, side], Distribution::Normal(0.0, 1.0), &FlexDevice)
}

/// A model with random weights and its image encoder in the given precision.
fn model(config: &SamConfig, precision: Precision) -> SamPredictor<Flex> {
    let predictor = SamPredictor::new(config.init(&FlexDevice), config.preprocess);
    predictor.with_encoder_precision(precision).expect("it was in f32")
}

fn encoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encoder");
    group.sample_size(10);
    let (weights, best, input) = (OnceCell::new(), OnceCell::new(), image(1024));
    let encode = || {
        let encoder = weights.get_or_init(|| ViTConfig::base().init::<Flex>(&FlexDevice));
        rayon::scope(|_| black_box(encoder.forward(input.clone()).into_data()))
    };
    group.bench_function("ViT-B", |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            (0..count).for_each(|_| drop(encode()));
            let taken = start.elapsed();
            let rate = vit_base_products() * count as f64 / taken.as_secs_f64();
            let best = *best.get_or_init(best_product);
            eprintln!(
                "ViT-B: {rate:.0} G multiply-adds/s, {:.0} % of the best product's {best:.0}",
                100.0 * rate / best
            );
            taken
        });
    });
    let lite = TinyVitConfig::lite_medsam().init::<Flex>(&FlexDevice);
    let small = image(256);
    group.bench_function("LiteMedSAM", |bencher| {
        bencher.iter(|| rayon::scope(|_| black_box(lite.forward(small.clone()).into_data())));
    });
    for (name, config, input) in
        [("ViT-B", SamConfig::vit_b(), &input), ("LiteMedSAM", SamConfig::lite_medsam(), &small)]
    {
        let weights = OnceCell::new();
        group.bench_function(format!("{name}, bf16"), |bencher| {
            let encoder = &weights.get_or_init(|| model(&config, Precision::Bf16)).sam().image_encoder;
            bencher.iter(|| rayon::scope(|_| black_box(encoder.forward(input.clone()).into_data())));
        });
    }
    group.finish();
}

/// Rows, columns and inner dimension of ViT-B's largest product.
const PRODUCT: [usize; 3] = [4096, 3072, 768];

fn factors() -> [Tensor<Flex, 2>; 2] {
    let [rows, columns, inner] = PRODUCT;
    [[rows, inner], [inner, columns]].map(|size| Tensor::random(size, Distribution::Default, &FlexDevice))
}

fn multiply([left, right]: &[Tensor<Flex, 2>; 2]) {
    rayon::scope(|_| drop(black_box(left.clone().matmul(right.clone()).into_data())));
}

/// The maximum speed of this machine, in 10^9 multiply-adds a second.
fn best_product() -> f64 {
    let factors = factors();
    let seconds = (0..10).map(|_| {
        let start = Instant::now();
        multiply(&factors);
        start.elapsed().as_secs_f64()
    });
    PRODUCT.iter().product::<usize>() as f64 / 1e9 / seconds.fold(f64::INFINITY, f64::min)
}

fn product(criterion: &mut Criterion) {
    let factors = factors();
    let mut group = criterion.benchmark_group("product");
    group.throughput(Throughput::Elements(PRODUCT.iter().product::<usize>() as u64));
    group.bench_function("4096x768 by 768x3072", |bencher| bencher.iter(|| multiply(&factors)));
    group.finish();
}

fn decoder(criterion: &mut Criterion) {
    let predictor = model(&SamConfig::lite_medsam(), Precision::F32);
    let features = Tensor::random([1, 256, 64, 64], Distribution::Normal(0.0, 1.0), &FlexDevice);
    let embedding = ImageEmbedding::new(features, Frame::new(256, 256, 256)).expect("features of one image");
    let click = Prompts::from_points(vec![Point { x: 120.0, y: 100.0, label: Label::Foreground }]);
    criterion.bench_function("decoder/1 click", |bencher| {
        bencher
            .iter(|| rayon::scope(|_| predictor.predict(black_box(&embedding), &click)).expect("a click on the image"));
    });
}

criterion_group!(benches, product, encoders, decoder);
criterion_main!(benches);
