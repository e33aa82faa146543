//! Masks that a round keeps of the one before.

use std::ops::ControlFlow;

use sam_annotate::{
    AnnotateConfig, Annotations, Annotator, Corrections, Decisions, Event, Flex, KeptMasks, RoundStart, Session, Start,
    ignore_events, progress::Stage, sam_auto::StrategyKind,
};

use crate::{
    Result,
    tiny::{Desk, config, units_of},
};

fn decide(session: &mut Session, corrections: Corrections) -> Result {
    Ok(Decisions::new(session, &corrections)?.record(session)?)
}

/// Runs a round. Returns what it kept of the structure.
fn round(annotator: &Annotator<Flex>, session: &mut Session) -> Result<Option<KeptMasks>> {
    let found = annotator.round(session, RoundStart::Model, &mut ignore_events())?;
    Ok(found.annotated.structures[0].kept.clone())
}

/// A session with a first round, from outlines on the first slice with the structure, one in the middle, and the last.
fn begin(desk: &Desk, config: AnnotateConfig) -> Result<(Annotator<Flex>, Session, [usize; 3])> {
    let chosen = desk.three_slices();
    let annotator = desk.builder()?.config(config).build()?;
    let outlines = desk.outlines(&chosen);
    let mut session = annotator.create_session(desk.path("session"), &Annotations::new(outlines.clone()))?;
    decide(&mut session, Corrections::none().with_labels(outlines))?;
    assert_eq!(round(&annotator, &mut session)?, None, "nothing was before the first round");
    Ok((annotator, session, chosen))
}

/// The last mask, with one pixel more on a slice. On a slice beyond the structure, its first outline is drawn.
fn corrected(desk: &Desk, session: &Session, slice: usize) -> Result<Corrections> {
    let mut mask = session.current()?.ok_or("a mask")?;
    let like = if desk.bare.contains(&slice) { desk.shown[0] } else { slice };
    let mut drawn = desk.truth(like);
    drawn[(0, 0)] = desk.value;
    desk.plane.insert(&mut mask.labels, slice, drawn.view());
    Ok(Corrections::none().with_labels(mask))
}

#[test]
fn slices_away_from_corrections_keep_their_masks() -> Result {
    for strategy in [config().strategy, StrategyKind::MaskPropagation.into(), StrategyKind::Shape.into()] {
        let desk = Desk::new();
        let (annotator, mut session, [first, middle, last]) = begin(&desk, config().with_strategy(strategy))?;
        let before = session.current()?.ok_or("a mask")?;
        let slice = middle + 1;
        assert!(slice < last && middle > first + 1, "open slices on both sides: {:?}", desk.shown);
        let corrections = corrected(&desk, &session, slice)?;
        decide(&mut session, corrections)?;
        let kept = round(&annotator, &mut session)?.ok_or("the second round")?;
        assert_eq!(kept.corrected.iter().collect::<Vec<_>>(), [slice]);
        let after = session.current()?.ok_or("a mask")?;
        for index in (0..desk.plane.count()).filter(|index| ![first, middle, slice, last].contains(index)) {
            let is_near = index > middle && index < last;
            assert_eq!((kept.renewed.contains(index), kept.kept.contains(index)), (is_near, !is_near), "slice {index}");
            if !is_near {
                assert_eq!(desk.slice(&after, index), desk.slice(&before, index), "slice {index}");
            }
        }
        let recorded = session.state().round.clone().ok_or("a round")?;
        assert_eq!((recorded.kept_from, &recorded.kept[&desk.value]), (Some(1), &kept));
        assert!(annotator.replay(&session, &mut ignore_events())?.is_same());

        session.undo()?;
        assert_eq!(session.found()?.ok_or("a mask")?.labels, before.labels, "a round can be undone");
    }
    Ok(())
}

#[test]
fn rejected_slices_are_segmented_again_and_accepted_ones_disturb_no_other() -> Result {
    let desk = Desk::new();
    let (annotator, mut session, [first, middle, _]) = begin(&desk, config())?;
    decide(&mut session, Corrections::none().with_rejected([middle + 1]).with_accepted([first + 1]))?;
    let kept = round(&annotator, &mut session)?.ok_or("the second round")?;
    assert_eq!((kept.corrected.len(), kept.renewed.iter().collect::<Vec<_>>()), (0, vec![middle + 1]));
    Ok(())
}

/// A slice beyond the structure, whose correction leaves the neighbours of all outlines as they are.
fn beyond(desk: &Desk) -> usize {
    desk.bare[0]
}

#[test]
fn the_new_round_is_tested_on_outlines_that_both_left_out() -> Result {
    let desk = Desk::new();
    let (annotator, mut session, [_, middle, _]) = begin(&desk, config())?;
    let left_out = session.state().round.as_ref().ok_or("a round")?.left_out[&desk.value].clone();
    assert_eq!(left_out.keys().copied().collect::<Vec<_>>(), [middle]);
    let corrections = corrected(&desk, &session, beyond(&desk))?;
    decide(&mut session, corrections)?;
    // There are no masks yet: a stop ends the round.
    let mut stop = |event: &Event| match event {
        Event::Progress { progress, .. } if progress.stage == Stage::Compare => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert_eq!(annotator.round(&mut session, RoundStart::Model, &mut stop)?.number, None);
    let test = round(&annotator, &mut session)?.and_then(|kept| kept.test).ok_or("an outline was left out")?;
    assert_eq!((test.slices.iter().collect::<Vec<_>>(), test.before), (vec![middle], left_out[&middle]));
    // A better round replaces every mask, and is what the next one is compared with.
    let recorded = session.state().round.clone().ok_or("a round")?;
    let known = if test.better { test.now } else { test.before };
    assert_eq!(recorded.left_out[&desk.value][&middle].to_bits(), known.to_bits());
    assert_eq!(recorded.kept[&desk.value].kept.is_empty(), test.better);
    assert!(annotator.replay(&session, &mut ignore_events())?.is_same());
    Ok(())
}

#[test]
fn nearer_outlines_are_no_test_and_a_round_that_replaces_all_is_the_next_measure() -> Result {
    let desk = Desk::new();
    let (annotator, mut session, [first, middle, last]) = begin(&desk, config())?;
    let corrections = corrected(&desk, &session, middle + 1)?;
    decide(&mut session, corrections)?;
    assert_eq!(round(&annotator, &mut session)?.ok_or("the second round")?.test, None);
    assert!(session.state().round.as_ref().ok_or("a round")?.left_out.is_empty(), "nothing to compare with");
    for slice in [first, middle, middle + 1, last] {
        let mut corrections = corrected(&desk, &session, slice)?;
        let mut drawn = desk.truth(slice);
        (drawn[(0, 0)], drawn[(0, 1)]) = (desk.value, desk.value);
        desk.plane.insert(&mut corrections.labels.as_mut().ok_or("a map")?.labels, slice, drawn.view());
        decide(&mut session, corrections)?;
    }
    assert!(round(&annotator, &mut session)?.ok_or("the third round")?.kept.is_empty());
    assert!(!session.state().round.as_ref().ok_or("a round")?.left_out.is_empty());
    Ok(())
}

#[test]
fn another_strategy_and_a_round_without_a_decision_replace_all_masks() -> Result {
    let desk = Desk::new();
    let (annotator, mut session, _) = begin(&desk, config())?;
    assert_eq!(round(&annotator, &mut session)?, None, "it is meant to replace the masks");
    let corrections = corrected(&desk, &session, beyond(&desk))?;
    decide(&mut session, corrections)?;
    let other = desk.builder()?.config(config().with_strategy(StrategyKind::Shape.into())).build()?;
    assert_eq!(round(&other, &mut session)?, None);
    assert_eq!(session.state().round.as_ref().ok_or("a round")?.kept_from, None);
    assert!(annotator.replay(&session, &mut ignore_events())?.is_same());
    Ok(())
}

/// The number of learning iterations of a round.
fn iterations(annotator: &Annotator<Flex>, session: &mut Session) -> Result<usize> {
    let mut total = 0;
    annotator.round(session, RoundStart::Model, &mut units_of(Stage::Learn, &mut total))?;
    Ok(total)
}

#[test]
fn a_later_round_learns_as_long_as_the_first() -> Result {
    let desk = Desk::new();
    let (annotator, mut session, [_, middle, last]) = begin(&desk, config().with_expected_dice(false))?;
    for slice in [middle + 1, last - 1, middle - 1] {
        let corrections = corrected(&desk, &session, slice)?;
        decide(&mut session, corrections)?;
        assert_eq!(iterations(&annotator, &mut session)?, 3 * 4, "as from three slices");
    }
    assert!(annotator.replay(&session, &mut ignore_events())?.is_same());
    // Without a session, each slice counts.
    let found = annotator.annotate(&session.annotations()?, Start::Model, &mut ignore_events())?;
    assert!(found.structures[0].card.metadata().learning.iterations > 3 * 4);
    Ok(())
}
