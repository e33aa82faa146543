//! Trust in segmented volumes: rules that hold for any prediction of the model.

use std::{ops::ControlFlow, sync::Arc};

use ndarray::{Array2, Array3};
use sam_auto::{
    AutoError, CoarseConfig, CoarseGenerator, CoarseMethod, ConfigError, Gate, GateConfig, Segmentation,
    SegmentedSlice, Signal, TrustMeter, TrustMeterConfig, TrustModel, rank,
};
use sam_core::{AnnotatedSlice, CoreError, SamPredictor};
use sam_prompt::progress::ignore_progress;
use sam_testing::{
    B,
    tiny::{fixed, rectangle},
};
use sapnet::SupportConfig;

use crate::common::Images;

fn square(from: usize, to: usize) -> Array2<bool> {
    rectangle(from..to, from..to)
}

/// A bright square on some of the slices.
fn images(shown: &[bool]) -> Vec<Array3<u8>> {
    let image = |shown: &bool| {
        square(10, 25).mapv(|inside| if inside && *shown { 200 } else { 40 }).insert_axis(ndarray::Axis(2))
    };
    shown.iter().map(image).collect()
}

fn predicted(mask: Array2<bool>) -> SegmentedSlice {
    SegmentedSlice::Predicted { mask, predicted_iou: Some(0.9) }
}

/// What was fitted to the annotated slices.
struct Fitted {
    annotated: Vec<AnnotatedSlice<B>>,
    gate: Arc<Gate>,
    coarse: CoarseGenerator<B>,
}

fn fit(source: &Images, outlines: &[(usize, Array2<bool>)]) -> Fitted {
    let annotated: Vec<_> = outlines.iter().map(|(index, outline)| source.annotated(*index, outline.clone())).collect();
    let gate = Arc::new(GateConfig::default().fit(&annotated).expect("a gate"));
    let config = CoarseConfig::default().with_method(CoarseMethod::Panet(SupportConfig::default()));
    let coarse = config.fit(&annotated, &mut ignore_progress()).expect("prototypes");
    Fitted { annotated, gate, coarse }
}

fn meter(
    fitted: &Fitted,
    predictor: &SamPredictor<B>,
    source: &Images,
    config: TrustMeterConfig,
) -> Result<TrustMeter<B>, AutoError> {
    let Fitted { annotated, gate, coarse } = fitted;
    TrustMeter::new(predictor.clone(), gate.clone(), coarse.clone(), source, annotated, config)
}

/// Slices 0 to 5: empty, poor, outlined, good, specks, empty.
fn segmentation() -> Segmentation {
    let slices = vec![
        SegmentedSlice::Empty,
        predicted(square(2, 9)),
        SegmentedSlice::Annotated(square(10, 25)),
        predicted(square(10, 25)),
        predicted(square(30, 32)),
        SegmentedSlice::Empty,
    ];
    Segmentation::new(slices).with_agreement([(1, 0.4)].into())
}

#[test]
fn every_slice_that_is_not_annotated_is_measured_and_ranked() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = Images::new(&predictor, images(&[false, true, true, true, true, false]));
    let fitted = fit(&source, &[(2, square(10, 25))]);
    let meter = meter(&fitted, &predictor, &source, TrustMeterConfig::default())?;
    let (volume, mut reached) = (segmentation(), Vec::new());
    let measured = meter.measure(&source, &volume, &mut |progress| {
        assert_eq!(progress.total, 5);
        reached.extend(progress.slice);
        ControlFlow::Continue(())
    })?;
    let measured = measured.signals;
    assert_eq!((reached.as_slice(), measured.len()), ([0, 1, 3, 4, 5].as_slice(), 5));
    for (&slice, signals) in &measured {
        assert_eq!(signals.found(), [1, 3, 4].contains(&slice));
        assert!(Signal::ALL.iter().all(|&signal| (0.0..=1.0).contains(&signals.get(signal))), "{signals:?}");
        // The signals do not depend on earlier measurements.
        assert_eq!(signals, &meter.measure_slice(&source, &volume, slice)?);
    }
    let is = |slice: usize, signal, value: f32| (measured[&slice].get(signal) - value).abs() < 1e-5;
    // Of slice 3 it is not known, so that it counts as that of the others.
    assert!(is(1, Signal::Agreement, 0.4) && is(3, Signal::Agreement, 0.4) && is(0, Signal::Agreement, 1.0));
    assert!(is(1, Signal::PredictedIou, 0.9) && is(0, Signal::PredictedIou, 1.0));
    assert!(is(0, Signal::Neighbours, 0.0) && is(3, Signal::Intensity, 1.0));
    // Specks have no box, so they are not predicted again.
    assert!(is(4, Signal::Jitter, 0.0) && is(4, Signal::Stability, 0.0));
    assert!(measured[&1].get(Signal::Neighbours) < measured[&3].get(Signal::Neighbours));
    assert!(measured[&1].get(Signal::Intensity) < 0.1);
    assert!(is(1, Signal::Nearness, 1.0) && measured[&5].get(Signal::Nearness) < 1.0);

    let ranked = rank(&TrustModel::default(), &measured);
    assert_eq!(ranked.len(), 5);
    Ok(())
}

#[test]
fn slices_far_from_the_structure_are_not_measured() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = Images::new(&predictor, images(&[false, true, true, true, true, false]));
    let fitted = fit(&source, &[(2, square(10, 25))]);
    for (reach, expected) in [(Some(0), &[1, 3, 4][..]), (Some(1), &[0, 1, 3, 4, 5]), (None, &[0, 1, 3, 4, 5])] {
        let meter = meter(&fitted, &predictor, &source, TrustMeterConfig::default().with_reach(reach))?;
        let measured = meter.measure(&source, &segmentation(), &mut |progress| {
            assert_eq!(progress.total, expected.len());
            ControlFlow::Continue(())
        })?;
        assert_eq!(measured.signals.into_keys().collect::<Vec<_>>(), expected, "{reach:?}");
    }
    Ok(())
}

#[test]
fn a_volume_without_a_mask_or_without_an_open_slice_is_no_trouble() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = Images::new(&predictor, images(&[true, false, false]));
    let fitted = fit(&source, &[(0, square(10, 25))]);
    let meter = meter(&fitted, &predictor, &source, TrustMeterConfig::default())?;
    let annotated = SegmentedSlice::Annotated(square(10, 25));
    let volume = Segmentation::new(vec![annotated, SegmentedSlice::Empty, SegmentedSlice::Empty]);
    let measured = meter.measure(&source, &volume, &mut ignore_progress())?.signals;
    assert!(measured.len() == 2 && measured.values().all(|signals| !signals.found()));
    let alone = Segmentation::new(volume.slices[..1].to_vec());
    assert!(meter.measure(&source, &alone, &mut ignore_progress())?.signals.is_empty());
    assert!(matches!(
        meter.measure_slice(&source, &alone, 1),
        Err(AutoError::Core(CoreError::NoSuchSlice { index: 1, count: 1 }))
    ));
    Ok(())
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let predictor = fixed();
    let source = Images::new(&predictor, images(&[true, false]));
    let mut fitted = fit(&source, &[(0, square(10, 25))]);
    let wide = TrustMeterConfig::default().with_ring(1.0);
    let refused = meter(&fitted, &predictor, &source, wide);
    assert!(matches!(refused, Err(AutoError::Config(ConfigError { name: "trust.ring", .. }))));
    fitted.annotated.clear();
    let nothing = meter(&fitted, &predictor, &source, TrustMeterConfig::default());
    assert!(matches!(nothing, Err(AutoError::NothingAnnotated)));
}
