//! Prompt cards: used as they are, and improved.

use std::fs;

use anyhow::Result;
use serde_json::Value;

use crate::{desk::Desk, program};

#[test]
fn a_card_is_used_as_it_is_unless_an_improved_one_is_saved() -> Result<()> {
    let desk = Desk::new();
    desk.outline(&[desk.shown[0], desk.shown[2]])?;
    let annotate = |out: &str, more: &[&str]| -> Result<(String, Value)> {
        let words = ["--annotations", "partial.nii.gz", "--strategy", "propagation", "--out"];
        let ran = program::run(desk.words_of("annotate", &[&words[..], &[out], more].concat()))?.done()?;
        let record = fs::read(desk.path(out).with_extension("").with_extension("json"))?;
        Ok((ran.stdout + &ran.stderr, serde_json::from_slice(&record)?))
    };
    let (first, second) = (desk.word("first.safetensors"), desk.word("second.safetensors"));
    annotate("one.nii.gz", &["--save-card", &first])?;
    let (used, record) = annotate("two.nii.gz", &["--card", &first])?;
    assert!(used.contains("prompted with the card"), "{used}");
    assert!(record["learning"].is_null() && record["cards"][0]["earlier"].is_null(), "{record}");
    let (improved, record) = annotate("three.nii.gz", &["--card", &first, "--save-card", &second])?;
    assert!(improved.contains("(1 scan)"), "{improved}");
    assert!(improved.contains("Do first:") || improved.contains("No slice needs a correction"), "{improved}");
    assert_eq!(record["cards"][0]["earlier"][0]["scan"], "scan.nii.gz");
    let listed = program::run(["cards", &second])?.done()?.stdout;
    assert!(listed.contains("\"earlier\""), "{listed}");
    // The card that learning started from is an input.
    let words = ["--annotations", "partial.nii.gz", "--out", "four.nii.gz", "--card", &first, "--save-card", &first];
    let refused = program::run(desk.words_of("annotate", &words))?.failed(2)?;
    assert!(refused.contains("first.safetensors"), "{refused}");
    Ok(())
}
