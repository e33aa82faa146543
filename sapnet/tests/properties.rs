//! Properties that hold for any features and masks.

use std::f64::consts::PI;

use burn::backend::Autodiff;
use burn::tensor::{Bool, Distribution, Int, Tensor, TensorData};
use proptest::prelude::*;
use sam_testing::{B, DEVICE, TestResult};
use sam_threads::train_unobserved;
use sapnet::{
    BiasedDiceLossConfig, BilinearResize, ConfigError, FourierPositionConfig, SapnetError, Support, SupportConfig,
    cross_entropy, masked_average,
};

/// For single precision and sums of up to a few hundred terms of order 1.
const TOLERANCE: f64 = 1e-4;

fn floats<const D: usize>(shape: [usize; D]) -> impl Strategy<Value = Tensor<B, D>> {
    prop::collection::vec(-1.0_f32..1.0, shape.iter().product::<usize>())
        .prop_map(move |values| Tensor::from_data(TensorData::new(values, shape), &DEVICE))
}

fn bools<const D: usize>(shape: [usize; D]) -> impl Strategy<Value = Tensor<B, D, Bool>> {
    prop::collection::vec(any::<bool>(), shape.iter().product::<usize>())
        .prop_map(move |values| Tensor::from_data(TensorData::new(values, shape), &DEVICE))
}

/// Features `[1, shots, 3, 2, 3]` and masks `[1, shots, 5, 7]` of a one-way support.
fn one_way(shots: usize) -> impl Strategy<Value = (Tensor<B, 5>, Tensor<B, 4, Bool>)> {
    (floats([1, shots, 3, 2, 3]), bools([1, shots, 5, 7]))
}

fn support(features: Tensor<B, 5>, foreground: Tensor<B, 4, Bool>) -> Result<Support<B>, SapnetError> {
    Support::new(&SupportConfig::default(), features, foreground.clone(), foreground.bool_not())
}

fn same<const D: usize>(first: &Tensor<B, D>, second: &Tensor<B, D>) -> bool {
    first.clone().all_close(second.clone(), Some(TOLERANCE), Some(TOLERANCE))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn prototypes_do_not_depend_on_the_order_of_the_support(
        ((features, masks), order) in (1_usize..5).prop_flat_map(|shots| {
            (one_way(shots), Just((0..shots as i32).collect::<Vec<_>>()).prop_shuffle())
        })
    ) {
        let order = Tensor::<B, 1, Int>::from_data(order.as_slice(), &DEVICE);
        let shuffled = support(features.clone().select(1, order.clone()), masks.clone().int().select(1, order).bool())?;
        prop_assert!(same(&shuffled.prototypes(), &support(features, masks)?.prototypes()));
    }

    #[test]
    fn a_mask_of_ones_gives_the_mean(features in floats([2, 3, 4, 5])) {
        let mean = features.clone().flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2);
        prop_assert!(same(&masked_average(features, Tensor::ones([2, 4, 5], &DEVICE)), &mean));
    }

    #[test]
    fn pools_as_if_the_features_were_resized_first(
        (features, masks) in (floats([2, 3, 3, 4]), bools([2, 7, 6]))
    ) {
        let resized = BilinearResize::new([3, 4], [7, 6], &DEVICE).forward(features.clone());
        let weights = masks.float();
        let naive = (resized * weights.clone().unsqueeze_dim(1)).flatten::<3>(2, 3).sum_dim(2).squeeze_dim::<2>(2)
            / (weights.clone().flatten::<2>(1, 2).sum_dim(1) + 1e-5);
        prop_assert!(same(&masked_average(features, weights), &naive));
    }

    #[test]
    fn resizing_has_its_adjoint(
        (x, y) in [1_usize..6, 1..6, 1..9, 1..9].prop_flat_map(|[h, w, to_h, to_w]| {
            (floats([1, 2, h, w]), floats([1, 2, to_h, to_w]))
        })
    ) {
        let ([.., h, w], [.., to_h, to_w]) = (x.dims(), y.dims());
        let resize = BilinearResize::new([h, w], [to_h, to_w], &DEVICE);
        prop_assert!(same(&(resize.forward(x.clone()) * y.clone()).sum(), &(x * resize.adjoint(y)).sum()));
    }

    #[test]
    fn resizing_keeps_constants_and_the_size_itself(x in floats([1, 2, 3, 4]), to in [1_usize..9, 1..9]) {
        let flat = BilinearResize::new([3, 4], to, &DEVICE).forward(Tensor::full([1, 1, 3, 4], 0.7, &DEVICE));
        prop_assert!(same(&flat, &Tensor::full([1, 1, to[0], to[1]], 0.7, &DEVICE)));
        prop_assert!(same(&BilinearResize::new([3, 4], [3, 4], &DEVICE).forward(x.clone()), &x));
    }

    #[test]
    fn logits_are_bounded_and_blind_to_the_length_of_features(
        ((features, masks), query, factor) in (one_way(2), floats([2, 3, 2, 3]), 0.5_f32..2.0)
    ) {
        let support = support(features, masks)?;
        let logits = support.segment(query.clone())?.logits;
        prop_assert!(logits.clone().abs().max().into_scalar() <= 20.0 + TOLERANCE as f32);
        prop_assert!(same(&support.segment(query * factor)?.logits, &logits));
    }

    #[test]
    fn a_prediction_of_the_truth_costs_nothing_and_bias_costs_more(
        (truth, wrong) in (bools([4, 5]), bools([4, 5]))
    ) {
        let (truth, wrong) = (truth.float(), wrong.float());
        let cost = |beta, prediction: &Tensor<B, 2>| -> Result<f32, SapnetError> {
            let loss = BiasedDiceLossConfig::default().with_beta(beta).init()?;
            Ok(loss.forward(prediction.clone(), truth.clone()).into_scalar())
        };
        prop_assert!(cost(2.0, &truth)?.abs() < 1e-6);
        let (plain, biased) = (cost(1.0, &wrong)?, cost(3.0, &wrong)?);
        prop_assert!((-1e-6..=1.0 + 1e-6).contains(&plain) && plain <= biased + 1e-6);
    }

    #[test]
    fn positions_are_of_one_length_and_follow_the_seed(seed: u64, frequencies in 1_usize..9, size in [1_usize..6, 1..6]) {
        let config = FourierPositionConfig::default().with_frequencies(frequencies).with_seed(seed);
        let encoded = config.init::<B>(&DEVICE)?.forward(size);
        prop_assert_eq!(encoded.dims(), [2 * frequencies, size[0], size[1]]);
        let length = encoded.clone().square().sum_dim(0);
        prop_assert!(same(&length, &Tensor::full([1, size[0], size[1]], frequencies as f32, &DEVICE)));
        prop_assert!(same(&config.init::<B>(&DEVICE)?.forward(size), &encoded));
    }
}

#[test]
fn nearby_positions_are_alike_as_sigma_says() -> TestResult {
    // The expected similarity exp(-2 pi² sigma² d²) is a mean over frequencies: 20 000 of them leave an error near 0.005.
    let position = FourierPositionConfig::default().with_frequencies(20_000).with_sigma(0.5).init::<B>(&DEVICE)?;
    let row = position.forward([1, 10]).squeeze_dim::<2>(1);
    let likeness = row.clone().slice([0..40_000, 0..1]).transpose().matmul(row) / 20_000.0;
    for (steps, found) in likeness.into_data().iter::<f64>().enumerate() {
        let distance = 0.2 * steps as f64;
        let expected = (-2.0 * (PI * 0.5 * distance).powi(2)).exp();
        assert!((found - expected).abs() < 0.03, "{found} instead of {expected} at {distance}");
    }
    Ok(())
}

#[test]
fn unlabelled_pixels_do_not_count() {
    let logits = Tensor::<B, 4>::from_data([[[[0.0, 9.0]], [[0.0, -9.0]]]], &DEVICE);
    let loss = |labels: [i32; 2]| -> f32 {
        cross_entropy(logits.clone(), Tensor::<B, 3, Int>::from_data([[labels]], &DEVICE)).into_scalar()
    };
    assert!((loss([1, 255]) - 2.0_f32.ln()).abs() < 1e-6);
    assert!(loss([255, 255]).abs() < 1e-6);
}

#[test]
fn slices_without_the_object_leave_gradients_finite() -> TestResult {
    train_unobserved(backward_through_slices_without_the_object)
}

fn backward_through_slices_without_the_object() -> TestResult {
    type A = Autodiff<B>;
    let features = Tensor::<A, 5>::random([1, 2, 3, 4, 4], Distribution::Default, &DEVICE).require_grad();
    let query = Tensor::<A, 4>::random([2, 3, 4, 4], Distribution::Default, &DEVICE);
    let nothing = Tensor::<A, 4>::zeros([1, 2, 8, 8], &DEVICE).equal_elem(1);
    let support = Support::new(&SupportConfig::default(), features.clone(), nothing.clone(), nothing.bool_not())?;
    let segmentation = support.segment(query.clone())?;
    let alignment = support.alignment_loss(query, &segmentation.coarse)?;
    assert!(alignment.clone().into_scalar().abs() < 1e-6, "no predicted foreground, yet {alignment}");
    let gradients = (segmentation.logits.sum() + alignment).backward();
    let gradient = features.grad(&gradients).ok_or("no gradient")?;
    assert!(gradient.is_finite().all().into_scalar());
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() {
    let features = Tensor::<B, 5>::zeros([1, 2, 3, 4, 4], &DEVICE);
    let masks = |shape: [usize; 4]| Tensor::<B, 4>::zeros(shape, &DEVICE).equal_elem(1);
    let config = SupportConfig::default();
    let new = |config: &SupportConfig, foreground, background| {
        Support::new(config, features.clone(), masks(foreground), masks(background)).err()
    };
    let [good, shot_missing, no_pixels] = [[1, 2, 8, 8], [1, 1, 8, 8], [1, 2, 0, 8]];
    assert_eq!(new(&config, good, good), None);
    assert!(matches!(new(&config, shot_missing, good), Some(SapnetError::ShapeMismatch { tensor: "foreground", .. })));
    assert!(matches!(new(&config, good, shot_missing), Some(SapnetError::ShapeMismatch { tensor: "background", .. })));
    assert!(matches!(new(&config, no_pixels, no_pixels), Some(SapnetError::Empty { tensor: "foreground", .. })));
    let zero = SupportConfig::default().with_scale(0.0);
    assert!(matches!(new(&zero, good, good), Some(SapnetError::Config(ConfigError { name: "support.scale", .. }))));

    assert!(FourierPositionConfig::default().with_frequencies(0).init::<B>(&DEVICE).is_err());
    assert!(FourierPositionConfig::default().with_sigma(f64::NAN).init::<B>(&DEVICE).is_err());
    assert!(BiasedDiceLossConfig::default().with_beta(-1.0).init().is_err());
}

#[test]
fn a_query_of_another_size_is_refused() -> TestResult {
    let features = Tensor::<B, 5>::ones([1, 1, 3, 4, 4], &DEVICE);
    let masks = Tensor::<B, 4>::ones([1, 1, 8, 8], &DEVICE).equal_elem(1);
    let support = support(features, masks)?;
    assert!(support.segment(Tensor::zeros([1, 3, 4, 5], &DEVICE)).is_err());
    assert!(support.segment(Tensor::zeros([1, 2, 4, 4], &DEVICE)).is_err());
    let coarse = Tensor::zeros([1, 3, 4, 4], &DEVICE); // three classes, but the support knows two
    assert!(support.alignment_loss(Tensor::zeros([1, 3, 4, 4], &DEVICE), &coarse).is_err());
    Ok(())
}
