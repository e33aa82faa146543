//! Every part against its reference code. `goldens/subset.py` says where the tensors come from.

use burn::backend::Autodiff;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, Tolerance},
};
use sam_threads::train_unobserved;
use sapnet::{
    BiasedDiceLossConfig, BilinearResize, FourierPosition, Support, SupportConfig, cosine_logits, cross_entropy,
    masked_average,
};

type A = Autodiff<B>;

/// The reference sums in another order, in single precision. The largest difference seen is 2e-6.
const TOLERANCE: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-5 };

fn load() -> TestResult<Golden> {
    Golden::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/fewshot.safetensors"), TOLERANCE)
}

#[test]
fn resizes_like_pytorch() -> TestResult {
    let golden = load()?;
    let up = BilinearResize::new([8, 8], [32, 32], &DEVICE).forward(golden.tensor::<B, 4>("map.fts")?);
    golden.close("interp.up", up)
}

#[test]
fn pools_under_a_mask_like_panet() -> TestResult {
    train_unobserved(pool_under_a_mask)
}

fn pool_under_a_mask() -> TestResult {
    let golden = load()?;
    let features = golden.tensor::<A, 4>("map.fts")?.require_grad();
    let prototype = masked_average(features.clone(), golden.tensor("map.mask")?);
    golden.close("map.prototype", prototype.clone().inner())?;

    let gradients = prototype.square().sum().backward();
    golden.close("map.grad_fts_of_sum_sq", features.grad(&gradients).ok_or("no gradient")?)
}

#[test]
fn compares_by_cosine_like_panet() -> TestResult {
    let golden = load()?;
    let logits = cosine_logits(golden.tensor::<B, 4>("dist.fts")?, golden.tensor("map.prototype")?, 20.0);
    golden.close("dist.out_scaler20", logits.squeeze_dim::<3>(1))
}

#[test]
fn one_way_episode_like_panet() -> TestResult {
    train_unobserved(|| episode("w1"))
}

#[test]
fn two_way_episode_like_panet() -> TestResult {
    train_unobserved(|| episode("w2"))
}

/// Prototypes, logits, both losses, and the gradients of their sum.
fn episode(name: &str) -> TestResult {
    let golden = load()?;
    let named = |what: &str| format!("{name}.{what}");
    let features = golden.tensor::<A, 5>(&named("support"))?.require_grad();
    let query = golden.tensor::<A, 4>(&named("query"))?.require_grad();
    let foreground = golden.tensor::<A, 4>(&named("fore_mask"))?.equal_elem(1);
    let background = golden.tensor::<A, 4>(&named("back_mask"))?.equal_elem(1);
    let labels: Tensor<A, 3, Int> = golden.tensor::<A, 3>(&named("query_label"))?.int();

    let support = Support::new(&SupportConfig::default(), features.clone(), foreground, background)?;
    let prototypes = support.prototypes().inner();
    let [count, _] = prototypes.dims();
    golden.close(&named("bg_prototype"), prototypes.clone().slice([0..1]))?;
    golden.close(&named("fg_prototypes"), prototypes.slice([1..count]))?;

    let segmentation = support.segment(query.clone())?;
    golden.close(&named("output_logits"), segmentation.logits.clone().inner())?;

    let query_loss = cross_entropy(segmentation.logits.clone(), labels);
    let align_loss = support.alignment_loss(query.clone(), &segmentation.coarse)?;
    golden.close(&named("query_ce"), query_loss.clone().inner())?;
    golden.close(&named("align_loss"), align_loss.clone().inner())?;

    let gradients = (query_loss + align_loss).backward();
    golden.close(&named("grad_support"), features.grad(&gradients).ok_or("no gradient")?)?;
    golden.close(&named("grad_query"), query.grad(&gradients).ok_or("no gradient")?)
}

#[test]
fn encodes_positions_like_sam() -> TestResult {
    let golden = load()?;
    let position = FourierPosition::from_matrix(golden.tensor::<B, 2>("pe.gaussian_matrix")?)?;
    assert_eq!(position.channels(), 16);
    golden.close("pe.grid_6x9", position.forward([6, 9]))
}

#[test]
fn weighs_false_positives_as_we_read_the_paper() -> TestResult {
    let golden = load()?;
    for beta in [1_u8, 2, 5] {
        let loss = BiasedDiceLossConfig::default().with_beta(beta.into()).init()?;
        let value = loss.forward(sigmoid(golden.tensor::<B, 4>("loss.logits")?), golden.tensor("loss.gt")?);
        golden.close(&format!("loss.bias_dice_beta{beta}"), value)?;
    }
    Ok(())
}
