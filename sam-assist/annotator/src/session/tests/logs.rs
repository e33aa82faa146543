//! Logs that are long or cut off.

use proptest::prelude::*;

use super::*;

#[test]
fn a_log_of_many_lines_is_opened_in_time() -> Result {
    let scratch = Scratch::new()?;
    drop(scratch.start()?);
    let mut before = Sha256Id::of_file(scratch.path.join(header::FILE_NAME))?;
    let mut text = String::new();
    // A slice is drawn and undone, again and again. Scanning all lines for each event would take a minute.
    for number in 1..=20_000 {
        let labels = Sha256Id::of(b"labels");
        let event = if number % 2 == 1 {
            SessionEvent::Drawn { slice: 0, labels, decided: None }
        } else {
            SessionEvent::Undone { event: number - 1 }
        };
        let (line, id) = LogEntry::now(number, before, event).to_line()?;
        text += &(line + "\n");
        before = id;
    }
    fs::write(scratch.log(), text)?;
    let start = std::time::Instant::now();
    assert_eq!(scratch.start()?.state().slices, BTreeMap::new());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    Ok(())
}

#[test]
fn a_file_of_others_in_place_of_the_log_is_left_as_it_was() -> Result {
    let scratch = Scratch::new()?;
    drop(scratch.start()?);
    fs::write(scratch.log(), "dear diary")?;
    let refused = scratch.start().expect_err("no log");
    assert!(matches!(&refused, SessionError::Damaged { line: 1, source: LineError::Foreign, .. }), "{refused}");
    assert_eq!(fs::read_to_string(scratch.log())?, "dear diary");
    Ok(())
}

/// A step of a person.
#[derive(Debug, Clone, Copy)]
enum Step {
    Draw(usize, u16),
    Accept(usize),
    Reject(usize),
    Round,
    Name(u16),
    Undo,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![Just(0_u16), Just(1), Just(300)];
    prop_oneof![
        3 => (0..SLICES, value).prop_map(|(slice, value)| Step::Draw(slice, value)),
        2 => (0..SLICES).prop_map(Step::Accept),
        1 => (0..SLICES).prop_map(Step::Reject),
        1 => Just(Step::Round),
        1 => (1..3_u16).prop_map(Step::Name),
        2 => Just(Step::Undo),
    ]
}

/// Takes a step. A step that is invalid now does nothing.
fn take(session: &mut Session, step: Step) {
    let _ = match step {
        Step::Draw(slice, value) => session.draw(slice, labels(value).view()),
        Step::Accept(slice) => session.accept(slice),
        Step::Reject(slice) => session.reject(slice),
        Step::Round => round(session),
        Step::Name(label) => session.name_structure(label, "cyst"),
        Step::Undo => session.undo().map(|_| 0),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_log_cut_at_any_byte_is_a_session_that_stopped_earlier(
        steps in prop::collection::vec(step(), 1..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let scratch = Scratch::new().expect("a temporary folder");
        let mut session = scratch.start().expect("a new session");
        // The state of the session after each event, by the log's length.
        let length = || fs::metadata(scratch.log()).expect("a log").len() as usize;
        let mut states = vec![(length(), session.state().clone())];
        for step in steps {
            take(&mut session, step);
            states.push((length(), session.state().clone()));
        }
        drop(session);
        let text = fs::read(scratch.log()).expect("a log");
        for cut in cuts {
            let cut = cut.index(text.len() + 1);
            fs::write(scratch.log(), &text[..cut]).expect("a writable folder");
            let (whole, expected) = states.iter().rev().find(|(length, _)| *length <= cut).expect("the first is empty");
            let mut session = scratch.start().expect("a session that stopped earlier");
            prop_assert_eq!(session.state(), expected);
            session.annotations().expect("all objects are there");
            // The session continues from there.
            session.draw(0, labels(1).view()).expect("a writable folder");
            prop_assert!(fs::read(scratch.log()).expect("a log").starts_with(&text[..*whole]));
        }
    }
}
