//! A session written by commit 890622d: it opens, its state is right, it continues, and its rounds are reproduced exactly.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sam_annotate::{
    Annotator, Corrections, Decisions, Flex, Precision, RoundStart, Scan, Session, Weights, ignore_events,
    session::{Header, LogEntry, Origin},
};
use sam_testing::{DEVICE, golden};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::Result;

/// SHA-256 of the checkpoint file that the session was written with. Its weights are those of [`golden::weights`], in another format.
const WEIGHTS_SHA256: &str = "a9d459e3b1b4be1a845a2ad937440e0969e9d2077568e486218d8d4606f63acc";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/session-890622d").join(name)
}

/// A copy of the session that tests may change.
fn copy() -> Result<(TempDir, PathBuf)> {
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("session");
    fs::create_dir_all(folder.join("objects"))?;
    for part in ["", "objects"] {
        for entry in fs::read_dir(fixture("session").join(part))? {
            let path = entry?.path();
            if path.is_file() {
                fs::copy(&path, folder.join(part).join(path.file_name().ok_or("a name")?))?;
            }
        }
    }
    Ok((scratch, folder))
}

/// The session, opened with a header of its own scan and model.
fn open(folder: &Path) -> Result<Session> {
    let header = Header::read(folder)?.ok_or("there is a session")?;
    let scan = Scan::open(fixture("scan.nii.gz"), None)?.identity()?;
    Ok(Session::resume(folder, scan, &header.weights_sha256, header.precision)?)
}

/// The model that the session was written with.
fn annotator(scratch: &TempDir) -> Result<Annotator<Flex>> {
    let path = scratch.path().join("tiny.safetensors");
    fs::write(&path, golden::serialised(&golden::weights()))?;
    let predictor = Weights::open(path)?.predictor(&DEVICE, Precision::F32)?;
    let predictor = predictor.with_weights_sha256(WEIGHTS_SHA256);
    Ok(Annotator::builder(predictor, Arc::new(Scan::open(fixture("scan.nii.gz"), None)?)).build()?)
}

#[test]
fn it_opens_and_its_state_is_right() -> Result {
    let (_scratch, folder) = copy()?;
    let session = open(&folder)?;
    let state = session.state();
    assert_eq!(state.slices_of(Origin::Drawn), [0, 3, 5, 6]);
    assert_eq!(state.slices_of(Origin::Accepted), [4, 8]);
    assert_eq!(state.rejected, [7].into());
    assert_eq!((session.entries().len(), session.rounds().count()), (11, 3));
    let round = state.round.as_ref().ok_or("a round")?;
    assert_eq!((round.number, round.seed, round.warm_start, round.backend.as_str()), (2, 1, None, "flex"));
    let last = session.rounds().map(|(_, round)| round).last().ok_or("a round")?;
    assert_eq!((last.number, last.warm_start), (3, Some(2)), "round 3 was undone");
    let expected = sam_data::read_labels(fixture("mask.nii.gz"))?;
    assert_eq!(session.current()?.ok_or("a mask")?.labels, expected.labels);
    for (before, round) in session.rounds() {
        assert_eq!(session.cards_of(round)?.len(), 1);
        assert_eq!(session.ranking_of(round)?.ok_or("a ranking")?.len(), 10 - before.slices.len());
    }
    Ok(())
}

/// A value as JSON. It is converted to text first, because a `Value` widens `f32` to `f64`.
fn json(written: &impl Serialize) -> Result<Value> {
    Ok(serde_json::from_str(&serde_json::to_string(written)?)?)
}

/// Whether a value has everything that another one has. Later versions may add fields.
fn has_all(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(name, old)| new.get(name).is_some_and(|new| has_all(new, old)))
        }
        _ => new == old,
    }
}

#[test]
fn its_header_and_events_are_written_as_they_were() -> Result {
    let written: Value = serde_json::from_slice(&fs::read(fixture("session/session.json"))?)?;
    let header = Header::read(fixture("session"))?.ok_or("there is a session")?;
    assert!(has_all(&json(&header)?, &written), "{header:?}");
    for line in fs::read_to_string(fixture("session/log.jsonl"))?.lines() {
        let mut written: Value = serde_json::from_str(line)?;
        written.as_object_mut().ok_or("an object")?.remove("sha256");
        let entry: LogEntry = serde_json::from_value(written.clone())?;
        assert!(has_all(&json(&entry)?, &written), "{entry:?}");
    }
    Ok(())
}

#[test]
fn it_continues_and_its_rounds_come_out_the_same() -> Result {
    let (scratch, folder) = copy()?;
    let annotator = annotator(&scratch)?;
    let mut session = annotator.open_session(&folder)?;
    let replay = annotator.replay(&session, &mut ignore_events())?;
    assert!(replay.is_same() && replay.rounds.len() == 3, "{replay:?}");
    assert!(Decisions::new(&session, &Corrections::none())?.is_empty());
    session.accept(1)?;
    let outcome = annotator.round(&mut session, RoundStart::LastRound, &mut ignore_events())?;
    assert_eq!((outcome.number, outcome.warm_start), (Some(4), Some(2)));
    // A structure of the second version of the format is added to it.
    session.name_structure(9, "vessel")?;
    drop(session);
    let session = annotator.open_session(&folder)?;
    assert_eq!((session.rounds().count(), session.structures()[&9].as_str()), (4, "vessel"));
    Ok(())
}
