//! Learning against the same steps in PyTorch (`goldens/subset.py` names the source).

use std::path::{Path, PathBuf};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    optim::{AdamWConfig, GradientsParams, Optimizer},
    tensor::{ElementConversion, Tensor},
};
use sam_assist::{FrozenDecoder, binary_cross_entropy, dice_loss};
use sam_core::Checkpoint;
use sam_prompt::PromptEncoder;
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, Tolerance, config, parameters},
};
use sam_threads::train_unobserved;

type A = Autodiff<B>;

/// The parameters that the goldens' prompts reach, each of `[1, 32]`.
const LEARNED: [&str; 6] = [
    "no_mask_embed.weight",
    "not_a_point_embed.weight",
    "point_embeddings.0.weight",
    "point_embeddings.1.weight",
    "point_embeddings.2.weight",
    "point_embeddings.3.weight",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

#[test]
fn learns_step_by_step_like_pytorch() -> TestResult {
    train_unobserved(learn_step_by_step)
}

fn learn_step_by_step() -> TestResult {
    let golden = Golden::open(path("prompt_learning.safetensors"), Tolerance { absolute: 1e-4, relative: 0.0 })?;
    let checkpoint = Checkpoint::open(path("sam_tiny_prompt_and_decoder.safetensors"))?;
    let original = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
    let decoder = FrozenDecoder::from_parts(checkpoint.load_mask_decoder(&config(), &DEVICE)?, &original);
    let mut encoder = PromptEncoder::<A>::from_inner(original).trainable();
    let before = parameters(&encoder.valid())?;
    let mut optimiser = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    let features: Tensor<B, 4> = golden.tensor("in.embedding")?;
    let prompts = golden.batch("points_boxes")?;
    let target = Tensor::<A, 4>::from_inner(golden.tensor("in.gt_low_res")?);

    for step in 0..3 {
        let masks = decoder.forward(&encoder, decoder.project(features.clone()), &prompts)?;
        let dice = dice_loss(masks.low_res.clone(), target.clone());
        let entropy = binary_cross_entropy(masks.low_res.clone(), target.clone());
        golden.close_values(&format!("step{step}.dice_loss"), [dice.clone().into_scalar().elem()])?;
        golden.close_values(&format!("step{step}.bce_loss"), [entropy.clone().into_scalar().elem()])?;
        if step == 0 {
            golden.close_values("step0.low_res", masks.low_res.into_data().iter::<f32>())?;
            golden.close_values("step0.iou", masks.iou.into_data().iter::<f32>())?;
        }
        let gradients = GradientsParams::from_grads((dice + entropy).backward(), &encoder);
        encoder = optimiser.step(1e-2, encoder, gradients);
        let after = parameters(&encoder.valid())?;
        for name in LEARNED {
            golden.close_values(&format!("adam{}.{name}", step + 1), after[name].iter().copied())?;
        }
        let frequencies = "pe_layer.positional_encoding_gaussian_matrix";
        assert_eq!(after[frequencies], before[frequencies], "frequencies are no parameter");
    }
    Ok(())
}
