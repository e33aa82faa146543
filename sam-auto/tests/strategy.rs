//! The whole pipeline: learn, fit once, segment, rank.

use std::ops::ControlFlow;

use sam_assist::{AssistConfig, learn_structure};
use sam_auto::{
    AutoError, ClassifierConfig, CoarseMethod, GateConfig, GeneratorConfig, GeneratorKind, GeneratorStrategy,
    MaskPropagationConfig, PromptExtraction, PromptParts, SegmentedSlice, Strategy, TrustConfig, VolumeSegmenter, rank,
};
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::progress::{Progress, Stage, ignore_progress};
use sapnet::SapNetConfig;

use crate::common::{Images, moving_image, moving_outline, predictor, stop_after};

fn source(predictor: &SamPredictor<burn_flex::Flex>) -> Images {
    Images::new(predictor, (0..11).map(moving_image).collect())
}

fn annotated(source: &Images) -> Vec<AnnotatedSlice<burn_flex::Flex>> {
    [3, 6, 9].map(|index| source.annotated(index, moving_outline(index))).to_vec()
}

fn sapnet() -> SapNetConfig {
    SapNetConfig::default().with_iterations(12).with_seed(3)
}

/// Every slice passes the gate.
fn open_gate() -> GateConfig {
    GateConfig::default().with_threshold(-5.0)
}

fn strategy(kind: GeneratorKind) -> Strategy {
    let config = GeneratorConfig::default().with_sapnet(sapnet()).with_gate(open_gate());
    Strategy::Generators(GeneratorStrategy::new(kind).with_config(config))
}

/// Trust with the same gate and SAP-Net as [`strategy`].
fn trust() -> TrustConfig {
    let mut trust = TrustConfig::new(3).with_gate(open_gate());
    trust.coarse.method = CoarseMethod::Sapnet(sapnet());
    trust
}

#[test]
fn learning_fits_the_prompts() {
    let of =
        |parts| Strategy::Generators(GeneratorStrategy::new(GeneratorKind::Sapnet).with_parts(parts)).learning(7, 3);
    let expected = |preset: AssistConfig| preset.with_seed(7).with_members(3);
    assert_eq!(Strategy::default().learning(7, 3), expected(AssistConfig::mixed()));
    assert_eq!(of(PromptParts::Points), expected(AssistConfig::points()));
    for parts in [PromptParts::Box, PromptParts::Mask, PromptParts::BoxMask] {
        assert_eq!(of(parts), expected(AssistConfig::boxes()));
    }
    assert_eq!(of(PromptParts::PointsBoxMask), expected(AssistConfig::composite()));
}

#[test]
fn sapnet_is_trained_once_for_prompts_and_trust() -> Result<(), Box<dyn std::error::Error>> {
    let predictor = predictor();
    let source = source(&predictor);
    let annotated = annotated(&source);
    for (kind, own, of_trust) in [
        (GeneratorKind::Sapnet, 12, 0),
        // Two networks, and the classifier's iterations.
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

        // A strategy that has fitted nothing gives the same ranking: what is reused is what would be fitted.
        let nothing = Strategy::default().fit(annotated.clone(), &source, &mut ignore_progress())?;
        let alone = trust().rank(&nothing, &predictor, &found, &source, &mut ignore_progress())?;
        assert_eq!(ranking, alone, "{kind}");
        assert_eq!(ranking.slices.len(), 8);
        // The parts that an evaluation uses give the same ranking.
        let generators = fitted.generators().ok_or("generators were fitted")?;
        if let Some(meter) = generators.trust_meter(predictor.clone(), &source, trust().meter)? {
            let measured = meter.measure(&source, &found, &mut ignore_progress())?;
            assert_eq!(rank(&trust().model, &measured.signals), ranking.slices, "{kind}");
        }
    }
    Ok(())
}

#[test]
fn another_gate_or_seed_is_not_reused() -> Result<(), AutoError> {
    let predictor = predictor();
    let source = source(&predictor);
    let fitted = strategy(GeneratorKind::Sapnet).fit(annotated(&source), &source, &mut ignore_progress())?;
    let found = fitted.segment(&predictor, &source, &mut ignore_progress())?;
    let mut other = trust();
    other.coarse.method = CoarseMethod::Sapnet(sapnet().with_seed(4));
    other.gate = GateConfig::default().with_fields(2);
    let ranking = other.rank(&fitted, &predictor, &found, &source, &mut ignore_progress())?;
    let nothing = Strategy::default().fit(annotated(&source), &source, &mut ignore_progress())?;
    assert_eq!(ranking, other.rank(&nothing, &predictor, &found, &source, &mut ignore_progress())?);
    Ok(())
}

#[test]
fn a_strategy_segments_as_its_parts_do() -> Result<(), Box<dyn std::error::Error>> {
    let original = predictor();
    let source = source(&original);
    let annotated = annotated(&source);
    let strategy = strategy(GeneratorKind::Classification);
    let learning = strategy.learning(3, 1).with_iterations(10);
    let learned = learn_structure(&original, &annotated, &learning, None, &mut ignore_progress())?;
    let predictor = learned.adaptation.apply(&original);
    let whole = strategy.segment(annotated.clone(), &predictor, &source, &mut ignore_progress())?;

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
fn a_stopped_call_leaves_a_marked_part_or_nothing() -> Result<(), AutoError> {
    let predictor = predictor();
    let source = source(&predictor);
    let annotated = annotated(&source);
    let propagation = MaskPropagationConfig::default().with_min_iou(0.0).with_max_growth(f32::INFINITY);
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
    // While slices are embedded, and while SAP-Net is trained.
    for calls in [3, 15] {
        let stopped = strategy(GeneratorKind::Sapnet).fit(annotated.clone(), &source, &mut stop_after(calls));
        assert!(matches!(stopped, Err(AutoError::Stopped)), "{calls}");
    }
    // After the last iteration of the first of two networks: the observer need not say so twice.
    let mut calls = 0;
    let stopped = strategy(GeneratorKind::Ensemble).fit(annotated.clone(), &source, &mut |_: &Progress| {
        calls += 1;
        if calls == 11 + 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(AutoError::Stopped)));
    assert_eq!(calls, 11 + 12);
    // In the first iteration after the 11 slices were embedded.
    for kind in [GeneratorKind::Classification, GeneratorKind::Propagation] {
        let stopped = strategy(kind).fit(annotated.clone(), &source, &mut stop_after(12));
        assert!(matches!(stopped, Err(AutoError::Stopped)), "{kind}");
    }
    Ok(())
}

#[test]
fn generators_of_every_kind_are_shared_between_threads() -> Result<(), AutoError> {
    let predictor = predictor();
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
