//! Progress events and stopping.

use std::{collections::BTreeSet, ops::ControlFlow};

use sam_annotate::{
    AnnotateConfig, Annotated, Annotations, Corrections, Decisions, Event, LearnedFrom, RoundStart, Start,
    StructureSummary, Window,
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
                let name = event.structure().expect("progress of a structure").to_owned();
                stages.insert((name, format!("{:?}", progress.stage)));
                return ControlFlow::Continue(());
            }
            Event::Understood { summary } => {
                assert!(milestones.is_empty() && stages.is_empty(), "it is told before anything else");
                assert_eq!(summary.structures.len(), 2);
                return ControlFlow::Continue(());
            }
            Event::Learned { .. } => "learned",
            Event::Segmented { .. } => "segmented",
            Event::Ranked { .. } => "ranked",
            Event::Expected { .. } => "expected",
            other => panic!("{other:?}"),
        };
        milestones.push(format!("{} {what}", event.structure().expect("a structure")));
        ControlFlow::Continue(())
    };
    let annotated = desk.annotator()?.annotate(&annotations, Start::Model, &mut events)?;
    assert!(!annotated.stopped);
    let expected = ["learned", "segmented", "ranked"];
    let mut expected: Vec<_> =
        ["organ", "corner"].iter().flat_map(|name| expected.map(|what| format!("{name} {what}"))).collect();
    // When all masks are known.
    expected.extend(["organ expected".to_owned(), "corner expected".to_owned()]);
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
    // Everything is embedded already.
    assert_eq!((learned.embedded > 0, again.embedded), (true, 0));
    let seconds = |annotated: &Annotated| {
        let record = annotated.record()["seconds"][&annotated.structures[0].name].clone();
        ["embed", "learn", "fit", "segment", "rank", "test"].map(|stage| record[stage].as_f64().unwrap_or(f64::NAN))
    };
    let (first, second) = (seconds(&learned), seconds(&again));
    assert!(first.iter().all(|&seconds| seconds > 0.0), "{first:?}");
    assert!(second[2..5].iter().all(|&seconds| seconds > 0.0), "{second:?}");
    assert!(again.structures[0].learning_seconds.is_none() && again.learned_cards().is_empty());
    let too_many = Start::Cards(vec![cards[0].clone(), cards[0].clone()]);
    let error = annotator.annotate(&desk.annotations(), too_many, &mut ignore_events()).expect_err("two cards");
    assert!(error.to_string().contains("found 2 cards"), "{error}");
    assert!(sam_annotate::cards::load(&[desk.path("organ.safetensors")], &"0".repeat(64)).is_err());
    Ok(())
}

#[test]
fn a_card_is_improved_by_another_scan() -> Result {
    let desk = Desk::new();
    let scan = desk.scan()?;
    let files = CardFiles::open(desk.path("improved.safetensors"), &BTreeSet::from([desk.value]), &scan)?;
    let first = desk.annotator()?.annotate(&desk.annotations(), Start::Model, &mut ignore_events())?;
    let card = first.structures[0].card.clone();
    let annotator = desk.builder()?.window(card.metadata().window.parse()?).save_cards(files).build()?;
    let mut starts = Vec::new();
    let mut watch = |event: &Event| {
        if let Event::Learned { start, .. } = event {
            starts.push(start.clone());
        }
        ControlFlow::Continue(())
    };
    let second = annotator.annotate(&desk.annotations(), Start::Improve(vec![card.clone()]), &mut watch)?;
    let improved = &second.structures[0].card;
    assert_eq!(improved.metadata().earlier, [card.metadata().training.clone()]);
    assert_eq!(improved.metadata().window, card.metadata().window);
    assert_eq!(second.record()["cards"][0]["earlier"], serde_json::to_value(&improved.metadata().earlier)?);
    assert!(second.record()["learning"].is_object(), "the config of the learning is recorded");
    let saved = sam_annotate::cards::load(&[desk.path("improved.safetensors")], annotator.weights_sha256())?;
    assert_eq!(&saved[0], improved);
    let third = annotator.annotate(&desk.annotations(), Start::Improve(saved), &mut watch)?;
    assert_eq!(third.structures[0].card.metadata().scans().count(), 3);
    let from = |scans| LearnedFrom::Card { card: first.structures[0].name.as_str().into(), scans };
    assert_eq!(starts, [from(1), from(2)]);
    let otherwise = desk.builder()?.window(Window::MinMax).build()?;
    let refused = otherwise.annotate(&desk.annotations(), Start::Improve(vec![card]), &mut ignore_events());
    let refused = refused.expect_err("another window").to_string();
    assert!(refused.contains("abdomen") && refused.contains("minmax"), "{refused}");
    let none = annotator.annotate(&desk.annotations(), Start::Improve(Vec::new()), &mut ignore_events());
    assert!(none.expect_err("no card").to_string().contains("found 0 cards"));
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
        (desk.annotations().with_empty([99]), "slice 100 is listed as empty"),
        (desk.annotations().with_empty([desk.shown[0]]), "but has an outline"),
    ] {
        let error = annotator.annotate(&annotations, Start::Model, &mut ignore_events()).expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}

/// The scan's structure on one slice, and another one in a corner of two other slices.
fn structures_on_different_slices(desk: &Desk) -> (Annotations, u16, [usize; 2]) {
    let (first, last) = (desk.shown[0], desk.shown[desk.shown.len() - 1]);
    let corners = [first + 1, last - 1];
    let (mut annotations, other) = (desk.annotations(), desk.value + 1);
    for slice in corners {
        let mut labels = desk.slice(&annotations.labels, slice);
        labels.slice_mut(sam_annotate::ndarray::s![..6, ..6]).fill(other);
        desk.plane.insert(&mut annotations.labels.labels, slice, labels.view());
    }
    (annotations, other, corners)
}

#[test]
fn a_structure_is_looked_for_where_another_one_is_outlined() -> Result {
    let desk = Desk::new();
    let (annotations, other, corners) = structures_on_different_slices(&desk);
    let annotator = desk.builder()?.axis(sam_annotate::SliceAxis::K).build()?;
    let open = annotator.annotate(&annotations, Start::Model, &mut ignore_events())?;
    assert_eq!(open.structures.iter().map(|structure| structure.annotated).collect::<Vec<_>>(), [2, 2]);
    let organ = &open.structures[0];
    for slice in corners {
        assert!(organ.ranking.iter().any(|ranked| ranked.slice == slice), "it was looked for on slice {slice}");
        let found = desk.slice(&open.labels, slice);
        let outlined = desk.slice(&annotations.labels, slice);
        for (found, outlined) in found.iter().zip(&outlined).filter(|(_, outlined)| **outlined != 0) {
            assert_eq!(found, outlined, "an outline stays as it is");
        }
        if let Some(mask) = organ.slices[slice].mask() {
            let beside = mask.iter().zip(&outlined).filter(|(inside, outlined)| **inside && **outlined == 0).count();
            assert_eq!(found.iter().filter(|&&label| label == desk.value).count(), beside);
        }
    }
    assert!(!open.record()["understood"]["structures"][0]["open"].as_array().ok_or("a list")?.is_empty());

    // Complete slices are empty slices of the structures that are not outlined there, and stay as they are.
    let complete = annotations.clone().with_complete(true);
    let whole = annotator.annotate(&complete, Start::Model, &mut ignore_events())?;
    assert_eq!(whole.structures.iter().map(|structure| structure.annotated).collect::<Vec<_>>(), [4, 4]);
    for slice in corners {
        assert_eq!(desk.slice(&whole.labels, slice), desk.slice(&annotations.labels, slice));
    }
    let of_one = annotations.with_empty_of(other, [desk.shown[0]]);
    let one = annotator.annotate(&of_one, Start::Model, &mut ignore_events())?;
    assert_eq!(one.structures.iter().map(|structure| structure.annotated).collect::<Vec<_>>(), [2, 3]);
    Ok(())
}

#[test]
fn a_voxel_that_strayed_is_not_learned_from() -> Result {
    let desk = Desk::new();
    let clean = desk.annotations();
    let mut annotations = clean.clone();
    let slice = desk.shown[1];
    let mut labels = desk.slice(&annotations.labels, slice);
    labels[(0, 0)] = desk.value;
    desk.plane.insert(&mut annotations.labels.labels, slice, labels.view());
    let annotator = desk.builder()?.axis(sam_annotate::SliceAxis::K).build()?;
    let mut told = Vec::new();
    let mut events = |event: &Event| {
        if let Event::Understood { summary } = event {
            told.extend(summary.structures.iter().flat_map(StructureSummary::warnings));
        }
        ControlFlow::Continue(())
    };
    let found = annotator.annotate(&annotations, Start::Model, &mut events)?;
    assert!(told.len() == 1 && told[0].contains("1 voxel"), "{told:?}");
    let expected = annotator.annotate(&clean, Start::Model, &mut ignore_events())?;
    assert_eq!(found.labels, expected.labels, "as if the voxel were not there");
    Ok(())
}

#[test]
fn outlines_that_fit_two_axes_alike_are_refused_with_both() -> Result {
    let desk = Desk::new();
    let mut annotations = Annotations::new(desk.outlines(&[]));
    // Lines of voxels along k, with gaps along i and j.
    for (i, j) in [(4, 4), (4, 12), (16, 4), (16, 12)] {
        annotations.labels.labels.slice_mut(sam_annotate::ndarray::s![i, j, 1..7]).fill(desk.value);
    }
    let error = desk.annotator()?.annotate(&annotations, Start::Model, &mut ignore_events()).expect_err("two axes");
    assert!(error.to_string().contains("--axis coronal or --axis sagittal"), "{error}");
    let error = desk.annotator()?.create_session(desk.path("session"), &annotations).expect_err("two axes");
    assert!(error.to_string().contains("--axis coronal or --axis sagittal"), "{error}");
    Ok(())
}
