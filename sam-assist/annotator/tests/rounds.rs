//! The whole loop: outline, learn, correct, accept, reject, undo, replay.

use std::fs;

use sam_annotate::{
    AnnotateConfig, AnnotateError, Annotations, Annotator, Corrections, Decisions, Flex, Output, RoundStart, Session,
    SessionError, ignore_events, session::Origin,
};
use sam_prompt::error_chain;

use crate::{Result, tiny::Desk};

fn round(annotator: &Annotator<Flex>, session: &mut Session, start: RoundStart) -> Result<Option<usize>> {
    let outcome = annotator.round(session, start, &mut ignore_events())?;
    assert_eq!(outcome.number, Some(session.rounds().count()));
    Ok(outcome.warm_start)
}

fn decide(session: &mut Session, corrections: Corrections) -> Result {
    Ok(Decisions::new(session, &corrections)?.record(session)?)
}

#[test]
fn a_scan_is_corrected_round_after_round() -> Result {
    let desk = Desk::new();
    let annotator = desk.annotator()?;
    let folder = desk.path("session");
    let missing = annotator.open_session(&folder).expect_err("nothing to resume");
    assert!(matches!(missing, AnnotateError::Session(SessionError::NotFound { .. })), "{missing}");
    let ([outlined, wrong, right, also_outlined, ..], [empty, .., rejected]) = (&desk.shown[..], &desk.bare[..]) else {
        return Err(format!("the phantom shows its structure on the slices {:?} alone", desk.shown).into());
    };
    let (outlined, wrong, right, also_outlined) = (*outlined, *wrong, *right, *also_outlined);

    // Two slices are outlined, and one is marked as empty.
    let partial = desk.outlines(&[outlined, also_outlined]);
    let mut session = annotator.create_session(&folder, &Annotations::new(partial.clone()))?;
    decide(&mut session, Corrections::none().with_labels(partial).with_empty([*empty]))?;
    assert_eq!(round(&annotator, &mut session, RoundStart::Model)?, None);
    let first = session.current()?.ok_or("a mask")?;
    assert_eq!(desk.slice(&first, outlined), desk.truth(outlined));
    assert!(desk.slice(&first, *empty).iter().all(|&label| label == 0));

    // One slice is corrected, one accepted, one rejected. The session is opened again, as another program would do.
    drop(session);
    let mut session = annotator.open_session(&folder)?;
    let (mut corrected, mut drawn) = (first.clone(), desk.truth(wrong));
    drawn[(0, 0)] = desk.value;
    desk.plane.insert(&mut corrected.labels, wrong, drawn.view());
    let corrections = Corrections::none().with_labels(corrected).with_accepted([right]).with_rejected([*rejected]);
    decide(&mut session, corrections.clone())?;
    assert!(!session.is_up_to_date());
    assert_eq!(round(&annotator, &mut session, RoundStart::LastRound)?, Some(1));
    assert!(session.is_up_to_date());
    let second = session.current()?.ok_or("a mask")?;
    for (slice, expected) in [(outlined, desk.truth(outlined)), (wrong, drawn), (right, desk.slice(&first, right))] {
        assert_eq!(desk.slice(&second, slice), expected, "slice {slice} is the person's");
    }
    let mut all_drawn = vec![*empty, outlined, wrong, also_outlined];
    all_drawn.sort_unstable();
    assert_eq!(session.state().slices_of(Origin::Drawn), all_drawn);
    assert_eq!(session.state().round.as_ref().map(|round| round.seed), Some(1));
    // The same map again changes nothing.
    assert!(Decisions::new(&session, &corrections)?.is_empty());

    // Undoes the second round, then the decisions, last one first.
    session.undo()?;
    assert_eq!(session.state().round.as_ref().map(|round| round.number), Some(1));
    session.undo()?;
    session.undo()?;
    assert_eq!(session.state().slices_of(Origin::Accepted), [0; 0]);
    drop(session);

    // An ensemble of two cannot continue from a single member.
    let two = desk.builder()?.config(AnnotateConfig::default().with_members(2)).build()?;
    let mut session = two.open_session(&folder)?;
    assert_eq!(round(&two, &mut session, RoundStart::LastRound)?, None);
    decide(&mut session, Corrections::none().with_accepted([right]))?;
    assert_eq!(round(&two, &mut session, RoundStart::LastRound)?, Some(3));

    let log = fs::read(folder.join("log.jsonl"))?;
    assert!(annotator.replay(&session, &mut ignore_events())?.is_same());
    assert_eq!(fs::read(folder.join("log.jsonl"))?, log, "a replay writes nothing");

    let output = Output::new(desk.path("mask.nii.gz")).with_field("options", ["--session"]);
    let output = output.open(annotator.scan(), [folder])?;
    let written = session.save(annotator.scan(), &output)?.ok_or("there is a mask")?;
    assert_eq!(Some(sam_data::read_labels(&written[0])?.labels), session.current()?.map(|mask| mask.labels));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(output.record())?)?;
    assert_eq!((&record["session"]["round"]["number"], &record["options"][0]), (&4.into(), &"--session".into()));
    Ok(())
}

#[test]
fn another_axis_than_the_sessions_is_refused() -> Result {
    let desk = Desk::new();
    drop(desk.annotator()?.create_session(desk.path("session"), &desk.annotations())?);
    let other = desk.builder()?.axis(sam_annotate::SliceAxis::I).build()?;
    let error = other.open_session(desk.path("session")).expect_err("another axis");
    assert!(error_chain(&error).contains("begun with the axis k, found i"), "{}", error_chain(&error));
    Ok(())
}
