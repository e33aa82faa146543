//! Every part against the code it follows; `goldens/subset.py` says where the tensors come from.

use burn::backend::Autodiff;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor};
use sapnet::{
    BiasedDiceLossConfig, BilinearResize, FourierPosition, Support, SupportConfig, cosine_logits, cross_entropy,
    masked_average,
};

use crate::golden::{B, Golden, TestResult, close};

type A = Autodiff<B>;

#[test]
fn resizes_like_pytorch() -> TestResult {
    let golden = Golden::load()?;
    let up = BilinearResize::new([8, 8], [32, 32], &burn_flex::FlexDevice).forward(golden.float::<B, 4>("map.fts")?);
    close(up, &golden.float("interp.up")?)
}

#[test]
fn pools_under_a_mask_like_panet() -> TestResult {
    let golden = Golden::load()?;
    let features = golden.float::<A, 4>("map.fts")?.require_grad();
    let prototype = masked_average(features.clone(), golden.float("map.mask")?);
    close(prototype.clone().inner(), &golden.float("map.prototype")?)?;

    let gradients = prototype.square().sum().backward();
    close(features.grad(&gradients).ok_or("no gradient")?, &golden.float("map.grad_fts_of_sum_sq")?)
}

#[test]
fn compares_by_cosine_like_panet() -> TestResult {
    let golden = Golden::load()?;
    let logits = cosine_logits(golden.float::<B, 4>("dist.fts")?, golden.float("map.prototype")?, 20.0);
    close(logits.squeeze_dim(1), &golden.float::<B, 3>("dist.out_scaler20")?)
}

#[test]
fn one_way_episode_like_panet() -> TestResult {
    episode("w1")
}

#[test]
fn two_way_episode_like_panet() -> TestResult {
    episode("w2")
}

/// Prototypes, logits, both losses, and the gradients of their sum.
fn episode(name: &str) -> TestResult {
    let golden = Golden::load()?;
    let named = |what: &str| format!("{name}.{what}");
    let features = golden.float::<A, 5>(&named("support"))?.require_grad();
    let query = golden.float::<A, 4>(&named("query"))?.require_grad();
    let foreground = golden.float::<A, 4>(&named("fore_mask"))?.equal_elem(1);
    let background = golden.float::<A, 4>(&named("back_mask"))?.equal_elem(1);
    let labels: Tensor<A, 3, Int> = golden.float::<A, 3>(&named("query_label"))?.int();

    let support = Support::new(&SupportConfig::default(), features.clone(), foreground, background)?;
    let expected = vec![golden.float::<B, 2>(&named("bg_prototype"))?, golden.float(&named("fg_prototypes"))?];
    close(support.prototypes().inner(), &Tensor::cat(expected, 0))?;

    let segmentation = support.segment(query.clone())?;
    close(segmentation.logits.clone().inner(), &golden.float(&named("output_logits"))?)?;

    let query_loss = cross_entropy(segmentation.logits.clone(), labels);
    let align_loss = support.alignment_loss(query.clone(), &segmentation.coarse)?;
    close(query_loss.clone().inner(), &golden.float(&named("query_ce"))?)?;
    close(align_loss.clone().inner(), &golden.float(&named("align_loss"))?)?;

    let gradients = (query_loss + align_loss).backward();
    close(features.grad(&gradients).ok_or("no gradient")?, &golden.float(&named("grad_support"))?)?;
    close(query.grad(&gradients).ok_or("no gradient")?, &golden.float(&named("grad_query"))?)
}

#[test]
fn encodes_positions_like_sam() -> TestResult {
    let golden = Golden::load()?;
    let position = FourierPosition::from_matrix(golden.float::<B, 2>("pe.gaussian_matrix")?)?;
    assert_eq!(position.channels(), 16);
    close(position.forward([6, 9]), &golden.float("pe.grid_6x9")?)
}

#[test]
fn weighs_false_positives_as_we_read_the_paper() -> TestResult {
    let golden = Golden::load()?;
    for beta in [1_u8, 2, 5] {
        let loss = BiasedDiceLossConfig::default().with_beta(beta.into()).init()?;
        let value = loss.forward(sigmoid(golden.float::<B, 4>("loss.logits")?), golden.float("loss.gt")?);
        close(value, &golden.float(&format!("loss.bias_dice_beta{beta}"))?)?;
    }
    Ok(())
}
