//! Trust in segmented volumes, with a small model of random weights: the rules hold whatever the model answers.

use burn_flex::{Flex, FlexDevice};
use ndarray::{Array2, Array3};
use sam_auto::{
    Agreement, AutoError, CoarseConfig, CoarseGenerator, CoarseMethod, Gate, GateConfig, HandOver, ImageSlices,
    RankedSlice, Segmentation, SegmentedSlice, Signal, SliceSource, SupportSlice, TrustMeter, TrustMeterConfig,
    TrustModel, rank,
};
use sam_core::{SamConfig, SamPredictor, ViTConfig};
use sapnet::SupportConfig;

fn predictor() -> SamPredictor<Flex> {
    let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
    SamPredictor::new(config.init(&FlexDevice), config.preprocess)
}

fn square(from: usize, to: usize) -> Array2<bool> {
    Array2::from_shape_fn((40, 50), |(row, column)| (from..to).contains(&row) && (from..to).contains(&column))
}

/// A bright square on some of the slices.
fn images(shown: &[bool]) -> Vec<Array3<f32>> {
    let image = |shown: &bool| {
        square(10, 25).mapv(|inside| if inside && *shown { 200.0 } else { 40.0 }).insert_axis(ndarray::Axis(2))
    };
    shown.iter().map(image).collect()
}

fn predicted(mask: Array2<bool>) -> SegmentedSlice {
    SegmentedSlice::Predicted { mask, predicted_iou: 0.9 }
}

/// What was fitted to the annotated slices.
struct Taught {
    annotated: Vec<SupportSlice<Flex>>,
    gate: Gate,
    coarse: CoarseGenerator<Flex>,
}

fn teach(source: &mut ImageSlices<'_, Flex>, outlines: &[(usize, Array2<bool>)]) -> Taught {
    let support = |(index, outline): &(usize, Array2<bool>)| {
        SupportSlice::new(*index, source.embedding(*index).expect("an image"), outline.clone()).expect("one size")
    };
    let annotated: Vec<_> = outlines.iter().map(support).collect();
    let gate = GateConfig::default().fit(&annotated).expect("a gate");
    let method = CoarseMethod::Panet(SupportConfig::default());
    let coarse = CoarseConfig { method, hand_over: HandOver::default() }.fit(&annotated).expect("prototypes");
    Taught { annotated, gate, coarse }
}

fn meter<'a>(
    taught: &'a Taught,
    predictor: &'a SamPredictor<Flex>,
    source: &mut ImageSlices<'_, Flex>,
    config: TrustMeterConfig,
) -> Result<TrustMeter<'a, Flex>, AutoError> {
    TrustMeter::new(predictor, &taught.gate, &taught.coarse, source, &taught.annotated, config)
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
    let agreement = Agreement { voxels: Array2::ones((40, 50)), slice: 0.4 };
    Segmentation { slices, agreement: [(1, agreement)].into() }
}

#[test]
fn every_slice_that_nobody_annotated_is_measured_and_ranked() -> Result<(), AutoError> {
    let predictor = predictor();
    let mut source = ImageSlices::new(&predictor, images(&[false, true, true, true, true, false]));
    let taught = teach(&mut source, &[(2, square(10, 25))]);
    let meter = meter(&taught, &predictor, &mut source, TrustMeterConfig::default())?;
    let (volume, mut reached) = (segmentation(), Vec::new());
    let measured = meter.measure(&mut source, &volume, &mut |slice| reached.push(slice))?;
    assert_eq!((reached.as_slice(), measured.len()), ([0, 1, 3, 4, 5].as_slice(), 5));
    for (&slice, signals) in &measured {
        assert_eq!(signals.found(), [1, 3, 4].contains(&slice));
        assert!(Signal::ALL.iter().all(|&signal| (0.0..=1.0).contains(&signals.get(signal))), "{signals:?}");
        // Whatever was measured before.
        assert_eq!(signals, &meter.measure_slice(&mut source, &volume, slice)?);
    }
    let is = |slice: usize, signal, value: f32| (measured[&slice].get(signal) - value).abs() < 1e-5;
    assert!(is(1, Signal::Agreement, 0.4) && is(3, Signal::Agreement, 1.0));
    assert!(is(1, Signal::PredictedIou, 0.9) && is(0, Signal::PredictedIou, 1.0));
    assert!(is(0, Signal::Neighbours, 0.0) && is(3, Signal::Intensity, 1.0));
    // Specks have no box to ask again for.
    assert!(is(4, Signal::Jitter, 0.0) && is(4, Signal::Stability, 0.0));
    assert!(measured[&1].get(Signal::Neighbours) < measured[&3].get(Signal::Neighbours));
    assert!(measured[&1].get(Signal::Intensity) < 0.1);
    assert!(is(1, Signal::Nearness, 1.0) && measured[&5].get(Signal::Nearness) < 1.0);

    let ranked: Vec<RankedSlice> = rank(&TrustModel::default(), &measured);
    assert_eq!(ranked.len(), 5);
    Ok(())
}

#[test]
fn a_volume_without_a_mask_or_without_an_open_slice_is_no_trouble() -> Result<(), AutoError> {
    let predictor = predictor();
    let mut source = ImageSlices::new(&predictor, images(&[true, false, false]));
    let taught = teach(&mut source, &[(0, square(10, 25))]);
    let meter = meter(&taught, &predictor, &mut source, TrustMeterConfig::default())?;
    let annotated = SegmentedSlice::Annotated(square(10, 25));
    let volume = Segmentation {
        slices: vec![annotated, SegmentedSlice::Empty, SegmentedSlice::Empty],
        ..Segmentation::default()
    };
    let measured = meter.measure(&mut source, &volume, &mut |_| ())?;
    assert!(measured.len() == 2 && measured.values().all(|signals| !signals.found()));
    let alone = Segmentation { slices: volume.slices[..1].to_vec(), ..Segmentation::default() };
    assert!(meter.measure(&mut source, &alone, &mut |_| ())?.is_empty());
    assert!(matches!(meter.measure_slice(&mut source, &alone, 1), Err(AutoError::NoSuchSlice { index: 1, count: 1 })));
    Ok(())
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let predictor = predictor();
    let mut source = ImageSlices::new(&predictor, images(&[true, false]));
    let mut taught = teach(&mut source, &[(0, square(10, 25))]);
    let wide = TrustMeterConfig { ring: 1.0, ..TrustMeterConfig::default() };
    assert!(matches!(meter(&taught, &predictor, &mut source, wide), Err(AutoError::Config { name: "trust.ring", .. })));
    taught.annotated.clear();
    let nothing = meter(&taught, &predictor, &mut source, TrustMeterConfig::default());
    assert!(matches!(nothing, Err(AutoError::NothingAnnotated)));
}
