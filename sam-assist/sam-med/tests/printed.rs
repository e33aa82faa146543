//! File names cannot control the terminal.

use std::fs;

use anyhow::Result;

use crate::{desk::Desk, program};

/// Clears the screen, rings, colours, reverses text, and begins a line of its own.
const NAME: &str = "a\u{1b}[2J\u{7}\u{9b}31m\u{202e}\nerror: b";
/// How its beginning is printed.
const SHOWN: &str = "a\\u{1b}[2J\\u{7}\\u{9b}31m\\u{202e}";

/// Whether a printed text can control a terminal.
fn controls(text: &str) -> bool {
    text.chars().any(|character| character != '\n' && sam_files::controls_output(character))
}

#[test]
fn names_in_errors_are_only_text() -> Result<()> {
    let desk = Desk::new();
    for words in [
        vec!["cards", NAME],
        vec!["convert", "--weights", NAME, "--out", "x.safetensors"],
        vec!["annotate", "--image", NAME, "--annotations", "no.nii.gz", "--out", "m.nii.gz"],
        vec!["annotate", "--config", NAME],
    ] {
        let error = program::run(&words)?.failed(1)?;
        assert!(!controls(&error) && error.contains(SHOWN), "{words:?}: {error:?}");
        assert_eq!(error.lines().filter(|line| line.starts_with("error:")).count(), 1, "{error:?}");
    }
    // What clap says of the command line, and of a config file.
    fs::write(desk.path("options.json"), serde_json::json!({ "precision": NAME }).to_string())?;
    let config = desk.word("options.json");
    for words in [vec!["embed", "--precision", NAME], vec![NAME], vec!["embed", "--config", &config]] {
        let error = program::run(&words)?.failed(2)?;
        assert!(!controls(&error) && error.contains(SHOWN), "{words:?}: {error:?}");
    }
    Ok(())
}

#[test]
fn names_in_results_and_notes_are_only_text() -> Result<()> {
    let desk = Desk::new();
    let folder = desk.word(NAME);
    let text = program::run(["man", &folder])?.done()?.stdout;
    assert!(!controls(&text) && text.contains(SHOWN), "{text:?}");
    let ran = program::run(["man", &folder, "--json"])?.done()?;
    assert!(!controls(&ran.stdout), "{:?}", ran.stdout);
    assert_eq!(ran.json()?["folder"], serde_json::json!(folder));
    // The tracing output of a run, which names its files.
    let (tiny, half) = (desk.word("tiny.safetensors"), desk.word(&format!("{NAME}.safetensors")));
    let ran = program::run(["convert", "--weights", &tiny, "--out", &half, "--precision", "f16", "-vv"])?.done()?;
    assert!(!controls(&ran.stderr) && !controls(&ran.stdout), "{:?} {:?}", ran.stdout, ran.stderr);
    Ok(())
}
