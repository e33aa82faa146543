//! Learning against the same steps in PyTorch (`goldens/subset.py` names the source).

use std::{collections::BTreeMap, path::Path};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    optim::{AdamWConfig, GradientsParams, Optimizer},
    tensor::{ElementConversion, Tensor, TensorData},
};
use burn_flex::{Flex, FlexDevice};
use burn_store::ModuleSnapshot;
use safetensors::SafeTensors;
use sam_assist::{FrozenDecoder, binary_cross_entropy, dice_loss};
use sam_core::{Checkpoint, MaskDecoderConfig, SamConfig, TwoWayTransformerConfig, ViTConfig};
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
    SamConfig::vit(encoder).with_decoder(decoder)
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
