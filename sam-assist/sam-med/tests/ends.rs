//! Exit codes, and the stream of each output.

use std::{fs, process::Stdio};

use anyhow::Result;

use crate::{desk::Desk, program};

#[test]
fn each_end_has_its_exit_code_and_its_stream() -> Result<()> {
    let version = program::run(["--version"])?.done()?;
    assert_eq!(version.stdout.trim(), format!("sam-med {}", env!("CARGO_PKG_VERSION")));
    assert!(version.stderr.is_empty());
    for (words, code, part) in [
        (&["cards", "no/such/folder"][..], 1, "no/such/folder"),
        (&["cards", "no/such/folder", "--quiet"], 1, "no/such/folder"),
        (&["cards", "no/such/folder", "--json"], 1, "no/such/folder"),
        (&["convert", "--weights", "Cargo.toml", "--out", "x.safetensors"], 1, "Cargo.toml"),
        (&["annotate", "--image", "no.nii.gz", "--annotations", "no.nii.gz", "--out", "m.nii.gz"], 1, "no.nii.gz"),
        (&["annotate", "--config", "no.json"], 1, "no.json"),
        (&["parity", "--goldens", "no/folder"], 1, "no/folder"),
        (&[], 2, "Usage"),
        (&["anotate"], 2, "annotate"),
        (&["annotate", "--image", "a.nii.gz"], 2, "--out"),
        (
            &["annotate", "--image", "a.nii", "--out", "b.nii", "--annotations", "c.nii", "--accept", "1"],
            2,
            "--session",
        ),
        (&["embed", "--precision", "f8"], 2, "f8"),
        (&["cards", "x", "--quiet", "--verbose"], 2, "--quiet"),
        (&["batch", "--cases", "a.csv", "--records", "r", "--shard", "5/4"], 2, "2/4"),
    ] {
        let ran = program::run(words)?;
        assert!(ran.stdout.is_empty(), "{words:?}: {}", ran.stdout);
        let error = ran.failed(code)?;
        assert!(error.contains(part) && !error.contains("panicked"), "{words:?}: {error}");
    }
    Ok(())
}

/// Only debug builds have a command that panics; a release build rejects its name.
#[test]
fn a_panic_is_reported_as_a_defect_of_the_program() -> Result<()> {
    for words in [&["panic"][..], &["panic", "--quiet"], &["panic", "--json"]] {
        let ran = program::run(words)?;
        assert!(ran.stdout.is_empty(), "{words:?}: {}", ran.stdout);
        if cfg!(debug_assertions) {
            let error = ran.failed(3)?;
            for part in ["a panic on purpose", "error: this is a defect of sam-med", "/issues"] {
                assert!(error.contains(part), "{words:?}: {error}");
            }
        } else {
            ran.failed(2)?;
        }
    }
    let help = program::run(["--help"])?.done()?.stdout;
    assert!(!help.contains("panic"), "{help}");
    Ok(())
}

#[test]
fn a_closed_error_stream_does_not_change_the_exit_code() -> Result<()> {
    let mut expected = vec![(&["cards", "no/such/folder"][..], 1), (&["anotate"], 2)];
    if cfg!(debug_assertions) {
        expected.push((&["panic"], 3));
    }
    for (words, code) in expected {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let status = program::command(words).stdout(Stdio::null()).stderr(writer).status()?;
        assert_eq!(status.code(), Some(code), "{words:?}");
    }
    Ok(())
}

#[test]
fn a_mask_never_replaces_the_scan_or_the_outlines() -> Result<()> {
    let desk = Desk::new();
    let shown = &desk.shown;
    desk.outline(&shown[..1])?;
    for (out, part) in [("scan.nii.gz", "--image"), ("partial.nii.gz", "--annotations")] {
        let before = fs::read(desk.path(out))?;
        let words = desk.words_of("annotate", &["--annotations", "partial.nii.gz", "--out", out]);
        let error = program::run(words)?.failed(2)?;
        assert!(error.contains("--out would overwrite") && error.contains(part), "{error}");
        assert_eq!(fs::read(desk.path(out))?, before);
    }
    Ok(())
}

#[test]
fn small_commands_give_their_results_as_text_and_as_json() -> Result<()> {
    let desk = Desk::new();
    let (tiny, half) = (desk.word("tiny.safetensors"), desk.word("half.safetensors"));
    let words = ["convert", "--weights", &tiny, "--out", &half, "--precision", "f16", "--json"];
    let converted = program::run(words)?.done()?.json()?;
    assert!(converted["tensors"].as_u64() > Some(100), "{converted}");
    let embedded = program::run(["embed", "--weights", &half, "--repeats", "1", "--json", "--quiet"])?.done()?;
    assert!(embedded.json()?["timings"][0]["embedding_seconds"].as_f64() > Some(0.0), "{}", embedded.stdout);
    assert!(embedded.stderr.is_empty(), "{}", embedded.stderr);
    let cards = program::run(["cards", &desk.word("."), "--json"])?.done()?;
    assert_eq!(cards.json()?, serde_json::json!({ "cards": [] }));
    // In a folder without cards, the checkpoints are named as not shown.
    assert!(cards.stderr.contains("not shown") && cards.stderr.contains("half.safetensors"), "{}", cards.stderr);
    Ok(())
}

#[test]
fn shells_and_man_get_their_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = program::run(["completions", shell])?.done()?.stdout;
        assert!(completions.contains("quickstart") && completions.contains("save-card"), "{shell}");
    }
    program::run(["man", &program::word(folder.path())])?.done()?;
    let page = fs::read_to_string(folder.path().join("sam-med-annotate.1"))?;
    assert!(page.contains("Examples"), "{page}");
    assert!(folder.path().join("sam-med.1").is_file());
    Ok(())
}
