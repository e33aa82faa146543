//! Ctrl-C: the first stops gracefully and leaves all files complete, the second ends the program at once.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{desk::Desk, program};

/// Ensemble size for a training that lasts longer than the test waits.
const MEMBERS: &str = "16";

/// Reads the error stream until a line contains a text.
pub(crate) fn wait_for(child: &mut Child, text: &str) -> Result<BufReader<std::process::ChildStderr>> {
    let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
    let mut lines = String::new();
    while !lines.contains(text) {
        ensure!(stderr.read_line(&mut lines)? > 0, "it ended before {text:?}: {lines}");
    }
    Ok(stderr)
}

/// Interrupts a program, which must end with exit code 130, and returns the rest of its error stream.
pub(crate) fn interrupt(mut child: Child, mut stderr: impl Read) -> Result<String> {
    program::signal(&child, "INT")?;
    let mut rest = String::new();
    stderr.read_to_string(&mut rest)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(130), "{status}: {rest}");
    Ok(rest)
}

/// Every file of the desk and its session, including files that are being written.
fn files(desk: &Desk) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in [".", "session", "session/objects"] {
        if let Ok(entries) = fs::read_dir(desk.path(folder)) {
            for entry in entries {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
        }
    }
    Ok(names)
}

#[test]
fn a_stopped_run_writes_nothing_and_a_session_keeps_what_was_decided() -> Result<()> {
    let desk = Desk::new();
    let shown = &desk.shown;
    desk.outline(&shown[..2])?;
    for session in [false, true] {
        let mut words = desk
            .words_of("annotate", &["--annotations", "partial.nii.gz", "--out", "mask.nii.gz", "--members", MEMBERS]);
        if session {
            words.extend(["--session".to_owned(), desk.word("session")]);
        }
        let mut child = program::start(&words)?;
        let stderr = wait_for(&mut child, "Learning")?;
        let rest = interrupt(child, stderr)?;
        assert!(rest.contains("Press Ctrl-C again") && rest.contains("error: stopped"), "{rest}");
        assert!(!desk.path("mask.nii.gz").exists() && !desk.path("mask.json").exists());
        let names = files(&desk)?;
        assert!(names.iter().all(|name| !name.contains("unfinished") && !name.contains(".tmp")), "{names:?}");
    }
    // The outlines are in the session, and the next run learns from them.
    desk.run("")?;
    let mut drawn = shown[..2].to_vec();
    drawn.sort_unstable();
    assert_eq!(desk.provenance()?["drawn"], serde_json::json!(drawn));
    assert_eq!(desk.provenance()?["round"]["number"], 1);
    Ok(())
}

#[test]
fn the_second_ends_the_program_at_once() -> Result<()> {
    let desk = Desk::new();
    let shown = &desk.shown;
    desk.outline(&shown[..2])?;
    let words =
        desk.words_of("annotate", &["--annotations", "partial.nii.gz", "--out", "mask.nii.gz", "--members", MEMBERS]);
    let mut child = program::start(words)?;
    let stderr = wait_for(&mut child, "Learning")?;
    program::signal(&child, "TERM")?;
    // The first signal may have stopped it already.
    let _ = program::signal(&child, "INT");
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        ensure!(start.elapsed() < Duration::from_mins(1), "it does not end");
        thread::sleep(Duration::from_millis(5));
    }
    drop(stderr);
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(!desk.path("mask.nii.gz").exists());
    Ok(())
}
