//! Progress events and stopping.

use std::{collections::BTreeSet, ops::ControlFlow};

use sam_annotate::{
    AnnotateConfig, Annotations, Corrections, Decisions, Event, RoundStart, Start,
    cards::CardFiles,
    ignore_events,
    progress::Stage,
    sam_auto::{GateConfig, GeneratorConfig, GeneratorKind, GeneratorStrategy, Strategy, sapnet::SapNetConfig},
};

use crate::{Result, tiny::Desk};

/// Outlines of two structures on two slices: the scan's structure, and another one in a corner.
fn two_structures(desk: &Desk) -> (Annotations, u16) {
    let mut annotations = desk.annotations();
    let other = desk.value + 1;
    for &slice in [&desk.shown[0], &desk.shown[desk.shown.len() - 1]] {
        let mut labels = desk.truth(slice);
        labels.slice_mut(sam_annotate::ndarray::s![..6, ..6]).fill(other);
        desk.plane.insert(&mut annotations.labels.labels, slice, labels.view());
    }
    (annotations.with_names([(desk.value, "organ".to_owned()), (other, "corner".to_owned())]), other)
}

#[test]
fn every_stage_of_every_structure_is_reported() -> Result {
    let desk = Desk::new();
    let (annotations, _) = two_structures(&desk);
    let (mut stages, mut milestones) = (BTreeSet::new(), Vec::new());
    let mut events = |event: &Event| {
        let what = match event {
            Event::Progress { progress, .. } => {
                assert!(progress.done <= progress.total, "{progress:?}");
                stages.insert((event.structure().to_owned(), format!("{:?}", progress.stage)));
                return ControlFlow::Continue(());
            }
            Event::Learned { .. } => "learned",
            Event::Segmented { .. } => "segmented",
            Event::Ranked { .. } => "ranked",
            other => panic!("{other:?}"),
        };
        milestones.push(format!("{} {what}", event.structure()));
        ControlFlow::Continue(())
    };
    let annotated = desk.annotator()?.annotate(&annotations, Start::Model, &mut events)?;
    assert!(!annotated.stopped);
    let expected = ["learned", "segmented", "ranked"];
    let expected: Vec<_> =
        ["organ", "corner"].iter().flat_map(|name| expected.map(|what| format!("{name} {what}"))).collect();
    assert_eq!(milestones, expected);
    for name in ["organ", "corner"] {
        for stage in ["Embed", "Learn", "Segment", "Rank"] {
            assert!(stages.contains(&(name.to_owned(), stage.to_owned())), "{name} {stage}: {stages:?}");
        }
    }
    Ok(())
}

#[test]
fn sapnet_is_trained_once_with_values_of_the_users() -> Result {
    let desk = Desk::new();
    let config = GeneratorConfig::default()
        .with_sapnet(SapNetConfig::default().with_iterations(3))
        .with_gate(GateConfig::default().with_threshold(-5.0));
    let strategy = Strategy::Generators(GeneratorStrategy::new(GeneratorKind::Sapnet).with_config(config));
    let mut config = AnnotateConfig::new(strategy).with_seed(5);
    config.learning.iterations = 2;
    let mut trained = Vec::new();
    let mut events = |event: &Event| {
        match event {
            Event::Progress { progress, .. } if progress.stage == Stage::Fit => trained.push(progress.done),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    desk.builder()?.config(config).build()?.annotate(&desk.annotations(), Start::Model, &mut events)?;
    assert_eq!(trained, [1, 2, 3]);
    Ok(())
}

#[test]
fn a_stopped_run_has_complete_structures_only() -> Result {
    let desk = Desk::new();
    let (annotations, other) = two_structures(&desk);
    let annotator = desk.annotator()?;
    let whole = annotator.annotate(&annotations, Start::Model, &mut ignore_events())?;
    for stage in [Stage::Learn, Stage::Segment, Stage::Rank] {
        // Stops in the middle of the second structure.
        let mut stop = |event: &Event| match event {
            Event::Progress { structure, progress, .. } if &**structure == "corner" && progress.stage == stage => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        let partial = annotator.annotate(&annotations, Start::Model, &mut stop)?;
        assert!(partial.stopped);
        assert_eq!(partial.structures.len(), 1, "{stage:?}");
        assert_eq!(partial.structures[0].slices, whole.structures[0].slices);
        assert_eq!(partial.structures[0].ranking, whole.structures[0].ranking);
        // Of the other structure there are only the outlines.
        for slice in 0..desk.plane.count() {
            let has_other = desk.slice(&partial.labels, slice).iter().any(|&label| label == other);
            let outlined = desk.slice(&annotations.labels, slice).iter().any(|&label| label == other);
            assert_eq!(has_other, outlined, "{stage:?}, slice {slice}");
        }
    }
    // Before the first structure is complete, there are only the outlines.
    let nothing = annotator.annotate(&annotations, Start::Model, &mut |_| ControlFlow::Break(()))?;
    assert!(nothing.stopped && nothing.structures.is_empty());
    assert_eq!(nothing.labels, annotations.labels);
    Ok(())
}

#[test]
fn a_stopped_round_is_not_recorded() -> Result {
    let desk = Desk::new();
    let annotator = desk.annotator()?;
    let mut session = annotator.create_session(desk.path("session"), &desk.annotations())?;
    Decisions::new(&session, &Corrections::none().with_labels(desk.annotations().labels))?.record(&mut session)?;
    let before = session.entries().to_vec();
    let mut stop = |event: &Event| match event {
        Event::Progress { progress, .. } if progress.stage == Stage::Learn && progress.done == 3 => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    let stopped = annotator.round(&mut session, RoundStart::Model, &mut stop)?;
    assert!(stopped.number.is_none() && stopped.annotated.stopped);
    assert_eq!(session.entries(), before);
    // The repeated round gives the same result as a round that was not stopped.
    let outcome = annotator.round(&mut session, RoundStart::Model, &mut ignore_events())?;
    assert_eq!(outcome.number, Some(1));
    let mut replay_stop = |_: &Event| ControlFlow::Break(());
    assert!(annotator.replay(&session, &mut replay_stop)?.stopped);
    Ok(())
}

#[test]
fn a_card_takes_the_place_of_learning_and_is_refused_for_other_weights() -> Result {
    let desk = Desk::new();
    let scan = desk.scan()?;
    let files = CardFiles::open(desk.path("organ.safetensors"), &BTreeSet::from([desk.value]), &scan)?;
    let annotator = desk.builder()?.save_cards(files).build()?;
    let learned = annotator.annotate(&desk.annotations(), Start::Model, &mut ignore_events())?;
    let cards = sam_annotate::cards::load(&[desk.path("organ.safetensors")], annotator.weights_sha256())?;
    let again = annotator.annotate(&desk.annotations(), Start::Cards(cards.clone()), &mut ignore_events())?;
    assert_eq!(again.labels, learned.labels);
    assert!(again.structures[0].learning_seconds.is_none() && again.learned_cards().is_empty());
    let too_many = Start::Cards(vec![cards[0].clone(), cards[0].clone()]);
    let error = annotator.annotate(&desk.annotations(), too_many, &mut ignore_events()).expect_err("two cards");
    assert!(error.to_string().contains("there are 2 cards"), "{error}");
    assert!(sam_annotate::cards::load(&[desk.path("organ.safetensors")], &"0".repeat(64)).is_err());
    Ok(())
}

#[test]
fn annotations_that_make_no_sense_are_refused() -> Result {
    let desk = Desk::new();
    let annotator = desk.annotator()?;
    let nothing = Annotations::new(desk.outlines(&[]));
    let mut elsewhere = desk.annotations();
    elsewhere.labels.grid.affine[2][3] += 5.0;
    for (annotations, part) in [
        (nothing, "outline the structure on 2 to 5 slices"),
        (elsewhere, "do not lie on the grid of scan.nii.gz"),
        (desk.annotations().with_empty([99]), "slice 99 is listed as empty"),
        (desk.annotations().with_empty([desk.shown[0]]), "but has an outline"),
    ] {
        let error = annotator.annotate(&annotations, Start::Model, &mut ignore_events()).expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}
