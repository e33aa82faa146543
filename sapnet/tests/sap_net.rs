//! Fitted segmenters on small synthetic slices.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use burn::tensor::{Bool, Int, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_testing::{B, DEVICE, TestResult};
use sapnet::{
    AnnotatedFeatures, BiasedDiceLossConfig, CoarseSegmenter, Fusion, NetworkConfig, PaNet, SapNet, SapNetConfig,
    SapNetTrainer, SapnetError, SupportConfig,
    progress::{Progress, Stage, StopReason, ignore_progress},
};

/// Features have 8 x 8 pixels, masks 16 x 16.
const SIDE: usize = 8;

/// Position of an object: top, left and side, in pixels of the features.
type Square = (usize, usize, usize);

fn inside(square: Square, row: usize, column: usize) -> bool {
    let (top, left, side) = square;
    (top..top + side).contains(&row) && (left..left + side).contains(&column)
}

/// Four channels: one for tissue, one for the object (and similar squares), two without information; all with noise.
fn features(slices: &[Vec<Square>], seed: u64) -> Tensor<B, 4> {
    noisy_features(slices, 0.3, seed)
}

fn noisy_features(slices: &[Vec<Square>], noise: f32, seed: u64) -> Tensor<B, 4> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for squares in slices {
        for channel in 0..4 {
            for (row, column) in (0..SIDE * SIDE).map(|at| (at / SIDE, at % SIDE)) {
                let alike = squares.iter().any(|&square| inside(square, row, column));
                let signal = [1.0, if alike { 3.0 } else { -1.0 }, 0.0, 0.0][channel];
                values.push(signal + noise * rng.random_range(-1.0..1.0_f32));
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [slices.len(), 4, SIDE, SIDE]), &DEVICE)
}

/// The first square of each slice is the object.
fn masks(slices: &[Vec<Square>]) -> Tensor<B, 3, Bool> {
    let side = 2 * SIDE;
    let pixel = |squares: &[Square], at: usize| {
        squares.first().is_some_and(|&square| inside(square, at / side / 2, at % side / 2))
    };
    let values = slices.iter().flat_map(|squares| (0..side * side).map(move |at| pixel(squares, at)));
    Tensor::from_data(TensorData::new(values.collect::<Vec<bool>>(), [slices.len(), side, side]), &DEVICE)
}

fn annotated(slices: &[Vec<Square>], seed: u64) -> Result<AnnotatedFeatures<B>, SapnetError> {
    let object = masks(slices);
    AnnotatedFeatures::new(features(slices, seed), object.clone(), object.bool_not())
}

/// A config so small that a debug build trains it in a moment.
fn config() -> SapNetConfig {
    let network = NetworkConfig::default().with_hidden(16).with_channels(8);
    SapNetConfig::default().with_network(network).with_iterations(30).with_learning_rate(1e-2)
}

fn fit(slices: &AnnotatedFeatures<B>, config: &SapNetConfig) -> Result<SapNet<B>, SapnetError> {
    SapNet::fit(slices, config, &mut ignore_progress())
}

fn dice(found: Tensor<B, 3, Bool>, truth: Tensor<B, 3, Bool>) -> f64 {
    let count = |mask: Tensor<B, 3, Bool>| f64::from(mask.int().sum().into_scalar());
    let both = count(found.clone().bool_and(truth.clone()));
    2.0 * both / (count(found) + count(truth))
}

fn is_same<const D: usize>(first: Tensor<B, D>, second: Tensor<B, D>) -> bool {
    first.equal(second).all().into_scalar()
}

/// Five slices with the object near the middle, one without.
fn five_and_one() -> Vec<Vec<Square>> {
    vec![vec![(2, 2, 3)], vec![(2, 3, 3)], vec![(3, 2, 3)], vec![(3, 3, 3)], vec![(2, 2, 4)], vec![]]
}

#[test]
fn finds_the_object_on_other_slices() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let test = vec![vec![(3, 3, 4)], vec![(2, 3, 2)]];
    // With early fusion, the network can memorise the few annotated positions.
    for (fusion, least) in [(Fusion::None, 0.85), (Fusion::Late, 0.85), (Fusion::Early, 0.75)] {
        let net = fit(&slices, &config().with_fusion(fusion))?;
        let dice = dice(net.segment(features(&test, 1), [16, 16])?, masks(&test));
        assert!(dice > least, "{fusion:?}: Dice {dice}");
        let (first, last) = (net.losses()[0], net.losses()[29]);
        assert!(last < 0.5 * first, "{fusion:?}: the loss went from {first} to {last}");
    }
    let panet = PaNet::fit(&slices, &SupportConfig::default())?;
    let dice = dice(panet.segment(features(&test, 1), [16, 16])?, masks(&test));
    assert!(dice > 0.7, "PANet: Dice {dice}");
    Ok(())
}

#[test]
fn one_annotated_slice_is_enough() -> TestResult {
    // A single slice shows only one position. A position half of full weight would tie the object to it.
    let late = config().with_fusion(Fusion::Late).with_position_weight(0.5);
    let test = vec![vec![(2, 3, 3)]];
    for (config, least) in [(late, 0.85), (config(), 0.75)] {
        let net = fit(&annotated(&[vec![(2, 2, 3)]], 0)?, &config)?;
        let dice = dice(net.segment(features(&test, 1), [16, 16])?, masks(&test));
        assert!(dice > least, "{:?}: Dice {dice}", config.fusion);
    }
    Ok(())
}

#[test]
fn a_slice_without_the_object_gives_an_empty_mask() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let empty = features(&[vec![]], 1);
    let segmenters: [Box<dyn CoarseSegmenter<B>>; 2] =
        [Box::new(fit(&slices, &config())?), Box::new(PaNet::fit(&slices, &SupportConfig::default())?)];
    for segmenter in segmenters {
        let probabilities = segmenter.predict(empty.clone(), [16, 16])?;
        assert!(probabilities.clone().is_finite().all().into_scalar());
        assert!(!probabilities.greater_elem(0.5).any().into_scalar());
        // Constant features and features that are all zero do not give NaN either.
        for value in [0.0, 1.0] {
            let probabilities = segmenter.predict(Tensor::full([1, 4, SIDE, SIDE], value, &DEVICE), [16, 16])?;
            assert!(probabilities.is_finite().all().into_scalar());
        }
    }
    Ok(())
}

#[test]
fn annotated_slices_count_by_their_shares() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let query = features(&[vec![(3, 3, 4)]], 1);
    let close = |first: Tensor<B, 3>, second| first.all_close(second, Some(1e-4), Some(1e-4));
    let panet = PaNet::fit(&slices, &SupportConfig::default())?;
    let first = AnnotatedFeatures::new(
        slices.features().clone().narrow(0, 0, 1),
        slices.foreground().clone().narrow(0, 0, 1),
        slices.background().clone().narrow(0, 0, 1),
    )?;
    let alone = PaNet::fit(&first, &SupportConfig::default())?.predict(query.clone(), [16, 16])?;
    let shares = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert!(close(panet.predict_with_shares(query.clone(), [16, 16], &shares)?, alone), "the first slice alone");
    let segmenters: [Box<dyn CoarseSegmenter<B>>; 2] = [Box::new(fit(&slices, &config())?), Box::new(panet)];
    for segmenter in segmenters {
        let predict = |shares: &[f32]| segmenter.predict_with_shares(query.clone(), [16, 16], shares);
        assert!(close(predict(&[1.0 / 6.0; 6])?, segmenter.predict(query.clone(), [16, 16])?), "all alike");
        assert!(!close(predict(&shares)?, segmenter.predict(query.clone(), [16, 16])?));
        let found = predict(&[0.5, 0.5]).err();
        assert!(matches!(found, Some(SapnetError::ShapeMismatch { tensor: "shares", .. })), "{found:?}");
    }
    Ok(())
}

#[test]
fn positions_tell_apart_what_looks_the_same() -> TestResult {
    // On every slice, the object is at the left and its twin at the right. Without noise, they differ only in position.
    let twins = [1, 2, 3, 2].map(|top| vec![(top, 1, 2), (top, 5, 2)]);
    let object = masks(&twins);
    let slices = AnnotatedFeatures::new(noisy_features(&twins, 0.0, 0), object.clone(), object.bool_not())?;
    let test = vec![vec![(2, 1, 2), (2, 5, 2)]];
    let dice_with = |fusion| -> Result<f64, SapnetError> {
        let net = fit(&slices, &config().with_fusion(fusion).with_iterations(60))?;
        Ok(dice(net.segment(noisy_features(&test, 0.0, 0), [16, 16])?, masks(&test)))
    };
    let (without, with) = (dice_with(Fusion::None)?, dice_with(Fusion::Late)?);
    assert!(with > 0.8 && with > without + 0.1, "Dice {without} without positions, {with} with them");
    Ok(())
}

#[test]
fn the_seed_decides_and_nothing_else() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let short = config().with_iterations(5);
    let [one, same, other] = [0, 0, 1].map(|seed| fit(&slices, &short.clone().with_seed(seed)));
    let (one, same, other) = (one?, same?, other?);
    assert_eq!(one.losses(), same.losses());
    assert!(is_same(one.prototypes(), same.prototypes()));
    assert_ne!(one.losses(), other.losses());

    let mut trainer = SapNetTrainer::new(&slices, short)?;
    assert_eq!(trainer.run(&mut |_| ControlFlow::Break(()))?, StopReason::Stopped);
    assert_eq!(trainer.losses().len(), 1);
    assert!(format!("{trainer:?}").contains("slices: 6"));
    assert_eq!(trainer.run(&mut ignore_progress())?, StopReason::Complete);
    let resumed = trainer.finish()?;
    assert!(is_same(resumed.prototypes(), one.prototypes()));
    assert_eq!(resumed.stop_reason(), StopReason::Complete);
    Ok(())
}

/// burn-autodiff loses gradients if two threads train at once.
#[test]
fn trainings_on_several_threads_do_not_disturb_each_other() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let config = config().with_iterations(20);
    let alone = fit(&slices, &config)?;
    thread::scope(|scope| {
        let others: Vec<_> = (0..8).map(|_| scope.spawn(|| fit(&slices, &config))).collect();
        for other in others {
            let other = other.join().map_err(|_| "a training panicked")??;
            assert_eq!(other.losses(), alone.losses());
        }
        Ok(())
    })
}

#[test]
fn the_observer_is_called_after_each_iteration_and_can_stop_the_training() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    let mut heard = Vec::new();
    let net = SapNet::fit(&slices, &config(), &mut |progress: &Progress| {
        heard.extend(progress.loss);
        assert_eq!((progress.stage, progress.done, progress.total), (Stage::Fit, heard.len(), 30));
        if progress.done == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!((net.losses(), heard.len()), (&heard[..], 4));
    assert_eq!(net.stop_reason(), StopReason::Stopped, "a partial result is marked");
    Ok(())
}

#[test]
fn fitted_segmenters_are_shared_between_threads() -> TestResult {
    fn is_shared<T: std::fmt::Debug + Send + Sync + 'static>() {}
    is_shared::<SapNet<B>>();
    is_shared::<PaNet<B>>();
    is_shared::<SapNetTrainer<B>>();
    is_shared::<SapnetError>();
    let slices = annotated(&five_and_one(), 0)?;
    let segmenter: Arc<dyn CoarseSegmenter<B>> = Arc::new(PaNet::fit(&slices, &SupportConfig::default())?);
    let here = segmenter.segment(slices.features().clone(), [16, 16])?;
    let (shared, features) = (Arc::clone(&segmenter), slices.features().clone());
    let there = std::thread::spawn(move || shared.segment(features, [16, 16])).join();
    there.expect("no panic")?.into_data().assert_eq(&here.into_data(), true);
    Ok(())
}

#[test]
fn divergence_is_an_error() -> TestResult {
    let slices = annotated(&five_and_one(), 0)?;
    for iterations in [1, 30] {
        let found = fit(&slices, &config().with_learning_rate(1e38).with_iterations(iterations)).err();
        assert!(matches!(found, Some(SapnetError::Diverged { .. })), "{iterations} iterations: {found:?}");
    }
    Ok(())
}

#[test]
fn annotations_that_make_no_sense_are_refused() {
    let (features, object) = (features(&five_and_one(), 0), masks(&five_and_one()));
    let new = |features: &Tensor<B, 4>, foreground: &Tensor<B, 3, Bool>, background: &Tensor<B, 3, Bool>| {
        AnnotatedFeatures::new(features.clone(), foreground.clone(), background.clone()).err()
    };
    let background = object.clone().bool_not();
    let nothing = object.clone().bool_and(background.clone());
    assert_eq!(new(&features, &object, &background), None);
    assert_eq!(new(&features, &nothing, &background), Some(SapnetError::ClassAbsent { class: "object" }));
    assert_eq!(new(&features, &object, &nothing), Some(SapnetError::ClassAbsent { class: "background" }));
    let two = features.clone().narrow(0, 0, 2);
    assert!(matches!(new(&two, &object, &background), Some(SapnetError::ShapeMismatch { .. })));
    for value in [f32::NAN, f32::INFINITY] {
        let spoiled = features.clone().mask_fill(features.clone().greater_elem(3.2), value);
        assert!(matches!(new(&spoiled, &object, &background), Some(SapnetError::NotFinite { .. })), "{value}");
    }
}

#[test]
fn slices_unlike_the_annotated_ones_are_refused() -> TestResult {
    let net = fit(&annotated(&five_and_one(), 0)?, &config().with_iterations(0))?;
    let predict = |features: Tensor<B, 4>, size| net.predict(features, size).err();
    let zeros = |width| Tensor::zeros([1, 4, 8, width], &DEVICE);
    assert_eq!(predict(zeros(8), [16, 16]), None);
    assert!(matches!(predict(zeros(9), [16, 16]), Some(SapnetError::ShapeMismatch { .. })));
    assert!(matches!(predict(zeros(8), [16, 0]), Some(SapnetError::Empty { .. })));
    assert!(matches!(predict(zeros(8) / 0.0, [16, 16]), Some(SapnetError::NotFinite { .. })));
    Ok(())
}

#[test]
fn numbers_that_make_no_sense_are_refused() -> TestResult {
    let changed = |json: &str| serde_json::from_str::<SapNetConfig>(json);
    assert_eq!(changed("{}")?, SapNetConfig::default());
    assert_eq!(changed(&serde_json::to_string(&config())?)?, config());
    assert_eq!(changed(r#"{"dice": {"beta": 3}}"#)?.dice, BiasedDiceLossConfig::default().with_beta(3.0));
    assert!(changed(r#"{"iteration": 3}"#).is_err());
    for (json, field) in [
        (r#"{"network": {"hidden": 0}}"#, "network.hidden"),
        (r#"{"position": {"sigma": 0}}"#, "position.sigma"),
        (r#"{"episode": {"query": 0}}"#, "episode.query"),
        (r#"{"dice": {"beta": -1}}"#, "dice.beta"),
        (r#"{"support": {"scale": 0}}"#, "support.scale"),
        (r#"{"alignment_weight": -1}"#, "alignment_weight"),
        (r#"{"learning_rate": -1e-3}"#, "learning_rate"),
    ] {
        let error = changed(json)?.check().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(field), "{json}: {error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn prototypes_do_not_depend_on_the_order_of_the_slices(
        order in Just((0..6_i32).collect::<Vec<_>>()).prop_shuffle(), seed: u64
    ) {
        let slices = annotated(&five_and_one(), seed)?;
        let order = Tensor::<B, 1, Int>::from_data(order.as_slice(), &DEVICE);
        let mask = |mask: &Tensor<B, 3, Bool>| mask.clone().int().select(0, order.clone()).bool();
        let shuffled = AnnotatedFeatures::new(
            slices.features().clone().select(0, order.clone()), mask(slices.foreground()), mask(slices.background())
        )?;
        let untrained = config().with_iterations(0).with_seed(seed);
        let (first, second) = (fit(&slices, &untrained)?.prototypes(), fit(&shuffled, &untrained)?.prototypes());
        prop_assert!(first.all_close(second, Some(1e-4), Some(1e-4)));
    }
}
