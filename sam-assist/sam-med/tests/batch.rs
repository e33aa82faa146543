//! Batches of many scans: each is done once, even if processes are killed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Child,
};

use anyhow::{Context, Result, ensure};
use sam_testing::{golden, scan::SmallScan};

use crate::{
    program,
    stop::{interrupt, wait_for},
};

const CASES: usize = 8;

/// Writes scans with two slices outlined each, and the table of them.
fn write_cases(folder: &Path) -> Result<()> {
    fs::write(folder.join("tiny.safetensors"), golden::serialised(&golden::weights()))?;
    let mut table = "image,annotations,out\n".to_owned();
    for number in 0..CASES {
        let small = SmallScan::new(number as u64);
        let (volume, shown) = (&small.phantom.volume, &small.shown);
        let partial = small.outlines(&[shown[0], shown[shown.len() - 1]]);
        let [scan, annotations, mask] = ["scan", "partial", "mask"].map(|name| format!("{name}-{number}.nii.gz"));
        sam_data::write_volume(folder.join(&scan), volume)?;
        sam_data::write_labels(folder.join(&annotations), partial.labels.view(), volume)?;
        let paths = [scan, annotations, mask].map(|name| folder.join(name).to_string_lossy().into_owned());
        table += &(paths.join(",") + "\n");
    }
    Ok(fs::write(folder.join("cases.csv"), table)?)
}

/// The command line of a batch in a folder, with more words.
fn words(folder: &Path, more: &[&str]) -> Vec<String> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut words = vec!["batch".to_owned(), "--cases".to_owned(), path("cases.csv")];
    words.extend(["--records".to_owned(), path("records")]);
    words.extend(more.iter().map(|&word| word.to_owned()));
    words.extend(["--".to_owned(), format!("--weights={}", path("tiny.safetensors"))]);
    words
}

fn start(folder: &Path, shard: &str) -> Result<Child> {
    program::start(words(folder, &["--shard", shard]))
}

/// The number of cases that a process began, each reported on a line of standard error.
fn begun(output: &str) -> usize {
    output.lines().filter(|line| line.ends_with(".nii.gz: begun")).count()
}

fn end(mut child: Child) -> Result<usize> {
    let mut output = String::new();
    child.stderr.take().context("it is piped")?.read_to_string(&mut output)?;
    ensure!(child.wait()?.success(), "a shard failed: {output}");
    Ok(begun(&output))
}

/// All records, by name.
fn records(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder.join("records"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            records.push((path.to_string_lossy().into_owned(), fs::read_to_string(path)?));
        }
    }
    records.sort();
    Ok(records)
}

#[test]
fn four_shards_do_each_case_once_though_one_is_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_cases(folder)?;
    let merge = |name: &str| {
        let target = folder.join(name).to_string_lossy().into_owned();
        program::run(words(folder, &["--merge", &target]))
    };
    merge("early.csv")?.failed(1)?;

    let mut killed = start(folder, "2/4")?;
    let others = ["1/4", "3/4", "4/4"].map(|shard| start(folder, shard));
    // Wait until it has begun its first case.
    let mut output = BufReader::new(killed.stderr.take().context("its output is piped")?);
    let (mut line, mut of_killed) = (String::new(), 0);
    while of_killed == 0 && output.read_line(&mut line)? > 0 {
        of_killed += begun(line.trim_end());
        line.clear();
    }
    killed.kill()?;
    killed.wait()?;
    ensure!(of_killed == 1, "it was killed at work");
    let mut total = 0;
    for child in others {
        total += end(child?)?;
    }
    ensure!(records(folder)?.len() < CASES, "what was killed is not done");
    // Both are started with overlapping shards; each case is done by one of them.
    let again = [start(folder, "2/4")?, start(folder, "1/1")?];
    for child in again {
        total += end(child)?;
    }
    assert_eq!(total, CASES, "each case was begun once, but for what was killed");
    let before = records(folder)?;
    assert_eq!(before.len(), CASES);
    assert_eq!(end(start(folder, "1/1")?)?, 0, "all is done");
    assert_eq!(records(folder)?, before);

    merge("results.csv")?.done()?;
    merge("results.json")?.done()?;
    let root = program::word(folder);
    let tables =
        ["results.csv", "results.json", "results.csv.record.json"].map(|name| fs::read_to_string(folder.join(name)));
    for text in tables.into_iter().chain(before.into_iter().map(|(_, record)| Ok(record))) {
        let text = text?;
        ensure!(!text.contains(&root), "an absolute path: {text}");
    }
    let table = fs::read_to_string(folder.join("results.csv"))?;
    assert_eq!((table.lines().count(), table.matches(",done,").count()), (CASES + 1, CASES));
    assert!(fs::read_to_string(folder.join("early.csv"))?.contains("missing"));
    Ok(())
}

#[test]
fn a_case_that_was_stopped_has_not_failed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_cases(folder)?;
    // More ensemble members than the test waits for.
    let words = |more: &[&str]| [words(folder, more), vec!["--members=16".to_owned()]].concat();
    let mut child = program::start(words(&[]))?;
    let stderr = wait_for(&mut child, "Learning")?;
    interrupt(child, stderr)?;
    assert!(records(folder)?.is_empty(), "{:?}", records(folder)?);
    let table = folder.join("results.csv");
    let error = program::run(words(&["--merge", &program::word(&table)]))?.failed(1)?;
    assert!(error.contains("0 cases failed"), "{error}");
    let table = fs::read_to_string(table)?;
    assert_eq!((table.matches(",failed,").count(), table.matches(",missing,").count()), (0, CASES), "{table}");
    Ok(())
}

#[test]
fn cases_have_names_and_changed_ones_are_done_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_cases(folder)?;
    // The first two cases, with names.
    let table = fs::read_to_string(folder.join("cases.csv"))?;
    let named = table.lines().zip(["case", "Patient A", "Patient B"]).map(|(line, name)| format!("{name},{line}\n"));
    fs::write(folder.join("cases.csv"), named.collect::<Vec<_>>().concat())?;
    let batch = || program::run(words(folder, &[]))?.done();
    let first = batch()?;
    assert!(first.stdout.contains("2 cases done, 0 done already, 0 failed"), "{}", first.stdout);
    let (_, list) = first.stdout.split_once("Look first at:\n").context("a list")?;
    let expected = |line: &str| line.starts_with("  Patient ") && line.contains(": expected Dice ");
    assert!(list.lines().count() == 2 && list.lines().all(expected), "{list}");
    assert!(
        first.stderr.contains("Patient A: begun\n") && first.stderr.contains("Patient A: done in"),
        "{}",
        first.stderr
    );

    let small = SmallScan::new(0);
    let partial = small.outlines(&small.shown[..2]);
    sam_data::write_labels(folder.join("partial-0.nii.gz"), partial.labels.view(), &small.phantom.volume)?;
    let second = batch()?;
    assert!(
        second.stderr.contains("Patient A: begun again, because the content of \"annotations\" has changed\n"),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("Patient B: done already\n"), "{}", second.stderr);
    fs::remove_file(folder.join("mask-1.nii.gz"))?;
    let third = batch()?;
    assert!(third.stderr.contains("Patient B: begun again, because the mask is gone\n"), "{}", third.stderr);

    let results = folder.join("results.json");
    program::run(words(folder, &["--merge", &program::word(&results)]))?.done()?;
    let rows: serde_json::Value = serde_json::from_slice(&fs::read(results)?)?;
    let mean = |row: usize| rows[row]["trust"]["mean"].as_f64().context("a mean trust");
    assert!(mean(0)? <= mean(1)?, "{rows}");
    assert_eq!(
        (&rows[0]["outcome"], rows[0]["case"].as_str().map(|name| name.starts_with("Patient"))),
        (&"done".into(), Some(true))
    );
    Ok(())
}

#[test]
fn overwrite_makes_no_case_outdated_and_holds_for_the_cases_that_are_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    write_cases(folder)?;
    let table = fs::read_to_string(folder.join("cases.csv"))?;
    fs::write(folder.join("cases.csv"), table.lines().take(3).fold(String::new(), |text, line| text + line + "\n"))?;
    let [corrected, theirs] = ["mask-0.nii.gz", "mask-1.nii.gz"].map(|name| folder.join(name));
    fs::write(&theirs, "a mask of others")?;
    let after = |more: &[&str], last: &[&str]| {
        let last = last.iter().map(|&word| word.to_owned());
        program::run(words(folder, more).into_iter().chain(last))
    };
    let refused = after(&[], &[])?.failed(1)?;
    assert!(refused.contains("would overwrite") && refused.contains("1 case failed"), "{refused}");
    // A person corrects the mask of the case that is done.
    fs::copy(folder.join("partial-0.nii.gz"), &corrected)?;
    let before = fs::read(&corrected)?;
    let told = after(&["--overwrite"], &[])?.done()?;
    assert!(told.stdout.contains("1 case done, 1 done already, 0 failed"), "{}{}", told.stdout, told.stderr);
    assert_eq!(fs::read(folder.join("mask-1.nii.gz.bak"))?, b"a mask of others");
    let cache = program::word(folder.join("embeddings"));
    for last in [&["--overwrite"][..], &["--absolute-paths", "--cache", &cache], &[]] {
        let told = after(&[], last)?.done()?;
        assert!(told.stdout.contains("0 cases done, 2 done already"), "{last:?}: {}{}", told.stdout, told.stderr);
    }
    let both = after(&["--overwrite"], &["--overwrite"])?.done()?;
    assert!(both.stdout.contains("2 done already"), "{}", both.stdout);
    assert_eq!(fs::read(&corrected)?, before);
    assert!(!folder.join("mask-0.nii.gz.bak").exists());
    Ok(())
}

#[test]
fn a_column_that_is_no_option_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    for (columns, part) in [
        ("patient,image,out", "line 2 of"),
        ("patient,image,out", "the column \"patient\" is not an option of `sam-med annotate`"),
        ("seed,image,out", "invalid value 'A' for '--seed"),
    ] {
        fs::write(folder.join("cases.csv"), format!("{columns}\nA,a.nii,b.nii\n"))?;
        let error = program::run(words(folder, &[]))?.failed(1)?;
        assert!(error.contains(part) && !error.contains("Usage"), "{error}");
    }
    Ok(())
}
