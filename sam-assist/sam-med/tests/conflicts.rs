//! Two programs on one mask, and two tabs on one review: nobody's work is replaced unseen.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{desk::Desk, page::Page, program};

/// A desk with a mask of all slices.
pub(crate) fn desk() -> Result<Desk> {
    let desk = Desk::new();
    desk.write("mask.nii.gz", &desk.outlines(&desk.shown).labels)?;
    Ok(desk)
}

/// The command line of a review of the mask, without a session.
pub(crate) fn words(desk: &Desk) -> Vec<String> {
    desk.words_of("review", &["--mask", "mask.nii.gz", "--out", "reviewed.nii.gz"])
}

/// A review of the mask, without a session.
pub(crate) fn review(desk: &Desk) -> Command {
    let mut command = program::command(words(desk));
    command.stderr(Stdio::null());
    command
}

#[test]
fn a_second_review_of_a_mask_is_refused_until_the_first_has_ended() -> Result<()> {
    let desk = desk()?;
    let first = Page::spawn(&mut review(&desk))?;
    let error = program::run(words(&desk))?.failed(1)?;
    for part in ["reviewed.nii.gz", &format!("process {}", first.child.id()), "not saved yet", "--out"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // A killed program leaves no lock behind.
    first.kill()?;
    let second = Page::spawn(&mut review(&desk))?;
    second.decide(desk.shown[0], "empty")?;
    second.end()?;
    assert!(desk.path("reviewed.nii.gz").exists());
    Ok(())
}

#[test]
fn a_mask_that_another_program_has_written_is_left_as_it_is() -> Result<()> {
    let desk = desk()?;
    let page = Page::spawn(&mut review(&desk))?;
    let [first, second, ..] = desk.shown[..] else { anyhow::bail!("two slices") };
    page.decide(first, "empty")?;
    let saved = page.act("save")?;
    ensure!(saved["saved"]["note"].is_null(), "{saved}");

    desk.write("reviewed.nii.gz", &desk.outlines(&[first]).labels)?;
    let theirs = fs::read(desk.path("reviewed.nii.gz"))?;
    page.decide(second, "empty")?;
    let answer = page.act("save")?;
    let note = answer["saved"]["note"].as_str().context("a note")?;
    let path = PathBuf::from(answer["saved"]["path"].as_str().context("a path")?);
    assert_eq!(path, desk.path("reviewed-review-1.nii.gz"));
    assert!(note.contains("reviewed.nii.gz") && note.contains("reviewed-review-1.nii.gz"), "{note}");
    assert_eq!(answer["overview"]["unsaved"], 0);
    page.end()?;
    assert_eq!(fs::read(desk.path("reviewed.nii.gz"))?, theirs);
    let ours = sam_data::read_labels(&path)?;
    for slice in [first, second] {
        assert!(desk.slice(&ours, slice).iter().all(|&label| label == 0), "slice {slice}");
    }
    Ok(())
}

#[test]
fn a_stale_tab_is_refused_and_told_how_things_stand() -> Result<()> {
    let desk = Desk::new();
    desk.begin(&desk.shown[..2], "")?;
    for (page, slice) in [
        (Page::spawn(program::command(desk.words("review")).stderr(Stdio::null()))?, desk.shown[2]),
        (Page::spawn(&mut review(&desk))?, desk.shown[0]),
    ] {
        let stale = page.ask("overview", None)?;
        let version = &stale["slices"][slice]["version"];
        page.decide(slice, "reject")?;
        let now = page.ask("overview", None)?;
        for (what, sent) in [
            ("decide", json!({ "slice": slice, "decision": "accept", "version": version })),
            ("decide", json!({ "slice": slice, "decision": "empty", "version": version })),
            ("undo", json!({ "revision": stale["revision"] })),
            ("save", json!({ "revision": stale["revision"] })),
        ] {
            let (status, answer) = page.answer(what, Some(&sent))?;
            ensure!(status == 409 && answer["overview"] == now, "{what}: {status} {answer}");
            let reason = answer["error"].as_str().unwrap_or_default();
            assert!(reason.contains("another tab"), "{what}: {reason}");
        }
        // Another slice, which has not changed, can still be decided on.
        let other = desk.shown[3];
        let sent = json!({ "slice": other, "decision": "reject", "version": stale["slices"][other]["version"] });
        assert_eq!(page.ask("decide", Some(&sent))?["slices"][other]["state"], "rejected");
        assert_eq!(page.act("undo")?["slice"], other);
        page.end()?;
    }
    Ok(())
}
