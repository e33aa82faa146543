//! Outputs of every command: no input, no file of others and no other output is ever replaced, and the person is told before the work.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{desk::Desk, program};

/// Prompts with one click, which does not depend on how slices are counted.
fn prompts(desk: &Desk) -> Value {
    let affine = desk.phantom.volume.grid.affine;
    let at = [0, 1, 2].map(|row| affine[row][0] * 20.0 + affine[row][1] * 18.0 + affine[row][2] * 3.0 + affine[row][3]);
    let object = json!({ "name": "organ", "points": [{ "at": at, "label": "foreground" }] });
    json!({ "version": 1, "prompts": { "millimetres": { "objects": [object] } } })
}

/// A desk with every kind of input.
fn desk() -> Result<Desk> {
    let desk = Desk::new();
    desk.outline(&desk.shown[..2])?;
    desk.write("truth.nii.gz", &desk.phantom.labels.labels)?;
    fs::write(desk.path("prompts.json"), prompts(&desk).to_string())?;
    fs::write(desk.path("names.json"), format!("{{\"{}\": \"organ\"}}", desk.value))?;
    fs::write(desk.path("table.csv"), "image,annotations,out\nscan.nii.gz,partial.nii.gz,out.nii.gz\n")?;
    for (name, content) in [("card.safetensors", "a card"), ("theirs.nii.gz", "a mask"), ("theirs.json", "{}")] {
        fs::write(desk.path(name), content)?;
    }
    Ok(desk)
}

/// Every file of the desk with its content.
fn files(desk: &Desk) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![desk.path(".")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).unwrap_or_default();
                files.insert(path, content);
            }
        }
    }
    Ok(files)
}

/// A command line in words; `@NAME` is a file on the desk. The weights are missing, so that a run that gets beyond the check fails there.
fn words(desk: &Desk, line: &str) -> Vec<String> {
    let place = |word: &str| word.strip_prefix('@').map_or_else(|| word.to_owned(), |name| desk.word(name));
    line.split_whitespace().map(place).collect()
}

const ANNOTATE: &str = "annotate --image @scan.nii.gz --annotations @partial.nii.gz --weights @missing.pth";
const PREDICT: &str = "predict --image @scan.nii.gz --prompts @prompts.json --weights @missing.pth";
const REVIEW: &str = "review --image @scan.nii.gz --mask @truth.nii.gz --weights @missing.pth";

#[test]
fn an_input_is_never_an_output_of_any_command() -> Result<()> {
    let desk = desk()?;
    for name in ["scan.nii.gz", "partial.nii.gz", "truth.nii.gz"] {
        symlink(desk.path(name), desk.path(&format!("link-{name}")))?;
        fs::hard_link(desk.path(name), desk.path(&format!("hard-{name}")))?;
    }
    fs::create_dir(desk.path("sub"))?;
    fs::create_dir(desk.path("data"))?;
    for name in ["results.json", "masks.json", "mask.nii.gz"] {
        fs::hard_link(desk.path("scan.nii.gz"), desk.path("data").join(name))?;
    }
    let before = files(&desk)?;
    for line in [
        // Each input of each command, under several spellings.
        &format!("{ANNOTATE} --out @scan.nii.gz"),
        &format!("{ANNOTATE} --out @./sub/../scan.nii.gz"),
        &format!("{ANNOTATE} --out @link-scan.nii.gz"),
        &format!("{ANNOTATE} --out @hard-partial.nii.gz"),
        &format!("{ANNOTATE} --session @session --out @partial.nii.gz"),
        &format!("{ANNOTATE} --labels @names.json --out @names.nii.gz"),
        &format!("{ANNOTATE} --labels @names.json --session @session --out @names.nii.gz"),
        &format!("{ANNOTATE} --out @new.nii.gz --save-card @missing.pth"),
        &format!("{ANNOTATE} --card @card.safetensors --out @new.nii.gz --seg @card.safetensors"),
        &format!("{PREDICT} --out @prompts.nii.gz"),
        &format!("{PREDICT} --out @new.nii.gz --seg @scan.nii.gz"),
        &format!("{REVIEW} --out @truth.nii.gz"),
        &format!("{REVIEW} --out @link-truth.nii.gz"),
        &format!("{REVIEW} --out @hard-scan.nii.gz"),
        &format!("{REVIEW} --labels @names.json --out @new.nii.gz --seg @names.json"),
        "convert --weights @tiny.safetensors --out @./tiny.safetensors",
        "batch --cases @table.csv --records @records --merge @sub/../table.csv",
        "evaluate --data @data --out @data --weights @missing.pth",
        "coarse --data @data --out @data/results.json --weights @missing.pth",
        "quickstart --image @scan.nii.gz --labels @truth.nii.gz --out @data --weights @missing.pth",
        "automatic --image @data/masks.json --out @data --weights @missing.pth",
        // Two outputs that are one file.
        &format!("{ANNOTATE} --out @new.nii.gz --seg @./new.nii.gz"),
        &format!("{PREDICT} --out @new.nii.gz --seg @sub/../new.json"),
    ] {
        for overwrite in ["", " --overwrite"] {
            let line = format!("{line}{overwrite}");
            let said = program::run(words(&desk, &line))?;
            ensure!(said.code == Some(2) || said.code == Some(1), "{line}: {:?} {}", said.code, said.stderr);
            let is_told = ["would overwrite", "are the same file", "not a name for a prompt card"];
            ensure!(is_told.iter().any(|part| said.stderr.contains(part)), "{line}: {}", said.stderr);
            let mut after = files(&desk)?;
            // A batch opens its folder of records first.
            after.retain(|path, _| !path.starts_with(desk.path("records")));
            ensure!(after == before, "{line} changed a file");
        }
    }
    Ok(())
}

#[test]
fn a_file_of_others_is_replaced_only_with_overwrite_which_keeps_it() -> Result<()> {
    let desk = desk()?;
    let before = files(&desk)?;
    for line in [
        &format!("{ANNOTATE} --out @theirs.nii.gz"),
        &format!("{ANNOTATE} --out @new.nii.gz --save-card @card.safetensors"),
        &format!("{PREDICT} --out @theirs.nii.gz"),
        &format!("{REVIEW} --out @theirs.nii.gz"),
        "convert --weights @tiny.safetensors --out @card.safetensors",
        "coarse --phantom nuclei --out @theirs.json --weights @missing.pth",
        "batch --cases @table.csv --records @records --merge @theirs.json",
    ] {
        let said = program::run(words(&desk, line))?.failed(1)?;
        ensure!(said.contains("would overwrite") && said.contains("--overwrite") && said.contains(".bak"), "{said}");
        let mut after = files(&desk)?;
        after.retain(|path, _| !path.starts_with(desk.path("records")));
        ensure!(after == before, "{line} changed a file");
    }
    // The file of an earlier run is the program's own.
    for _ in 0..2 {
        program::run(words(&desk, "convert --weights @tiny.safetensors --out @converted.safetensors"))?.done()?;
    }
    let old = fs::read(desk.path("card.safetensors"))?;
    let convert = "convert --weights @tiny.safetensors --out @card.safetensors --overwrite";
    program::run(words(&desk, convert))?.done()?;
    assert_eq!(fs::read(desk.path("card.safetensors.bak"))?, old);
    let second = fs::read(desk.path("card.safetensors"))?;
    program::run(words(&desk, convert))?.done()?;
    assert_eq!(fs::read(desk.path("card.safetensors.bak"))?, old, "a backup is never lost");
    assert_eq!(fs::read(desk.path("card.safetensors.bak2"))?, second);
    Ok(())
}

#[test]
fn a_second_run_replaces_its_own_mask_but_not_one_that_a_person_corrected() -> Result<()> {
    let desk = desk()?;
    let line = PREDICT.replace("missing.pth", "tiny.safetensors") + " --out @mask.nii.gz --absolute-paths";
    program::run(words(&desk, &line))?.done()?;
    let record: Value = serde_json::from_slice(&fs::read(desk.path("mask.json"))?)?;
    let listed = record["outputs"]["mask.nii.gz"]["sha256"].as_str().unwrap_or_default();
    assert_eq!(listed, sam_files::sha256_of_file(desk.path("mask.nii.gz"))?);
    assert_eq!(record["options"]["image"], desk.word("scan.nii.gz"));
    let line = line.replace(" --absolute-paths", "");
    program::run(words(&desk, &line))?.done()?;
    let text = fs::read_to_string(desk.path("mask.json"))?;
    assert!(!text.contains(&desk.word("")), "no absolute path: {text}");

    desk.outline(&desk.shown[..1])?;
    fs::copy(desk.path("partial.nii.gz"), desk.path("mask.nii.gz"))?;
    let corrected = fs::read(desk.path("mask.nii.gz"))?;
    let said = program::run(words(&desk, &line))?.failed(1)?;
    assert!(said.contains("was changed after this program wrote it"), "{said}");
    assert_eq!(fs::read(desk.path("mask.nii.gz"))?, corrected);
    program::run(words(&desk, &(line + " --overwrite")))?.done()?;
    assert_eq!(fs::read(desk.path("mask.nii.gz.bak"))?, corrected);
    Ok(())
}

/// On Linux nobody can create a file in `/proc`, not even root.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_told_before_the_weights_are_read() -> Result<()> {
    let desk = desk()?;
    for line in [
        &format!("{ANNOTATE} --out /proc/mask.nii.gz"),
        &format!("{ANNOTATE} --out @new.nii.gz --save-card /proc/card.safetensors"),
        &format!("{ANNOTATE} --out @new.nii.gz --seg /proc/mask.dcm"),
        &format!("{PREDICT} --out /proc/mask.nii.gz"),
        &format!("{PREDICT} --out @new.nii.gz --seg /proc/mask.dcm"),
        &format!("{REVIEW} --out /proc/mask.nii.gz"),
        &format!("{REVIEW} --out @new.nii.gz --seg /proc/mask.dcm"),
        "automatic --image @scan.png --out /proc/results --weights @missing.pth",
        "evaluate --phantom nuclei --out /proc/results --weights @missing.pth",
        "coarse --phantom nuclei --out /proc/table5.json --weights @missing.pth",
        "quickstart --out /proc/results --weights @missing.pth",
        "convert --weights @missing.pth --out /proc/new.safetensors",
        "batch --cases @table.csv --records @records --merge /proc/results.csv",
        "man /proc/man1",
    ] {
        let said = program::run(words(&desk, line))?.failed(1)?;
        ensure!(said.contains("cannot write /proc") || said.contains("/proc/"), "{line}: {said}");
        ensure!(!said.contains("missing.pth"), "{line} read the weights first: {said}");
    }
    Ok(())
}

/// A limit on the size of files fails each write as a full disk does, in the middle of the mask.
#[test]
fn a_disk_that_is_full_at_the_end_leaves_the_old_files() -> Result<()> {
    let desk = desk()?;
    let line = PREDICT.replace("missing.pth", "tiny.safetensors") + " --out @mask.nii";
    program::run(words(&desk, &line))?.done()?;
    let before = files(&desk)?;
    let mut shell = std::process::Command::new("/bin/sh");
    // Without the signal, a write beyond the limit is an error. The mask has 12 KB or more.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_sam-med")]);
    let ended = shell.args(words(&desk, &line)).env_clear().output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("mask.nii") && !said.contains("unfinished"), "{said}");
    assert_eq!(files(&desk)?, before);
    Ok(())
}

/// Other systems do not have such names.
#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf_8_are_recorded() -> Result<()> {
    let desk = desk()?;
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    let folder = desk.path(".").join(name);
    fs::create_dir(&folder)?;
    for name in ["scan.nii.gz", "prompts.json", "tiny.safetensors"] {
        fs::copy(desk.path(name), folder.join(name))?;
    }
    let mut command = program::command(["predict", "--json"]);
    for (option, name) in [("--image", "scan.nii.gz"), ("--prompts", "prompts.json"), ("--weights", "tiny.safetensors")]
    {
        command.arg(option).arg(folder.join(name));
    }
    let ended = command.arg("--out").arg(folder.join("mask.nii.gz")).output()?;
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let record: Value = serde_json::from_slice(&fs::read(folder.join("mask.json"))?)?;
    assert_eq!(record["command"], "predict");
    Ok(())
}

#[test]
fn two_programs_never_write_one_mask() -> Result<()> {
    let desk = desk()?;
    let held = sam_files::OutputLock::acquire(desk.path("mask.nii.gz"))?;
    let line = PREDICT.replace("missing.pth", "tiny.safetensors") + " --out @mask.nii.gz";
    let said = program::run(words(&desk, &line))?.failed(1)?;
    assert!(said.contains("mask.nii.gz") && said.contains(&format!("process {}", std::process::id())), "{said}");
    drop(held);
    program::run(words(&desk, &line))?.done().map(drop)
}
