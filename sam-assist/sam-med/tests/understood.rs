//! Before it learns, `annotate` says what it understood.

use anyhow::{Context, Result};
use sam_prompt::{SliceNumber, ndarray::s};
use serde_json::Value;

use crate::{desk::Desk, program};

/// Outlines of two structures on different slices, and a voxel that strayed. Returns the slices of the second structure and of the voxel.
fn write_outlines(desk: &Desk) -> Result<([usize; 2], usize)> {
    let (first, last) = (desk.shown[0], *desk.shown.last().context("slices")?);
    let (corners, stray) = ([first + 1, last - 1], desk.bare[0]);
    let mut labels = desk.outlines(&[first, last]).labels;
    for slice in corners {
        labels.slice_mut(s![..6, ..6, slice]).fill(desk.value + 1);
    }
    labels[[0, 0, stray]] = desk.value;
    desk.write("partial.nii.gz", &labels)?;
    Ok((corners, stray))
}

#[test]
fn annotate_says_what_it_understood_before_it_learns() -> Result<()> {
    let desk = Desk::new();
    let (corners, stray) = write_outlines(&desk)?;
    let [corner, _] = corners.map(SliceNumber::of_index);
    let more = ["--annotations", "partial.nii.gz", "--out", "mask.nii.gz", "--json"];
    let ran = program::run(desk.words_of("annotate", &more))?.done()?;
    let said = ran.stderr.split("Learning").next().context("it is told before learning")?;
    for part in [
        "Axis: axial (k, 8 slices), because whole slices along it are outlined, with gaps between them".to_owned(),
        format!("label {}: outlined on 2 slices: {corner} (", desk.value + 1),
        "outlined for other structures alone".to_owned(),
        format!("warning: label {}: slice {} (", desk.value, SliceNumber::of_index(stray)),
        format!("--empty {}:SLICES", desk.value),
    ] {
        assert!(said.contains(&part), "{part}: {}", ran.stderr);
    }
    let result = ran.json()?;
    let organ = &result["understood"]["structures"][0];
    assert_eq!(organ["open"][0]["index"], corners[0]);
    assert_eq!(organ["too_small"][0]["index"], stray);
    assert!(result["structures"][0]["look_first"][0]["index"].is_u64(), "{result}");
    let record: Value = serde_json::from_slice(&std::fs::read(desk.path("mask.json"))?)?;
    assert_eq!(record["understood"], result["understood"]);
    assert!(record["ranking"].to_string().contains("\"index\":"), "{}", record["ranking"]);
    assert_eq!((&record["axis"], &record["options"]["min_outline"]), (&"k".into(), &"auto".into()));
    Ok(())
}

#[test]
fn empty_slices_are_of_all_structures_or_of_one() -> Result<()> {
    let desk = Desk::new();
    let (corners, _) = write_outlines(&desk)?;
    let [one, other] = corners.map(SliceNumber::of_index);
    let (bare, value) = (SliceNumber::of_index(*desk.bare.last().context("slices")?), desk.value);
    let empty = [format!("{value}:{one}"), format!("{value}:{other};{bare}")];
    let more = ["--annotations", "partial.nii.gz", "--quiet", "--json", "--empty", &empty[0], "--empty", &empty[1]];
    let ran = desk.annotate(&more.join(" "))?.done()?;
    assert!(ran.stderr.contains("--min-outline 0"), "a warning is told even with --quiet: {}", ran.stderr);
    let organ = &ran.json()?["understood"]["structures"][0];
    let absent = organ["absent"].as_array().context("a list")?;
    assert!(absent.iter().all(|absent| absent["reason"] == "said_empty") && absent.len() == 3, "{organ}");
    assert_eq!(organ["open"], serde_json::json!([]));
    let mask = desk.mask()?;
    for slice in corners {
        assert!(!desk.slice(&mask, slice).iter().any(|&label| label == value), "slice {slice}");
    }
    // Corrected later: the other structure is there, too.
    let refused = desk.annotate(&format!("--empty {}:{one}", value + 1))?.failed(1)?;
    assert!(refused.contains(&format!("slice {one} is listed as empty for label {}", value + 1)), "{refused}");
    let refused = desk.annotate("--accept 0")?.failed(2)?;
    assert!(refused.contains("counted from 1"), "{refused}");
    Ok(())
}
