//! `--config`: a result can be computed again from the file next to it.

use std::fs;

use anyhow::Result;
use sam_prompt::SliceNumber;
use serde_json::Value;

use crate::{desk::Desk, program};

#[test]
fn a_mask_is_computed_again_from_the_file_beside_it() -> Result<()> {
    let desk = Desk::new();
    let (shown, bare) = (&desk.shown, &desk.bare);
    desk.outline(&[shown[0], shown[2]])?;
    let empty = SliceNumber::of_index(bare[0]).to_string();
    let more = ["--annotations", "partial.nii.gz", "--out", "mask.nii.gz", "--seed", "3", "--empty", &empty];
    let ran =
        program::run(desk.words_of("annotate", &[&more[..], &["--strategy", "classification", "--json"]].concat()))?
            .done()?;
    let result = ran.json()?;
    assert_eq!(result["structures"][0]["annotated"], 3);
    assert!(!ran.stderr.is_empty() && !ran.stderr.contains(['\r', '\u{1b}']), "no bars: {:?}", ran.stderr);
    let record: Value = serde_json::from_slice(&fs::read(desk.path("mask.json"))?)?;
    assert_eq!(record["options"]["empty"][0], empty.as_str(), "as it was typed");
    assert_eq!((&record["options"]["seed"], &record["options"]["strategy"]), (&3.into(), &"classification".into()));
    assert_eq!((&record["command"], &record["version"]), (&"annotate".into(), &env!("CARGO_PKG_VERSION").into()));
    let other = ["predict", "--config", &desk.word("mask.json"), "--prompts", "prompts.json"];
    let error = program::run(other)?.failed(1)?;
    assert!(error.contains("saved by `sam-med annotate`"), "{error}");

    let words = ["annotate", "--config", &desk.word("mask.json"), "--out", &desk.word("again.nii.gz"), "--quiet"];
    let again = program::run(words)?.done()?;
    assert!(again.stderr.is_empty() && again.stdout.contains("again.nii.gz"), "{}{}", again.stdout, again.stderr);
    assert_eq!(sam_data::read_labels(desk.path("again.nii.gz"))?, desk.mask()?);
    Ok(())
}

#[test]
fn an_evaluation_is_repeated_from_the_file_beside_its_results() -> Result<()> {
    let desk = Desk::new();
    let (out, again) = (desk.word("results"), desk.word("again"));
    let words = [
        "evaluate",
        "--phantom",
        "nuclei",
        "--structures",
        "all",
        "--slices",
        "1",
        "--prompts",
        "box",
        "--test-slices",
        "1",
        "--learning",
        "{\"iterations\": 1}",
        "--seed",
        "2",
        "--weights",
        &desk.word("tiny.safetensors"),
        "--out",
        &out,
        "--json",
    ];
    let ran = program::run(words)?.done()?;
    let config = desk.word("results/options.json");
    // The record has no absolute paths, so weights that are not beside it are given again.
    let weights = desk.word("tiny.safetensors");
    let words = ["evaluate", "--config", &config, "--weights", &weights, "--out", &again, "--json"];
    let repeated = program::run(words)?.done()?;
    let records = |result: &Value| {
        let mut records = result["records"].clone();
        for record in records.as_array_mut().into_iter().flatten() {
            record["train_seconds"] = Value::Null;
        }
        records
    };
    assert!(records(&ran.json()?).as_array().is_some_and(|records| !records.is_empty()), "{}", ran.stdout);
    assert_eq!(records(&ran.json()?), records(&repeated.json()?));
    // A config of one command is refused by another.
    let error = program::run(["coarse", "--config", &config])?.failed(1)?;
    assert!(error.contains("`sam-med evaluate`"), "{error}");
    Ok(())
}

#[test]
fn options_of_generators_need_generators() -> Result<()> {
    let desk = Desk::new();
    desk.outline(&[desk.shown[0], desk.shown[2]])?;
    let files = ["--annotations", "partial.nii.gz", "--out", "mask.nii.gz"];
    for option in
        [["--gate", "0.1"], ["--hand-over", "points"], ["--components", "1"], ["--generators", "{\"gate\": {}}"]]
    {
        for strategy in ["fusion", "shape", "propagation"] {
            let words = [&files[..], &option, &["--strategy", strategy]].concat();
            let error = program::run(desk.words_of("annotate", &words))?.failed(2)?;
            assert!(
                error.contains(option[0]) && error.contains(strategy) && error.contains("--strategy sapnet"),
                "{error}"
            );
        }
    }
    assert!(!desk.path("mask.nii.gz").exists(), "nothing is written");
    let words = [&files[..], &["--strategy", "shape", "--json"]].concat();
    program::run(desk.words_of("annotate", &words))?.done()?;
    let record: Value = serde_json::from_slice(&fs::read(desk.path("mask.json"))?)?;
    assert_eq!(record["options"]["strategy"], "shape");
    Ok(())
}
