//! The whole pipeline: learn, fit once, segment, rank.

use std::ops::ControlFlow;

use sam_assist::{AssistConfig, learn_structure};
use sam_auto::{
    AutoError, ClassifierConfig, CleanUp, CoarseConfig, CoarseMethod, GateConfig, GeneratorConfig, GeneratorKind,
    GeneratorStrategy, MaskPropagationConfig, PointPropagationConfig, PromptExtraction, PromptParts, SegmentedSlice,
    Strategy, StrategyKind, TrustConfig, TrustMeterConfig, VolumeSegmenter,
};
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_prompt::{
    BoxJitter, JitterRange,
    progress::{Progress, Stage, ignore_progress},
};
use sam_testing::{B, TestResult, tiny::fixed};
use sapnet::{FourierPositionConfig, SapNetConfig, SupportConfig};

use crate::common::{Gone, Images, moving_image, moving_outline, stop_after};

fn source(predictor: &SamPredictor<B>) -> Images {
    Images::new(predictor, (0..11).map(moving_image).collect())
}

fn annotated(source: &Images) -> Vec<AnnotatedSlice<B>> {
    [3, 6, 9].map(|index| source.annotated(index, moving_outline(index))).to_vec()
}

fn sapnet() -> SapNetConfig {
    SapNetConfig::default().with_iterations(12).with_seed(3)
}

/// A gate that every slice passes.
fn open_gate() -> GateConfig {
    GateConfig::default().with_threshold(-5.0)
}

fn strategy(kind: GeneratorKind) -> Strategy {
    let config = GeneratorConfig::default().with_sapnet(sapnet()).with_gate(open_gate());
    Strategy::Generators(GeneratorStrategy::new(kind).with_config(config))
}

/// Trust with the same gate and SAP-Net as [`strategy`], whatever its kind.
fn trust() -> TrustConfig {
    let trust = TrustConfig::new(3).reusing(&strategy(GeneratorKind::Sapnet));
    assert_eq!((&trust.gate, &trust.coarse.method), (&open_gate(), &CoarseMethod::Sapnet(sapnet())));
    trust
}

#[test]
fn learning_fits_the_prompts() {
    let of =
        |parts| Strategy::Generators(GeneratorStrategy::new(GeneratorKind::Sapnet).with_parts(parts)).learning(7, 3);
    let expected = |preset: AssistConfig| preset.with_seed(7).with_members(3);
    for kind in [StrategyKind::Fusion, StrategyKind::MaskPropagation, StrategyKind::Shape] {
        assert_eq!(Strategy::from(kind).learning(7, 3), expected(AssistConfig::mixed()));
    }
    assert_eq!(Strategy::default(), StrategyKind::Fusion.into());
    assert_eq!(of(PromptParts::Points), expected(AssistConfig::points()));
    for parts in [PromptParts::Box, PromptParts::Mask, PromptParts::BoxMask] {
        assert_eq!(of(parts), expected(AssistConfig::boxes()));
    }
    assert_eq!(of(PromptParts::PointsBoxMask), expected(AssistConfig::composite()));
}

#[test]
fn sapnet_is_trained_once_for_prompts_and_trust() -> TestResult {
    let predictor = fixed();
    let source = source(&predictor);
    let annotated = annotated(&source);
    for (kind, own, of_trust) in [
        (GeneratorKind::Sapnet, 12, 0),
        // Iterations of two networks and of the classifier.
        (GeneratorKind::Ensemble, 24 + ClassifierConfig::default().iterations, 0),
        // Without a SAP-Net among the generators, trust trains one.
        (GeneratorKind::Panet, 1, 12),
    ] {
        let mut trained = Vec::new();
        let mut count = |progress: &Progress| {
            if progress.stage == Stage::Fit {
                trained.push((progress.done, progress.total));
            }
            ControlFlow::Continue(())
        };
        let fitted = strategy(kind).fit(annotated.clone(), &source, &mut count)?;
        let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
        let ranking = trust().rank(&fitted, &predictor, &found, &source, &mut count)?;
        let expected: Vec<_> =
            (1..=own).map(|done| (done, own)).chain((1..=of_trust).map(|done| (done, of_trust))).collect();
        assert_eq!(trained, expected, "{kind}");

        // A strategy that has fitted nothing gives the same ranking, so reuse does not change the result.
        let nothing =
            Strategy::from(StrategyKind::MaskPropagation).fit(annotated.clone(), &source, &mut ignore_progress())?;
        let alone = trust().rank(&nothing, &predictor, &found, &source, &mut ignore_progress())?;
        assert_eq!(ranking, alone, "{kind}");
        assert_eq!(ranking.slices.len(), 8);
    }
    Ok(())
}

#[test]
fn another_gate_or_seed_is_not_reused() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = source(&predictor);
    let fitted = strategy(GeneratorKind::Sapnet).fit(annotated(&source), &source, &mut ignore_progress())?;
    let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
    let mut other = trust();
    other.coarse.method = CoarseMethod::Sapnet(sapnet().with_seed(4));
    other.gate = GateConfig::default().with_fields(2);
    let ranking = other.rank(&fitted, &predictor, &found, &source, &mut ignore_progress())?;
    let nothing =
        Strategy::from(StrategyKind::MaskPropagation).fit(annotated(&source), &source, &mut ignore_progress())?;
    assert_eq!(ranking, other.rank(&nothing, &predictor, &found, &source, &mut ignore_progress())?);
    Ok(())
}

#[test]
fn a_strategy_segments_as_its_parts_do() -> TestResult {
    let original = fixed();
    let source = source(&original);
    let annotated = annotated(&source);
    let strategy = strategy(GeneratorKind::Classification);
    let learning = strategy.learning(3, 1).with_iterations(10);
    let learned = learn_structure(&original, &annotated, &learning, None, &mut ignore_progress())?;
    let predictor = learned.adaptation.apply(&original);
    let whole = strategy.segment(annotated.clone(), &predictor, &source, &mut ignore_progress())?;

    let segmenter = strategy.fit(annotated.clone(), &source, &mut ignore_progress())?.segmenter(&predictor)?;
    let segmenter = segmenter.ok_or("generators are no mask propagation")?;
    let outlines = [3, 6, 9].map(|index| (index, moving_outline(index))).into();
    assert_eq!(segmenter.segment(&source, &outlines, &mut ignore_progress())?, whole);
    let propagation =
        Strategy::from(StrategyKind::MaskPropagation).fit(annotated.clone(), &source, &mut ignore_progress())?;
    assert!(propagation.segmenter(&predictor)?.is_none());

    let Strategy::Generators(parts) = &strategy else { panic!("{strategy:?}") };
    let fitted = parts.config.fit(parts.kind, annotated, &source, &mut ignore_progress())?;
    let extraction = PromptParts::Box.extraction(5, &PromptExtraction::default());
    let segmenter = VolumeSegmenter::new(predictor, fitted.gated(&extraction)?, sam_auto::SegmenterConfig::default())?;
    assert_eq!(segmenter.segment(&source, &fitted.outlines(), &mut ignore_progress())?, whole);
    for index in [3, 6, 9] {
        assert_eq!(whole.slices[index], SegmentedSlice::Annotated(moving_outline(index)));
    }
    Ok(())
}

#[test]
fn a_closed_gate_leaves_no_mask_and_an_open_one_changes_none() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = source(&predictor);
    // Slices that are more than two away from the outlined one do not pass.
    let gate = GateConfig::default().with_threshold(-5.0).with_distance_weight(20.0);
    let config = GeneratorConfig::default().with_sapnet(sapnet()).with_gate(gate);
    let annotated = vec![source.annotated(3, moving_outline(3))];
    for kind in [GeneratorKind::Panet, GeneratorKind::Classification, GeneratorKind::Propagation] {
        let strategy = GeneratorStrategy::new(kind).with_config(config.clone());
        let fitted = config.fit(kind, annotated.clone(), &source, &mut ignore_progress())?;
        let [gated, open] = [
            fitted.segmenter(&predictor, &strategy)?.segment(&source, &fitted.outlines(), &mut ignore_progress())?,
            fitted.ungated_segmenter(&predictor, &strategy)?.segment(
                &source,
                &fitted.outlines(),
                &mut ignore_progress(),
            )?,
        ];
        let mut closed = 0;
        for (index, slice) in gated.slices.iter().enumerate() {
            let passes = fitted.gate().passes(index, &source.embedding(index)?);
            closed += usize::from(!passes);
            assert_eq!(slice, if passes { &open.slices[index] } else { &SegmentedSlice::Empty }, "{kind}, {index}");
        }
        assert!((1..gated.slices.len() - 1).contains(&closed), "{closed} slices do not pass");
    }
    Ok(())
}

#[test]
fn values_out_of_range_are_refused_before_any_slice_is_embedded() {
    let of = |parts: GeneratorStrategy, config| Strategy::Generators(parts.with_config(config));
    let new = || GeneratorStrategy::new(GeneratorKind::Sapnet);
    let config = GeneratorConfig::default;
    let classifier = |classifier| config().with_classifier(classifier);
    let position = FourierPositionConfig::default().with_sigma(0.0);
    let wrong = [
        of(new(), classifier(ClassifierConfig::default().with_iterations(0))),
        of(new(), classifier(ClassifierConfig::default().with_l2(f64::NAN))),
        of(new(), classifier(ClassifierConfig::default().with_position(Some(position)))),
        of(new(), config().with_panet(SupportConfig::default().with_scale(0.0))),
        of(new(), config().with_sapnet(sapnet().with_learning_rate(-1.0))),
        of(new(), config().with_propagation(PointPropagationConfig::default().with_points(0))),
        of(new(), config().with_gate(GateConfig::default().with_fields(0))),
        of(new(), config().with_extraction(PromptExtraction::default().with_box_margin(f32::NAN))),
        of(new().with_clean_up(CleanUp::Volume(0)), config()),
        of(new().with_clean_up(CleanUp::EachSlice(0)), config()),
        of(new().with_parts(PromptParts::Points).with_points(0), config()),
        Strategy::MaskPropagation(MaskPropagationConfig::default().with_max_growth(0.0)),
    ];
    let predictor = fixed();
    let annotated = annotated(&source(&predictor));
    for strategy in &wrong {
        assert!(matches!(strategy.check(), Err(AutoError::Config(_) | AutoError::Coarse(_))), "{strategy:?}");
        let refused = strategy.fit(annotated.clone(), &Gone(11), &mut ignore_progress());
        assert!(matches!(refused, Err(AutoError::Config(_) | AutoError::Coarse(_))), "{strategy:?}");
    }
    for kind in GeneratorKind::ALL {
        let parts = GeneratorStrategy::new(*kind);
        assert!(of(parts.clone().with_points(usize::from(parts.parts != PromptParts::Box)), config()).check().is_ok());
    }
    // Propagated points have their own number.
    assert!(of(GeneratorStrategy::new(GeneratorKind::Propagation).with_points(0), config()).check().is_ok());
    let jitter = BoxJitter { range: JitterRange::Pixels(-1.0), ..BoxJitter::default() };
    for trust in [
        TrustConfig::new(0).with_meter(TrustMeterConfig::default().with_jitter(jitter)),
        TrustConfig::new(0)
            .with_coarse(CoarseConfig::default().with_method(CoarseMethod::Sapnet(sapnet().with_feature_weight(0.0)))),
    ] {
        assert!(trust.check().is_err(), "{trust:?}");
    }
}

#[test]
fn a_stopped_call_leaves_a_marked_part_or_nothing() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = source(&predictor);
    let annotated = annotated(&source);
    // No mask counts as a jump. A jumped mask would not be final.
    let propagation = MaskPropagationConfig::default()
        .with_min_iou(0.0)
        .with_max_growth(f32::INFINITY)
        .with_min_predicted_iou(f32::NEG_INFINITY);
    for strategy in [strategy(GeneratorKind::Panet), Strategy::MaskPropagation(propagation)] {
        let fitted = strategy.fit(annotated.clone(), &source, &mut ignore_progress())?;
        let whole = fitted.segment(&predictor, &source, &mut ignore_progress())?;
        let part = fitted.segment(&predictor, &source, &mut stop_after(2))?;
        assert!(part.stopped && !whole.stopped, "{strategy:?}");
        let reached = |slice: &&SegmentedSlice| **slice != SegmentedSlice::NotReached;
        // The three annotated slices, and two more.
        assert_eq!(part.slices.iter().filter(reached).count(), 5, "{strategy:?}");
        assert!(whole.slices.iter().all(|slice| reached(&slice)), "{strategy:?}");
        for (part, whole) in part.slices.iter().zip(&whole.slices).filter(|(part, _)| reached(part)) {
            assert_eq!(part, whole, "{strategy:?}");
        }
        let ranking = trust().rank(&fitted, &predictor, &part, &source, &mut ignore_progress())?;
        assert_eq!((ranking.slices.len(), ranking.stopped), (2, false), "{strategy:?}");
    }
    let fitted = strategy(GeneratorKind::Sapnet).fit(annotated.clone(), &source, &mut ignore_progress())?;
    let whole = fitted.segment(&predictor, &source, &mut ignore_progress())?;
    let ranking = trust().rank(&fitted, &predictor, &whole, &source, &mut stop_after(3))?;
    assert_eq!((ranking.slices.len(), ranking.stopped), (3, true));
    // Stops while slices are embedded, and while SAP-Net is trained.
    for calls in [3, 15] {
        let stopped = strategy(GeneratorKind::Sapnet).fit(annotated.clone(), &source, &mut stop_after(calls));
        assert!(matches!(stopped, Err(AutoError::Stopped)), "{calls}");
    }
    // Stops after the last iteration of the first of two networks. The observer is not called again.
    let mut calls = 0;
    let stopped = strategy(GeneratorKind::Ensemble).fit(annotated.clone(), &source, &mut |_: &Progress| {
        calls += 1;
        if calls == 11 + 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(AutoError::Stopped)));
    assert_eq!(calls, 11 + 12);
    // Stops in the first iteration after the 11 slices were embedded.
    for kind in [GeneratorKind::Classification, GeneratorKind::Propagation] {
        let stopped = strategy(kind).fit(annotated.clone(), &source, &mut stop_after(12));
        assert!(matches!(stopped, Err(AutoError::Stopped)), "{kind}");
    }
    Ok(())
}

#[test]
fn generators_of_every_kind_are_shared_between_threads() -> Result<(), AutoError> {
    let predictor = fixed();
    let source = source(&predictor);
    for &kind in GeneratorKind::ALL {
        let fitted = strategy(kind).fit(annotated(&source), &source, &mut ignore_progress())?;
        let expected = fitted.segment(&predictor, &source, &mut ignore_progress())?;
        std::thread::scope(|scope| {
            let work = || fitted.clone().segment(&predictor, &source, &mut ignore_progress());
            for both in [scope.spawn(work), scope.spawn(work)] {
                assert_eq!(both.join().expect("it does not panic").expect("a volume"), expected, "{kind}");
            }
        });
    }
    Ok(())
}
