//! Learning against the same steps in PyTorch (`goldens/subset.py` says whose), and what `learn` promises beside.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    optim::{AdamWConfig, GradientsParams, Optimizer},
    tensor::{ElementConversion, Tensor, TensorData},
};
use burn_flex::{Flex, FlexDevice};
use burn_store::ModuleSnapshot;
use ndarray::{Array2, Array3};
use safetensors::SafeTensors;
use sam_assist::{
    AnnotatedSlice, AssistConfig, AssistError, EarlyStopping, FrozenDecoder, Learned, Schedule, Trained,
    binary_cross_entropy, dice_loss, learn,
};
use sam_core::{
    Checkpoint, ImageEmbedding, MaskDecoderConfig, SamConfig, SamPredictor, TwoWayTransformerConfig, ViTConfig,
};
use sam_prompt::{PromptBatch, PromptEncoder, Token, TokenKind};

type B = Flex;
type A = Autodiff<Flex>;
type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DEVICE: FlexDevice = FlexDevice;
const TOLERANCE: f32 = 1e-4;

/// The parameters that the goldens' prompts reach, each of `[1, 32]`.
const LEARNED: [&str; 6] = [
    "no_mask_embed.weight",
    "not_a_point_embed.weight",
    "point_embeddings.0.weight",
    "point_embeddings.1.weight",
    "point_embeddings.2.weight",
    "point_embeddings.3.weight",
];

/// The shape of the goldens' model.
fn config() -> SamConfig {
    let transformer = TwoWayTransformerConfig::new().with_embedding_dim(32).with_mlp_dim(64).with_num_heads(4);
    let encoder = ViTConfig::new(64, 4, 4)
        .with_global_attn_indexes(vec![1, 3])
        .with_image_size(128)
        .with_window_size(3)
        .with_out_chans(32);
    let decoder = MaskDecoderConfig::new().with_transformer(transformer).with_iou_head_hidden_dim(40);
    SamConfig { decoder, ..SamConfig::vit(encoder) }
}

struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    fn read() -> TestResult<Self> {
        Ok(Self { bytes: std::fs::read(Self::path("prompt_learning.safetensors"))? })
    }

    fn path(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
    }

    fn values(&self, name: &str) -> TestResult<(Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.bytes)?;
        let tensor = file.tensor(name).map_err(|error| format!("{name}: {error}"))?;
        let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok((tensor.shape().to_vec(), values))
    }

    fn tensor(&self, name: &str) -> TestResult<Tensor<B, 4>> {
        let (shape, values) = self.values(name)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &DEVICE))
    }

    /// Holds values against the reference of the name.
    fn close(&self, name: &str, found: &[f32]) -> TestResult {
        let (_, expected) = self.values(name)?;
        assert_eq!(found.len(), expected.len(), "{name}");
        let mut largest = 0.0_f32;
        for (found, expected) in found.iter().zip(&expected) {
            let difference = (found - expected).abs();
            assert!(difference <= TOLERANCE, "{name}: expected {expected}, found {found}");
            largest = largest.max(difference);
        }
        println!("{name}: {largest:.1e} off at most");
        Ok(())
    }

    /// Two prompts of four points and a box.
    fn prompts(&self) -> TestResult<PromptBatch<A>> {
        let ((_, points), (_, labels), (_, boxes)) =
            (self.values("in.points")?, self.values("in.labels")?, self.values("in.boxes")?);
        let kind = |label: f32| match label {
            1.0 => TokenKind::Foreground,
            0.0 => TokenKind::Background,
            _ => TokenKind::Padding,
        };
        let points: Vec<_> = points
            .chunks_exact(2)
            .zip(&labels)
            .map(|(point, &label)| Token { kind: kind(label), x: point[0], y: point[1] })
            .collect();
        let corners = |edges: &[f32]| {
            [
                Token { kind: TokenKind::BoxTopLeft, x: edges[0], y: edges[1] },
                Token { kind: TokenKind::BoxBottomRight, x: edges[2], y: edges[3] },
            ]
        };
        let tokens: Vec<_> = points
            .chunks_exact(labels.len() / 2)
            .zip(boxes.chunks_exact(4))
            .map(|(points, edges)| [points, &corners(edges)].concat())
            .collect();
        Ok(PromptBatch::from_tokens(&tokens, None, &DEVICE)?)
    }
}

fn parameters(encoder: &PromptEncoder<A>) -> TestResult<BTreeMap<String, Vec<f32>>> {
    let read = |tensor: burn_store::TensorSnapshot| {
        let data = tensor.to_data().map_err(|error| format!("{}: {error:?}", tensor.full_path()))?;
        Ok((tensor.full_path(), data.iter::<f32>().collect()))
    };
    encoder.valid().collect(None, None, false).into_iter().map(read).collect()
}

#[test]
fn learns_step_by_step_like_pytorch() -> TestResult {
    let golden = Golden::read()?;
    let checkpoint = Checkpoint::open(Golden::path("sam_tiny_prompt_and_decoder.safetensors"))?;
    let original = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
    let decoder = FrozenDecoder::from_parts(checkpoint.load_mask_decoder(&config(), &DEVICE)?, &original);
    let mut encoder = PromptEncoder::<A>::from_inner(original).trainable();
    let before = parameters(&encoder)?;
    let mut optimiser = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    let (features, prompts) = (golden.tensor("in.embedding")?, golden.prompts()?);
    let target = Tensor::<A, 4>::from_inner(golden.tensor("in.gt_low_res")?);

    for step in 0..3 {
        let masks = decoder.forward(&encoder, decoder.project(features.clone()), &prompts)?;
        let dice = dice_loss(masks.low_res.clone(), target.clone());
        let entropy = binary_cross_entropy(masks.low_res.clone(), target.clone());
        golden.close(&format!("step{step}.dice_loss"), &[dice.clone().into_scalar().elem()])?;
        golden.close(&format!("step{step}.bce_loss"), &[entropy.clone().into_scalar().elem()])?;
        if step == 0 {
            golden.close("step0.low_res", &masks.low_res.into_data().iter::<f32>().collect::<Vec<_>>())?;
            golden.close("step0.iou", &masks.iou.into_data().iter::<f32>().collect::<Vec<_>>())?;
        }
        let gradients = GradientsParams::from_grads((dice + entropy).backward(), &encoder);
        encoder = optimiser.step(1e-2, encoder, gradients);
        let after = parameters(&encoder)?;
        for name in LEARNED {
            golden.close(&format!("adam{}.{name}", step + 1), &after[name])?;
        }
        let frequencies = "pe_layer.positional_encoding_gaussian_matrix";
        assert_eq!(after[frequencies], before[frequencies], "frequencies are no parameter");
    }
    Ok(())
}

/// A small SAM of random weights, and a slice with a bright square on it, embedded.
fn predictor() -> TestResult<(SamPredictor<B>, ImageEmbedding<B>)> {
    let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64).with_out_chans(32));
    let sam = config.init(&DEVICE);
    // burn draws weights when they are first used; `learn` clones the model, and each clone would draw its own.
    for tensor in sam.collect(None, None, false) {
        tensor.to_data().map_err(|error| format!("{}: {error:?}", tensor.full_path()))?;
    }
    let predictor = SamPredictor::new(sam, config.preprocess);
    let image =
        Array3::from_shape_fn((40, 50, 1), |(row, column, _)| if in_square(row, column) { 200.0 } else { 20.0 });
    let embedding = predictor.embed(image.view())?;
    Ok((predictor, embedding))
}

fn in_square(row: usize, column: usize) -> bool {
    (10..25).contains(&row) && (20..40).contains(&column)
}

fn outline() -> Array2<bool> {
    Array2::from_shape_fn((40, 50), |(row, column)| in_square(row, column))
}

fn learn_unwatched(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
) -> Result<Learned<B>, AssistError> {
    learn(predictor, slices, config, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn same_seed_learns_the_same() -> TestResult {
    let (predictor, embedding) = predictor()?;
    let slices = [
        AnnotatedSlice::new(embedding.clone(), outline())?,
        AnnotatedSlice::new(embedding, Array2::from_shape_fn((40, 50), |(row, column)| row < 6 && column < 9))?,
    ];
    for config in [AssistConfig::points(), AssistConfig::boxes(), AssistConfig::composite(), AssistConfig::mixed()] {
        let config = AssistConfig { iterations: 4, seed: 5, ..config };
        let first = learn_unwatched(&predictor, &slices, &config)?.losses;
        assert_eq!(first.len(), 4);
        assert_eq!(first, learn_unwatched(&predictor, &slices, &config)?.losses, "{:?}", config.kind);
        let other = AssistConfig { seed: 6, ..config };
        assert_ne!(first, learn_unwatched(&predictor, &slices, &other)?.losses, "{:?}", other.kind);
    }
    Ok(())
}

#[test]
fn learning_lowers_the_loss() -> TestResult {
    let (predictor, embedding) = predictor()?;
    let slices = [AnnotatedSlice::new(embedding, outline())?];
    let config = AssistConfig { iterations: 60, ..AssistConfig::points() }.prompt_encoder_only();
    let learned = learn_unwatched(&predictor, &slices, &config)?;
    assert!(learned.adaptation.members[0].mask_decoder.is_none(), "the prompt encoder alone was to learn");
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (start, end) = (mean(&learned.losses[..5]), mean(&learned.losses[55..]));
    assert!(end < start, "the loss went from {start} to {end}");
    assert!(learned.losses.iter().all(|loss| loss.is_finite()) && learned.seconds > 0.0);
    let values = |encoder: &PromptEncoder<B>| parameters(&PromptEncoder::from_inner(encoder.clone()));
    assert_ne!(values(&learned.adaptation.members[0].prompt_encoder)?, values(&predictor.sam().prompt_encoder)?);
    Ok(())
}

#[test]
fn observer_sees_every_iteration_and_can_stop() -> TestResult {
    let (predictor, embedding) = predictor()?;
    let slices = [AnnotatedSlice::new(embedding, outline())?];
    let config = AssistConfig { iterations: 10, ..AssistConfig::points() };
    let mut seen = Vec::new();
    let learned = learn(&predictor, &slices, &config, &mut |progress| {
        assert_eq!(progress.iterations, 10);
        seen.push((progress.iteration, progress.loss));
        if progress.iteration == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!(seen.iter().map(|&(iteration, _)| iteration).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(seen.iter().map(|&(_, loss)| loss).collect::<Vec<_>>(), learned.losses);
    Ok(())
}

#[test]
fn no_iteration_learns_nothing() -> TestResult {
    let (predictor, embedding) = predictor()?;
    let slices = [AnnotatedSlice::new(embedding, outline())?];
    let learned = learn_unwatched(&predictor, &slices, &AssistConfig { iterations: 0, ..AssistConfig::points() })?;
    assert!(learned.losses.is_empty());
    Ok(())
}

#[test]
fn slices_of_no_use_are_errors() -> TestResult {
    let (predictor, embedding) = predictor()?;
    assert!(matches!(learn_unwatched(&predictor, &[], &AssistConfig::points()), Err(AssistError::NoSlices)));
    let empty = Array2::from_elem((40, 50), false);
    assert!(matches!(AnnotatedSlice::new(embedding.clone(), empty), Err(AssistError::EmptyOutline)));
    let turned = AnnotatedSlice::new(embedding, outline().reversed_axes());
    assert!(matches!(
        turned,
        Err(AssistError::OutlineSize { outline_rows: 50, outline_columns: 40, slice_rows: 40, slice_columns: 50 })
    ));
    Ok(())
}

#[test]
fn numbers_of_no_meaning_are_errors() -> TestResult {
    let (predictor, embedding) = predictor()?;
    let slices = [AnnotatedSlice::new(embedding, outline())?];
    let valid = AssistConfig::points;
    let stopping = |rule| AssistConfig { early_stopping: Some(rule), ..valid() };
    for (field, config) in [
        ("learning_rate", AssistConfig { learning_rate: f64::NAN, ..valid() }),
        ("learning_rate", AssistConfig { learning_rate: -1e-3, ..valid() }),
        ("decoder_rate", AssistConfig { decoder_rate: -1.0, ..valid() }),
        ("final_rate", AssistConfig { schedule: Schedule::Cosine { final_rate: f64::INFINITY }, ..valid() }),
        ("initial_spread", AssistConfig { initial_spread: f64::NAN, ..valid() }),
        ("largest_gradient", AssistConfig { largest_gradient: Some(0.0), ..valid() }),
        ("extra_tokens.count", AssistConfig { trained: Trained::ExtraTokens { count: 0 }, ..valid() }),
        ("low_rank.rank", AssistConfig { trained: Trained::LowRank { rank: 0, scale: 1.0 }, ..valid() }),
        ("low_rank.scale", AssistConfig { trained: Trained::LowRank { rank: 4, scale: f64::NAN }, ..valid() }),
        ("early_stopping.patience", stopping(EarlyStopping { patience: 0, ..EarlyStopping::default() })),
        ("early_stopping.least_gain", stopping(EarlyStopping { least_gain: -1.0, ..EarlyStopping::default() })),
        ("early_stopping.smoothing", stopping(EarlyStopping { smoothing: 1.0, ..EarlyStopping::default() })),
        ("check_points", AssistConfig { check_points: 0, ..valid() }),
        ("weight_decay", AssistConfig { weight_decay: -1.0, ..valid() }),
        ("dice_weight", AssistConfig { dice_weight: f64::NAN, ..valid() }),
        ("points", AssistConfig { points: (0, 3), ..valid() }),
        ("points", AssistConfig { points: (4, 3), ..valid() }),
        ("slices_per_step", AssistConfig { slices_per_step: 0, ..valid() }),
    ] {
        let found = learn_unwatched(&predictor, &slices, &config);
        assert!(matches!(found, Err(AssistError::Config { name, .. }) if name == field), "{field}");
    }
    Ok(())
}
