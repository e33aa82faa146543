//! One prediction, and one prompt card applied to a volume of 100 slices, with `LiteMedSAM`'s shapes.
//!
//! Weights and embeddings are random: a prediction takes as long with any. The volume's slices share ten embeddings, as many as fit into
//! little memory. Run with `cargo bench -p sam-assist --bench cards --features flex`; without the feature burn's own operations are
//! measured.

use std::{hint::black_box, time::Duration};

use burn::tensor::{Distribution, Tensor};
use burn_flex::{Flex, FlexDevice};
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use sam_assist::{AnnotatedSlice, AssistConfig, CardMetadata, PromptCard, TrainingSlices, learn};
use sam_core::{Frame, ImageEmbedding, SamConfig, SamPredictor};
use sam_prompt::{BoundingBox, Label, Point, Prompts, progress::ignore_progress};

const SLICES: usize = 100;
const EMBEDDINGS: usize = 10;
/// Stands for the weights' hash.
const WEIGHTS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn embedding(predictor: &SamPredictor<Flex>) -> ImageEmbedding<Flex> {
    let features = Tensor::random([1, 256, 64, 64], Distribution::Normal(0.0, 1.0), &predictor.device());
    ImageEmbedding::new(features, Frame::new(256, 256, 256)).expect("one image")
}

/// A card of one step's learning.
fn card(predictor: &SamPredictor<Flex>, model: SamConfig, embedding: &ImageEmbedding<Flex>) -> PromptCard {
    let outline = Array2::from_shape_fn((256, 256), |(row, column)| row.abs_diff(100).pow(2) + column.pow(2) < 9000);
    let slice = AnnotatedSlice::new(0, embedding.clone(), outline).expect("an outline on the slice's grid");
    let learning = AssistConfig::points().with_iterations(1);
    let learned = learn(predictor, &[slice], &learning, &mut ignore_progress());
    let training = TrainingSlices::new("", "", vec![0], 1);
    let metadata = CardMetadata::new("disc", "auto", model, WEIGHTS, learning, training);
    PromptCard::of(metadata, &learned.expect("one step does not diverge").adaptation).expect("sound metadata")
}

fn cards(criterion: &mut Criterion) {
    let model = SamConfig::lite_medsam();
    let predictor = SamPredictor::new(model.init::<Flex>(&FlexDevice), model.preprocess).with_weights_sha256(WEIGHTS);
    let embeddings: Vec<_> = (0..EMBEDDINGS).map(|_| embedding(&predictor)).collect();
    let card = card(&predictor, model, &embeddings[0]);
    let click = Prompts::from_points(vec![Point { x: 120.0, y: 100.0, label: Label::Foreground }]);
    let corners = Prompts::from_boxes(vec![BoundingBox { x_min: 80.0, y_min: 60.0, x_max: 170.0, y_max: 140.0 }]);

    let mut group = criterion.benchmark_group("prediction");
    for (name, prompts) in [("1 click", &click), ("1 box", &corners)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rayon::scope(|_| predictor.predict(black_box(&embeddings[0]), prompts)).expect("prompts on the image")
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("card");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function(format!("applied to {SLICES} slices"), |bencher| {
        bencher.iter(|| {
            rayon::scope(|_| {
                let learned = card.apply(&predictor).expect("the model that it was learned on");
                for slice in 0..SLICES {
                    let mask = learned.predict(&embeddings[slice % EMBEDDINGS], &corners).expect("a box on the image");
                    black_box(mask.mask());
                }
            });
        });
    });
    group.finish();
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, cards);
criterion_main!(benches);
