//! The annotation loop from end to end, on a phantom and a tiny model of random weights: correct, accept, reject, undo, replay.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use sam_prompt::SliceNumber;
use serde_json::Value;

use crate::desk::Desk;

#[test]
fn a_scan_is_corrected_round_after_round() -> Result<()> {
    let desk = Desk::new();
    assert!(desk.annotate("")?.failed(1)?.contains("--annotations FILE"));
    let (shown, bare) = (&desk.shown, &desk.bare);
    // Two slices are outlined and one is empty; later one is corrected, one accepted and one rejected.
    let ([outlined, wrong, right, also_outlined, ..], [empty, .., rejected]) = (&shown[..], &bare[..]) else {
        bail!("the phantom shows its structure on the slices {shown:?} alone")
    };
    let (outlined, wrong, right, also_outlined) = (*outlined, *wrong, *right, *also_outlined);
    desk.begin(&[outlined, also_outlined], &format!("--empty {}", SliceNumber::of_index(*empty)))?;
    let first = desk.mask()?;
    assert_eq!(desk.slice(&first, outlined), desk.truth(outlined));
    assert_eq!(desk.slice(&first, also_outlined), desk.truth(also_outlined));
    assert!(desk.slice(&first, *empty).iter().all(|&label| label == 0));
    let rising = |mut slices: Vec<usize>| {
        slices.sort_unstable();
        serde_json::json!(slices)
    };
    assert_eq!(desk.provenance()?["drawn"], rising(vec![*empty, outlined, also_outlined]));
    assert_eq!(desk.provenance()?["round"]["warm_start"], Value::Null);

    let mut corrected = first.labels.clone();
    let mut drawn = desk.truth(wrong);
    drawn[(0, 0)] = desk.value;
    desk.plane.insert(&mut corrected, wrong, drawn.view());
    desk.write("corrected.nii.gz", &corrected)?;
    let [accept, reject] = [right, *rejected].map(SliceNumber::of_index);
    desk.run(&format!("--annotations corrected.nii.gz --accept {accept} --reject {reject} --warm"))?;
    let second = desk.mask()?;
    for (slice, expected) in
        [(outlined, desk.truth(outlined)), (wrong, drawn.clone()), (right, desk.slice(&first, right))]
    {
        assert_eq!(desk.slice(&second, slice), expected, "slice {slice} is the person's");
    }
    let provenance = desk.provenance()?;
    assert_eq!(provenance["drawn"], rising(vec![*empty, outlined, wrong, also_outlined]));
    assert_eq!(provenance["accepted"], rising(vec![right]));
    assert_eq!(provenance["rejected"], rising(vec![*rejected]));
    assert_eq!(provenance["round"]["warm_start"], 1);
    assert_eq!(provenance["round"]["seed"], 1);

    // The same label map again changes nothing, so no round is run.
    desk.run("--annotations corrected.nii.gz")?;
    assert_eq!((desk.provenance()?["events"].clone(), desk.mask()?), (provenance["events"].clone(), second.clone()));

    // Undo of the round restores the first mask with the later decisions in it; further undos remove the decisions, the last one first.
    desk.run("--undo")?;
    let back = desk.mask()?;
    assert_eq!(desk.provenance()?["round"]["number"], 1);
    for (slice, expected) in
        [(wrong, drawn), (right, desk.slice(&first, right)), (*rejected, desk.slice(&first, *rejected))]
    {
        assert_eq!(desk.slice(&back, slice), expected, "slice {slice}");
    }
    desk.run("--undo")?;
    desk.run("--undo")?;
    assert_eq!(desk.provenance()?["accepted"], serde_json::json!([]));
    desk.run("--anew --members 2")?;
    let provenance = desk.provenance()?;
    assert_eq!((&provenance["round"]["number"], &provenance["round"]["warm_start"]), (&3.into(), &Value::Null));
    // A warm start needs the same number of ensemble members.
    desk.run(&format!("--accept {accept} --warm"))?;
    assert_eq!(desk.provenance()?["round"]["warm_start"], Value::Null);

    let log = fs::read(desk.path("session/log.jsonl"))?;
    desk.run("--replay")?;
    ensure!(fs::read(desk.path("session/log.jsonl"))? == log, "a replay writes nothing");
    Ok(())
}

#[test]
fn a_session_whose_log_was_cut_off_is_not_continued() -> Result<()> {
    let desk = Desk::new();
    desk.begin(&desk.shown[..2], "")?;
    let log = desk.path("session/log.jsonl");
    let text = fs::read_to_string(&log)?;
    fs::write(&log, text.split_inclusive('\n').next().context("the log has lines")?)?;
    let kept = || -> Result<_> { Ok((fs::read(desk.path("mask.nii.gz"))?, fs::read(desk.path("mask.json"))?)) };
    let before = kept()?;
    let said = desk.annotate("")?.failed(1)?;
    for part in ["was cut off", "round 1", "mask.json", "restore the session from a copy"] {
        ensure!(said.contains(part), "{part} is not in: {said}");
    }
    ensure!(kept()? == before, "the mask and its record are as they were");
    // Without the record, the session is one that stopped earlier.
    fs::rename(desk.path("mask.json"), desk.path("moved.json"))?;
    desk.run("")
}

#[test]
fn structures_are_renamed_and_added_in_a_session() -> Result<()> {
    let desk = Desk::new();
    let (shown, value) = (&desk.shown, desk.value);
    desk.begin(&[shown[0], shown[2]], "")?;
    let events = desk.provenance()?["events"].clone();
    let names = |names: serde_json::Value| -> Result<String> {
        fs::write(desk.path("names.json"), names.to_string())?;
        Ok(desk.word("names.json"))
    };

    // A name is recorded, and nothing is learned again.
    let labels = names(serde_json::json!({ value.to_string(): "tumour" }))?;
    let renamed = desk.annotate(&format!("--labels {labels}"))?.done()?;
    let expected = format!("Renamed label value {value}: label {value} is now tumour");
    assert!(renamed.stdout.contains(&expected) && renamed.stdout.contains("nothing was learned"), "{}", renamed.stdout);
    let provenance = desk.provenance()?;
    assert_eq!(provenance["structures"], serde_json::json!({ value.to_string(): "tumour" }));
    assert_eq!(
        (&provenance["round"]["number"], provenance["events"].as_u64()),
        (&1.into(), events.as_u64().map(|events| events + 1))
    );

    // A new label value in the corrected mask is a new structure.
    let mut corrected = desk.mask()?.labels;
    let added = value + 8;
    for &slice in &shown[..3] {
        let mut drawn = desk.plane.extract(corrected.view(), slice);
        drawn.slice_mut(sam_prompt::ndarray::s![..8, ..8]).fill(added);
        desk.plane.insert(&mut corrected, slice, drawn.view());
    }
    desk.write("corrected.nii.gz", &corrected)?;
    let round = desk.annotate(&format!("--annotations corrected.nii.gz --labels {labels}"))?.done()?;
    let expected = format!("Added a structure to the session: label {added} (label value {added})");
    assert!(round.stdout.contains(&expected), "{}", round.stdout);
    assert_eq!(desk.provenance()?["round"]["number"], 2);
    assert!(desk.mask()?.values().contains(&added));

    // Where names could not be used, they are refused.
    for action in ["--undo", "--replay"] {
        let error = desk.annotate(&format!("{action} --labels {labels}"))?.failed(2)?;
        assert!(error.contains("--labels"), "{error}");
    }
    let labels = names(serde_json::json!({ value.to_string(): "tumour", added.to_string(): "tumour" }))?;
    let error = desk.annotate(&format!("--labels {labels}"))?.failed(1)?;
    assert!(error.contains("would both be called \"tumour\""), "{error}");
    Ok(())
}
