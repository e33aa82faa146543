//! Compares the kernels with burn's own operations, in the forward and backward pass.

use std::sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering};

mod attention;
mod blocks;
mod rounding;

use burn::{
    backend::Autodiff,
    tensor::{Distribution, Tensor, activation, backend::AutodiffBackend},
};
use burn_flex::{Flex, FlexDevice};

use super::simd::WITHOUT_VECTORS;

type B = Autodiff<Flex>;

/// Held by the one test that builds and follows a graph: burn-autodiff loses gradients if two threads do so at once.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Each test has its own thread, so its turn ends with the test.
    static HAS_TURN: MutexGuard<'static, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
}

/// Normally distributed random values, with gradients tracked. The first call waits for the test's turn.
fn random<const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    HAS_TURN.with(|_| ());
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice).require_grad()
}

/// Asserts that both outputs and all their gradients agree, for the same gradient of the output.
fn assert_agree<const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>, inputs: &[&dyn Gradient]) {
    let weight = random(found.dims()).detach();
    let tolerance = burn::tensor::Tolerance::<f32>::absolute(2e-4);
    found.clone().inner().into_data().assert_approx_eq(&expected.clone().inner().into_data(), tolerance);
    let found = (found * weight.clone()).sum().backward();
    let expected = (expected * weight).sum().backward();
    for (index, input) in inputs.iter().enumerate() {
        let (found, expected) = (input.of(&found), input.of(&expected));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
                "gradient {index}: {found}, not {expected}"
            );
        }
    }
}

/// An input of any rank, to read its gradient.
trait Gradient {
    fn of(&self, gradients: &<B as AutodiffBackend>::Gradients) -> Vec<f32>;
}

impl<const D: usize> Gradient for Tensor<B, D> {
    fn of(&self, gradients: &<B as AutodiffBackend>::Gradients) -> Vec<f32> {
        self.grad(gradients).expect("each input is tracked").into_data().to_vec().expect("values of f32")
    }
}

#[test]
fn gelu_agrees() {
    let x = random([3, 700, 13]);
    assert_agree(super::gelu(&x).expect("flex"), activation::gelu(x.clone()), &[&x]);
}

#[test]
fn layer_norm_agrees() {
    let (x, scale, offset) = (random([2, 600, 37]), random([37]), random([37]));
    let centred = x.clone() - x.clone().mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    let expected = centred / (variance + 1e-5).sqrt() * scale.clone().unsqueeze() + offset.clone().unsqueeze();
    let found = super::layer_norm(&x, &scale, &offset, 1e-5).expect("flex");
    assert_agree(found, expected, &[&x, &scale, &offset]);
}

#[test]
fn affine_agrees_on_weights_in_either_order() {
    let (x, weight, bias) = (random([2, 530, 24]), random([24, 40]), random([1, 1, 40]));
    let expected = x.clone().matmul(weight.clone().unsqueeze()) + bias.clone();
    assert_agree(super::affine(&x, &weight, &bias).expect("flex"), expected, &[&x, &weight, &bias]);

    let (x, lying, bias) = (random([2, 530, 24]), random([40, 24]), random([1, 530, 40]));
    let expected = x.clone().matmul(lying.clone().transpose().unsqueeze()) + bias.clone();
    let found = super::affine(&x, &lying.clone().transpose(), &bias).expect("flex");
    assert_agree(found, expected, &[&x, &lying, &bias]);
}

#[test]
fn sums_with_what_all_samples_or_all_pixels_share_agree() {
    for other in [[2, 600, 12], [1, 600, 12], [2, 1, 12], [1, 1, 12]] {
        let (left, right) = (random([2, 600, 12]), random(other));
        assert_agree(super::add(&left, &right).expect("flex"), left.clone() + right.clone(), &[&left, &right]);
        let (left, right) = (random(other), random([2, 600, 12]));
        assert_agree(super::add(&left, &right).expect("flex"), left.clone() + right.clone(), &[&left, &right]);
    }
}

#[test]
fn other_types_are_left_to_burn() {
    let x = random([4, 8]).inner().cast(burn::tensor::DType::F64);
    assert!(super::gelu(&x).is_none());
}

#[test]
fn affine_maps_with_gelu_agree() {
    let (x, weight, bias) = (random([2, 530, 24]).inner(), random([24, 40]).inner(), random([40]).inner());
    let found = super::affine_gelu(&x, &weight, &bias.clone().unsqueeze()).expect("flex");
    let expected = activation::gelu(x.matmul(weight.unsqueeze()) + bias.unsqueeze());
    assert_near(found, expected);
}

#[test]
fn affine_maps_onto_something_agree() {
    let [x, onto] = [random([2, 530, 24]).inner(), random([2, 530, 40]).inner()];
    let (weight, bias) = (random([24, 40]).inner(), random([40]).inner());
    let found = super::affine_onto(&x, &weight, &bias, &onto).expect("flex");
    assert_near(found, onto + x.matmul(weight.unsqueeze()) + bias.unsqueeze());
}

fn assert_near<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
    found.into_data().assert_approx_eq(&expected.into_data(), burn::tensor::Tolerance::<f32>::absolute(1e-4));
}

/// Tests that run at the same time then also run without vectors, which does no harm.
#[test]
fn kernels_agree_on_a_processor_without_vectors() {
    WITHOUT_VECTORS.store(true, Ordering::Relaxed);
    gelu_agrees();
    layer_norm_agrees();
    affine_agrees_on_weights_in_either_order();
    affine_maps_with_gelu_agree();
    affine_maps_onto_something_agree();
    blocks::perceptrons_agree_with_their_parts();
    blocks::bottlenecks_agree();
    blocks::depthwise_convolutions_agree();
    sums_with_what_all_samples_or_all_pixels_share_agree();
    attention::attention_of_few_queries_agrees();
    attention::attention_of_many_queries_agrees();
    attention::attention_over_more_keys_than_a_tile_agrees();
    attention::attention_within_windows_agrees();
    blocks::upscaling_agrees_with_its_parts();
    WITHOUT_VECTORS.store(false, Ordering::Relaxed);
}
