//! One step of prompt learning with `LiteMedSAM`'s shapes, from 2 and from 5 annotated slices: of the prompt encoder alone, as
//! `learning_pytorch.py` measures it in PyTorch, and of the decoder's token branch as well.
//!
//! Weights and embeddings are random: a step takes as long with any. Run with `cargo bench -p sam-assist --features flex`; without the feature
//! burn's own operations are measured.

use std::time::Duration;

use burn::tensor::{Distribution, Tensor};
use burn_flex::{Flex, FlexDevice};
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_core::{Frame, ImageEmbedding, SamConfig, SamPredictor};
use sam_prompt::progress::ignore_progress;

/// A disc whose place depends on the slice's number.
fn annotated(predictor: &SamPredictor<Flex>, number: usize) -> AnnotatedSlice<Flex> {
    let inside = |row: usize, column: usize| row.abs_diff(100 + 10 * number).pow(2) + column.abs_diff(120).pow(2) < 900;
    let outline = Array2::from_shape_fn((256, 256), |(row, column)| inside(row, column));
    let features = Tensor::random([1, 256, 64, 64], Distribution::Normal(0.0, 1.0), &predictor.device());
    let embedding = ImageEmbedding::new(features, Frame::new(256, 256, 256)).expect("one image");
    AnnotatedSlice::new(number, embedding, outline).expect("an outline on the slice's grid")
}

fn learning(criterion: &mut Criterion) {
    let config = SamConfig::lite_medsam();
    let predictor = SamPredictor::new(config.init::<Flex>(&FlexDevice), config.preprocess);
    let slices: Vec<_> = (0..5).map(|number| annotated(&predictor, number)).collect();
    let mut group = criterion.benchmark_group("learning step");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let learned =
        [("prompt encoder", AssistConfig::points().prompt_encoder_only()), ("token branch", AssistConfig::points())];
    for (count, (name, config)) in [2, 5].into_iter().flat_map(|count| learned.clone().map(|learned| (count, learned)))
    {
        group.bench_function(format!("{name}, {count} slices"), |bencher| {
            bencher.iter_custom(|steps| {
                let config = config.clone().with_iterations(steps as usize).with_slices_per_step(count);
                let learned = rayon::scope(|_| learn(&predictor, &slices[..count], &config, &mut ignore_progress()));
                Duration::from_secs_f64(learned.expect("random weights do not diverge").seconds)
            });
        });
    }
    group.finish();
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, learning);
criterion_main!(benches);
