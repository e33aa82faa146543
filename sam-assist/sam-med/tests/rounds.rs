//! The annotation loop from end to end, on a phantom and a tiny model of random weights: correct, accept, reject, undo, replay.

use std::fs;

use anyhow::{Result, bail, ensure};
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
