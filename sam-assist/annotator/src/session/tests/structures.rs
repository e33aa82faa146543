//! Structures that are added to a session or renamed.

use super::*;

#[test]
fn a_structure_is_added_and_renamed_and_both_are_undone() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    let refused = session.draw(0, labels(7).view()).expect_err("7 is no structure").to_string();
    assert!(refused.contains("label value 7") && refused.contains("1 (liver), 300 (spleen)"), "{refused}");
    assert!(matches!(session.name_structure(0, "nothing"), Err(SessionError::BackgroundLabel)));
    assert!(session.entries().is_empty());
    session.name_structure(7, "cyst\u{7}")?;
    session.draw(0, labels(7).view())?;
    round(&mut session)?;
    session.name_structure(1, "left liver")?;
    let expected =
        [(1, "left liver"), (7, "cyst\u{fffd}"), (300, "spleen")].map(|(label, name)| (label, name.to_owned()));
    assert_eq!(session.structures(), expected.into());
    assert_eq!(session.provenance()["structures"]["7"], "cyst\u{fffd}");
    // A name is no reason to learn again.
    assert!(session.is_up_to_date());
    let (state, structures) = (session.state().clone(), session.structures());
    drop(session);

    assert_eq!(Session::structures_of(&scratch.path)?, Some(structures));
    let mut session = scratch.start()?;
    assert_eq!(*session.state(), state);
    assert_eq!(session.annotations()?.name(7), "cyst\u{fffd}");
    let (before, _) = session.rounds().next().ok_or("a round")?;
    assert_eq!(session.annotations_of(&before)?.name(1), "liver", "it had this name then");
    for _ in 0..4 {
        session.undo()?;
    }
    assert_eq!(session.structures(), header().structures);
    assert!(session.draw(0, labels(7).view()).is_err());
    Ok(())
}

#[test]
fn names_that_could_manipulate_a_terminal_or_name_the_background_are_refused_in_a_log() -> Result {
    for (label, name, part) in [(0, "nothing", "which is the background"), (7, "\u{1b}[2J", "control characters")] {
        let scratch = Scratch::new()?;
        drop(scratch.start()?);
        let before = Sha256Id::of_file(scratch.path.join(header::FILE_NAME))?;
        let (line, _) = LogEntry::now(1, before, SessionEvent::Named { label, name: name.to_owned() }).to_line()?;
        fs::write(scratch.log(), line + "\n")?;
        let error = scratch.refused(header());
        assert!(error.contains("damaged in line 1") && error.contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn sessions_of_the_first_version_are_continued() -> Result {
    let scratch = Scratch::new()?;
    drop(Session::create(&scratch.path, Header { format_version: 1, ..header() })?);
    let mut session = scratch.start()?;
    session.name_structure(7, "cyst")?;
    drop(session);
    let session = scratch.start()?;
    assert_eq!((session.header().format_version, session.structures().len()), (1, 3));
    assert_eq!(header().format_version, FORMAT_VERSION);
    Ok(())
}
