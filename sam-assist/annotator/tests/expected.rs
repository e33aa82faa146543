//! What Dice is to be expected of a structure, once its masks are known.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    Result,
    tiny::{Desk, config, fusion, units_of},
};
use sam_annotate::{
    AnnotateConfig, Annotated, Annotations, Annotator, Corrections, Decisions, DiceKnown, DiceUnknown, Event,
    Expectation, Flex, PromptCard, RoundStart, Scan, Start, ignore_events,
    progress::{Stage, ignore_progress},
    sam_auto::{LeftOutModel, LeftOutOutline, StrategyKind},
    sam_core::AnnotatedSlice,
};

/// Outlines on the first, a middle and the last slice of the structure. The middle one is left out.
fn three(desk: &Desk) -> Annotations {
    Annotations::new(desk.outlines(&desk.three_slices()))
}

fn annotator(desk: &Desk, config: AnnotateConfig) -> Result<Annotator<Flex>> {
    Ok(desk.builder()?.config(config).build()?)
}

fn expectation(annotated: &Annotated) -> Result<&Expectation> {
    Ok(annotated.structures[0].expected_dice.as_ref().ok_or("it was fused")?)
}

#[test]
fn it_is_told_last_recorded_and_changes_no_mask() -> Result {
    let desk = Desk::new();
    let (mut milestones, mut told) = (Vec::new(), None);
    let mut events = |event: &Event| {
        match event {
            Event::Ranked { .. } => milestones.push("ranked"),
            Event::Expected { expected, .. } => {
                milestones.push("expected");
                told = Some(Arc::clone(expected));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let found = annotator(&desk, config())?.annotate(&three(&desk), Start::Model, &mut events)?;
    assert_eq!(milestones, ["ranked", "expected"]);
    let expected = expectation(&found)?;
    assert_eq!(told.as_deref(), Some(expected));
    let known = expected.known().ok_or("three outlines")?;
    assert_eq!(known.left_out.iter().map(|outline| outline.index).collect::<Vec<_>>(), [desk.three_slices()[1]]);
    let text = expected.to_string();
    assert!(text.starts_with("fused shape, image, classifier and model; Dice ") && !text.contains('\n'), "{text}");

    let record = &found.record()["expected_dice"][&found.structures[0].name];
    let dice = &record["dice"];
    for part in ["shape", "image", "classifier", "model", "fused"] {
        assert!(dice["left_out"][0][part].is_f64() && dice["mean"][part].is_f64(), "{part}: {record}");
    }
    assert!(dice["seconds"].is_f64() && dice["expected"].is_f64() && record["weights"]["shape"].is_f64(), "{record}");

    let off = config().with_expected_dice(false);
    let without = annotator(&desk, off)?.annotate(&three(&desk), Start::Model, &mut ignore_events())?;
    assert_eq!((&without.labels, &without.structures[0].ranking), (&found.labels, &found.structures[0].ranking));
    assert!(without.structures[0].expected_dice.is_none() && !without.record().contains_key("expected_dice"));
    Ok(())
}

#[test]
fn why_it_is_not_known_is_said() -> Result {
    let desk = Desk::new();
    let [first, middle, last] = desk.three_slices();
    let annotator = desk.builder()?.config(config()).axis(sam_annotate::SliceAxis::K).build()?;
    for (slices, unknown, part) in [
        (&[middle][..], DiceUnknown::OneOutline, "propagated masks from its only outline"),
        (&[first, last], DiceUnknown::TwoOutlines, "outline one slice between them"),
        (&[middle, middle + 1], DiceUnknown::NothingBetween, "every slice between its outlines is outlined"),
    ] {
        let annotations = Annotations::new(desk.outlines(slices));
        let found = annotator.annotate(&annotations, Start::Model, &mut ignore_events())?;
        let expected = expectation(&found)?;
        assert_eq!(expected.dice, DiceKnown::Unknown(unknown));
        assert!(expected.to_string().contains(part), "{expected}");
    }
    let shape = config().with_strategy(StrategyKind::Shape.into());
    let found = self::annotator(&desk, shape)?.annotate(&three(&desk), Start::Model, &mut ignore_events())?;
    assert!(found.structures[0].expected_dice.is_none(), "nothing was fused");
    Ok(())
}

#[test]
fn a_stop_keeps_the_masks() -> Result {
    let desk = Desk::new();
    let annotator = annotator(&desk, config())?;
    let whole = annotator.annotate(&three(&desk), Start::Model, &mut ignore_events())?;
    let mut stop = |event: &Event| match event {
        Event::Progress { progress, .. } if progress.stage == Stage::SelfCheck => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let found = annotator.annotate(&three(&desk), Start::Model, &mut stop)?;
    assert!(!found.stopped && found.structures[0].expected_dice.is_none());
    assert_eq!(found.labels, whole.labels);
    Ok(())
}

fn scores(found: &Annotated) -> Result<Vec<LeftOutOutline>> {
    Ok(expectation(found)?.known().ok_or("three outlines")?.left_out.clone())
}

/// The number of iterations and left-out outlines of the test.
fn units(annotator: &Annotator<Flex>, annotations: &Annotations, start: Start) -> Result<(usize, Annotated)> {
    let mut units = 0;
    let annotated = annotator.annotate(annotations, start, &mut units_of(Stage::SelfCheck, &mut units))?;
    Ok((units, annotated))
}

#[test]
fn the_model_has_not_learned_the_left_out_outlines() -> Result {
    let desk = Desk::new();
    let annotator = annotator(&desk, config())?;
    let (cold, found) = units(&annotator, &three(&desk), Start::Model)?;
    assert_eq!(cold, 2 * 4 + 1, "two outlines remain, and one is left out");
    let warm = |card: &PromptCard| Start::Warm([(desk.value, card.clone())].into());
    let own = &found.structures[0].card;
    // A card of this scan knows the outline: learning starts from the model.
    let (units_of_own, again) = units(&annotator, &three(&desk), warm(own))?;
    assert_eq!(units_of_own, cold);
    assert_eq!(scores(&again)?, scores(&found)?);
    // One of another scan does not.
    let scan = Scan::in_memory("another scan", desk.scan()?.volume().as_ref().clone());
    let elsewhere = Annotator::builder(desk.predictor()?, Arc::new(scan)).config(config()).build()?;
    let (units_of_other, _) = units(&elsewhere, &three(&desk), warm(own))?;
    assert_eq!(units_of_other, 2 * 2 + 1);
    // A card is used as it is.
    let (units_of_card, used) = units(&annotator, &three(&desk), Start::Cards(vec![own.clone()]))?;
    assert_eq!(units_of_card, 1);
    let slices = annotator.slices(used.axis)?;
    let outline = |index| desk.truth(index).mapv(|label| label == desk.value);
    let annotated = AnnotatedSlice::embed_all(&*slices, &desk.three_slices(), outline, &mut ignore_progress())?;
    let predictor = own.apply(annotator.predictor())?;
    let model = LeftOutModel::AsIs(&predictor);
    let expected = fusion().expected_dice(&annotated.ok_or("embedded")?, model, &*slices, &mut ignore_progress())?;
    assert_eq!(scores(&used)?, expected.ok_or("three outlines")?.left_out);
    Ok(())
}

#[test]
fn a_round_is_tested_and_its_replay_is_not() -> Result {
    let desk = Desk::new();
    let annotator = annotator(&desk, config())?;
    let mut session = annotator.create_session(desk.path("session"), &three(&desk))?;
    Decisions::new(&session, &Corrections::none().with_labels(three(&desk).labels))?.record(&mut session)?;
    let round = annotator.round(&mut session, RoundStart::Model, &mut ignore_events())?;
    assert!(expectation(&round.annotated)?.known().is_some());
    let mut tested = false;
    let mut events = |event: &Event| {
        tested |= matches!(event, Event::Expected { .. });
        ControlFlow::Continue(())
    };
    assert!(annotator.replay(&session, &mut events)?.is_same());
    assert!(!tested);
    Ok(())
}
