use std::{error::Error, fs, ops::ControlFlow, path::Path, sync::Arc};

use super::*;
use crate::SliceTrust;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn cases(folder: &Path, count: usize) -> Result<Vec<Case<usize>>> {
    let mut table = "case,image,out\n".to_owned();
    for number in 0..count {
        let mask = folder.join(format!("mask-{number}.nii"));
        let scan = folder.join(format!("scan-{number}.nii"));
        fs::write(&scan, "scan")?;
        let cells = [format!("case {number}"), scan.display().to_string(), mask.display().to_string()];
        table += &(cells.join(",") + "\n");
    }
    fs::write(folder.join("cases.csv"), table)?;
    let mut number = 0;
    let parse = |_: &Fields| {
        number += 1;
        Ok::<_, std::io::Error>(number - 1)
    };
    Ok(read_cases(folder.join("cases.csv"), &CommonOptions::default(), parse)?)
}

/// Writes the table of all cases.
fn merge(records: &Records, cases: &[Case<usize>], path: impl AsRef<Path>) -> std::result::Result<Merged, BatchError> {
    let (merged, table) = records.table(cases, &path)?;
    fs::write(path, table).expect("a folder of the test");
    Ok(merged)
}

fn go_on<W>(_: &BatchEvent<'_, W>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn write_mask(case: &Case<usize>) -> std::io::Result<ControlFlow<()>> {
    fs::write(&case.mask, "mask").map(ControlFlow::Continue)
}

#[test]
fn each_case_is_done_once_and_a_failed_one_again() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 4)?, Records::open(folder.path().join("records"))?);
    let batch = Batch::new(&cases, &records);
    let mut done = Vec::new();
    let fails_at_2 = |case: &Case<usize>| {
        done.push(case.work);
        if case.work == 2 { Err(std::io::Error::other("no memory")) } else { write_mask(case) }
    };
    let summary = batch.run(fails_at_2, &mut go_on)?;
    assert_eq!(
        (summary.done, summary.already_done, &summary.failed[..], summary.stopped),
        (3, 0, &["case 2".to_owned()][..], false)
    );
    assert_eq!(done, [0, 1, 2, 3]);
    assert_eq!(
        merge(&records, &cases, folder.path().join("results.csv"))?,
        Merged { done: 3, failed: 1, ..Merged::default() }
    );
    assert!(fs::read_to_string(folder.path().join("results.csv"))?.contains("failed,0.0,,,,,no memory,"));

    let summary = batch.run(write_mask, &mut go_on)?;
    assert_eq!((summary.done, summary.already_done, summary.running), (1, 3, 0));
    assert_eq!(merge(&records, &cases, folder.path().join("results.json"))?, Merged { done: 4, ..Merged::default() });
    assert!(matches!(merge(&records, &cases, "results.txt"), Err(BatchError::Ending { .. })));
    Ok(())
}

#[test]
fn a_batch_stops_between_two_cases_and_a_case_that_another_process_has_is_skipped() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 3)?, Records::open(folder.path().join("records"))?);
    let (state, claim) = records.claim(&cases[0])?;
    assert!(state == CaseState::Open && claim.is_some(), "nobody has it");
    let mut told = None;
    let mut stop_after_one = |event: &BatchEvent<'_, usize>| match event {
        BatchEvent::Ended(..) => ControlFlow::Break(()),
        BatchEvent::Running(case, runner) => {
            told = Some((case.work, runner.cloned()));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    };
    let summary = Batch::new(&cases, &records).run(write_mask, &mut stop_after_one)?;
    assert_eq!((summary.done, summary.running, summary.stopped), (1, 1, true));
    assert_eq!(told, Some((0, Some(Runner::this()))), "this process has it");
    let table = folder.path().join("results.csv");
    let merged = merge(&records, &cases, &table)?;
    assert_eq!(merged, Merged { done: 1, running: 1, missing: 1, ..Merged::default() });
    assert!(fs::read_to_string(&table)?.contains(&format!("running,,,,,,,process {}", std::process::id())));
    assert!(records.read(&cases[1])?.is_some_and(|record| record.is_done()));
    drop(claim);
    assert_eq!(Batch::new(&cases, &records).run(write_mask, &mut go_on)?.done, 2);
    Ok(())
}

#[test]
fn a_case_that_was_stopped_has_no_record_and_is_free_for_the_next() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 3)?, Records::open(folder.path().join("records"))?);
    let stopped_at_1 = |case: &Case<usize>| match case.work {
        1 => Ok(ControlFlow::Break(())),
        _ => write_mask(case),
    };
    let summary = Batch::new(&cases, &records).run(stopped_at_1, &mut go_on)?;
    assert_eq!((summary.done, summary.failed.len(), summary.stopped), (1, 0, true));
    assert!(records.read(&cases[1])?.is_none());
    assert!(records.claim(&cases[1])?.1.is_some(), "nobody has it");
    let table = folder.path().join("results.csv");
    assert_eq!(merge(&records, &cases, &table)?, Merged { done: 1, missing: 2, ..Merged::default() });
    assert!(!fs::read_to_string(&table)?.contains("failed"));
    assert_eq!(Batch::new(&cases, &records).run(write_mask, &mut go_on)?.done, 2);
    Ok(())
}

#[test]
fn records_of_the_first_version_are_read() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 1)?, Records::open(folder.path().join("records"))?);
    let text = format!(
        r#"{{"line": 2, "image": "scan-0.nii", "out": "mask-0.nii", "seconds": 1.5, "outcome": {{"done": {{"mask_sha256": "{}"}}}}}}"#,
        Sha256Id::of("mask")
    );
    fs::write(folder.path().join("records").join(format!("{}.json", cases[0].options)), text)?;
    assert_eq!(
        records.state(&cases[0])?,
        CaseState::Outdated(records.read(&cases[0])?.expect("a record"), vec![Change::MaskGone])
    );
    fs::write(&cases[0].mask, "mask")?;
    let (state, claim) = records.claim(&cases[0])?;
    assert!(matches!(state, CaseState::Done(_)) && claim.is_none(), "{state:?}");
    Ok(())
}

/// What a run says when a case starts again.
fn changes(cases: &[Case<usize>], records: &Records) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    let mut note = |event: &BatchEvent<'_, usize>| {
        if let BatchEvent::Started(case, CaseState::Outdated(_, why)) = event {
            changes.extend(why.iter().map(|change| format!("{}: {change}", case.name)));
        }
        ControlFlow::Continue(())
    };
    Batch::new(cases, records).run(write_mask, &mut note)?;
    Ok(changes)
}

#[test]
fn a_case_whose_inputs_options_or_mask_changed_is_done_again() -> Result {
    let folder = tempfile::tempdir()?;
    let (all, records) = (cases(folder.path(), 2)?, Records::open(folder.path().join("records"))?);
    let outlines = folder.path().join("outlines.nii");
    fs::write(&outlines, "outlines")?;
    let with_outlines = |cases: Vec<Case<usize>>| -> Vec<_> {
        cases.into_iter().map(|case| case.with_inputs([Input::new("annotations", &outlines)])).collect()
    };
    let mut all = with_outlines(all);
    assert_eq!(changes(&all, &records)?, [""; 0]);
    assert_eq!(changes(&all, &records)?, [""; 0]);
    fs::write(&all[1].image, "another scan")?;
    let merged = merge(&records, &all, folder.path().join("results.json"))?;
    assert_eq!(merged, Merged { done: 1, outdated: 1, ..Merged::default() });
    assert_eq!(changes(&all, &records)?, ["case 1: the content of \"image\" has changed"]);
    fs::write(&outlines, "other outlines")?;
    fs::remove_file(&all[0].mask)?;
    let of_outlines = "the content of \"annotations\" has changed";
    let expected =
        [format!("case 0: {of_outlines}"), "case 0: the mask is gone".to_owned(), format!("case 1: {of_outlines}")];
    assert_eq!(changes(&all, &records)?, expected);
    // An input that is gone is no reason to do a case again, nor is a mask that a person has edited.
    fs::remove_file(&outlines)?;
    fs::write(&all[0].mask, "edited")?;
    assert_eq!(changes(&all, &records)?, [""; 0]);
    all[0].options = Sha256Id::of("other options");
    assert_eq!(changes(&all, &records)?, ["case 0: the options have changed"]);
    assert_eq!(changes(&all, &records)?, [""; 0]);
    Ok(())
}

#[test]
fn neutral_options_make_no_case_outdated_and_records_of_earlier_versions_are_found() -> Result {
    let folder = tempfile::tempdir()?;
    cases(folder.path(), 1)?;
    let records = Records::open(folder.path().join("records"))?;
    let read = |words: &[&str]| {
        let common = CommonOptions::new(words.iter().copied()).with_neutral("overwrite", false);
        read_cases(folder.path().join("cases.csv"), &common, |_: &Fields| Ok::<_, std::io::Error>(0))
    };
    let (plain, neutral, other) = (read(&[])?, read(&["--overwrite"])?, read(&["--overwrite", "--seed=3"])?);
    assert_eq!(changes(&plain, &records)?, [""; 0]);
    // Earlier versions recorded neutral options, too.
    let old = Record { options: neutral[0].with_neutral, ..records.read(&plain[0])?.expect("a record") };
    assert_ne!(old.options, Some(plain[0].options));
    for record in [records.read(&plain[0])?.expect("a record"), old] {
        records.write(&plain[0], &record)?;
        assert!(matches!(records.state(&neutral[0])?, CaseState::Done(_)), "{record:?}");
        assert!(matches!(records.state(&other[0])?, CaseState::Outdated(..)), "{record:?}");
    }
    Ok(())
}

#[test]
fn records_and_tables_have_no_absolute_path_unless_they_are_allowed() -> Result {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("Patient data");
    let table = root.join("cases.csv");
    fs::create_dir_all(root.join("a"))?;
    fs::create_dir(root.join("b"))?;
    let [a, b] = ["a", "b"].map(|name| root.join(name).display().to_string());
    fs::write(&table, format!("image,out\n{a}/scan 1.nii,{a}/mask.nii\n{b}/scan 1.nii,{b}/mask.nii\n"))?;
    let cases = read_cases(&table, &CommonOptions::default(), |_: &Fields| Ok::<_, std::io::Error>(0))?;
    let work = |case: &Case<usize>| match case.line {
        2 => write_mask(case),
        _ => Err(std::io::Error::other(format!("no {} in {}: /etc/hosts", case.image.display(), root.display()))),
    };
    // The second run finds the records of an earlier version, which have absolute paths.
    for (name, absolute_paths, done) in [("old", true, 1), ("old", false, 0), ("new", false, 1)] {
        let records = Records::open(root.join(name))?.with_absolute_paths(absolute_paths);
        let summary = Batch::new(&cases, &records).run(work, &mut go_on)?;
        assert_eq!((summary.done, summary.already_done), (done, 1 - done));
        assert_eq!(summary.failed, [format!("{b}/mask.nii")], "messages have whole paths");
        for (path, names) in [
            (root.join("all.csv"), ["a/mask.nii", "b/mask.nii"]),
            (folder.path().join("all.json"), ["Patient data/a/mask.nii", "Patient data/b/mask.nii"]),
            (root.join(name).join("all.json"), ["mask.nii (line 2)", "mask.nii (line 3)"]),
        ] {
            merge(&records, &cases, &path)?;
            let text = fs::read_to_string(path)?;
            let names = if absolute_paths {
                [format!("{a}/mask.nii"), format!("{b}/mask.nii")]
            } else {
                names.map(str::to_owned)
            };
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
            assert_eq!(text.contains(&*folder.path().to_string_lossy()), absolute_paths, "{text}");
            assert_eq!(text.contains("/etc/hosts"), absolute_paths, "{text}");
        }
        let text = |case: &Case<usize>| fs::read_to_string(root.join(name).join(format!("{}.json", case.id)));
        let written = if done == 1 { &cases[..] } else { &cases[1..] };
        for text in written.iter().map(text) {
            let text = text?;
            assert_eq!(text.contains(&*root.to_string_lossy()), absolute_paths, "{text}");
        }
    }
    Ok(())
}

#[test]
fn a_case_that_writes_into_the_folder_of_its_scan_is_done_once() -> Result {
    let folder = tempfile::tempdir()?;
    let series = folder.path().join("series");
    fs::create_dir(&series)?;
    fs::write(series.join("1.dcm"), "a slice")?;
    let series = series.display();
    let table = format!("case,image,out\nA,{series}/,{series}/a.nii.gz\nB,{series},{series}/../series/b.nii.gz\n");
    fs::write(folder.path().join("cases.csv"), table)?;
    let parse = |_: &Fields| Ok::<_, std::io::Error>(0);
    let cases = read_cases(folder.path().join("cases.csv"), &CommonOptions::default(), parse)?;
    let records = Records::open(folder.path().join("series/records"))?;
    let also = [folder.path().join("series/records"), folder.path().join("series/work")];
    let written: Arc<[_]> = cases.iter().flat_map(|case| case.outputs.to_vec()).chain(also.clone()).collect();
    let cases: Vec<_> = cases.into_iter().map(|case| case.with_outputs(Arc::clone(&written))).collect();
    let mut runs = 0;
    let mut work = |case: &Case<usize>| -> std::result::Result<ControlFlow<(), ()>, crate::session::BoxError> {
        runs += 1;
        let output = crate::Output::new(&case.mask);
        let outputs = output.plan(sam_files::OutputPlan::new().input("--image", &case.image)).open()?;
        outputs.write(&case.mask, |file| write!(file, "mask {runs}"))?;
        outputs.publish_with_record(output.record(), serde_json::Map::new())?;
        fs::create_dir_all(&also[1])?;
        Ok(fs::write(also[1].join("log"), runs.to_string()).map(ControlFlow::Continue)?)
    };
    let batch = Batch::new(&cases, &records);
    assert_eq!(batch.run(&mut work, &mut go_on)?.done, 2);
    assert_eq!(batch.run(&mut work, &mut go_on)?.already_done, 2);
    // Also after a person has corrected a mask.
    fs::write(&cases[0].mask, "corrected")?;
    assert_eq!(batch.run(&mut work, &mut go_on)?.already_done, 2);
    fs::write(cases[0].image.join("2.dcm"), "another slice")?;
    assert_eq!(batch.run(write_mask, &mut go_on)?.done, 2);
    Ok(())
}

#[test]
fn the_case_to_look_at_first_is_the_first() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 4)?, Records::open(folder.path().join("records"))?);
    let rankings = [&[(3, 0.5), (4, 0.75)][..], &[(2, 0.25), (5, 0.75)], &[], &[(1, 0.5), (0, 1.0)]];
    let trust = |ranking: &[(usize, f32)]| {
        CaseTrust::of(&ranking.iter().map(|&(index, trust)| SliceTrust::new(index, trust)).collect::<Vec<_>>())
    };
    let work = |case: &Case<usize>| match case.work {
        2 => Err(std::io::Error::other("no memory")),
        number => write_mask(case).map(|_| ControlFlow::Continue(trust(rankings[number]))),
    };
    let summary = Batch::new(&cases, &records).run(work, &mut go_on)?;
    let names = |ranking: &[RankedCase]| ranking.iter().map(|ranked| ranked.case.clone()).collect::<Vec<_>>();
    assert_eq!(names(&summary.ranking), ["case 1", "case 0", "case 3"]);
    let again = Batch::new(&cases[..2], &records).run(write_mask, &mut go_on)?;
    assert_eq!((again.already_done, names(&again.ranking)), (2, vec!["case 1".to_owned(), "case 0".to_owned()]));
    let path = folder.path().join("results.csv");
    merge(&records, &cases, &path)?;
    let mut table = csv::Reader::from_path(path)?;
    let rows = table.records().collect::<csv::Result<Vec<_>>>()?;
    let cell = |row: usize, column: usize| rows[row].get(column).unwrap_or_default();
    assert_eq!([0, 1, 2, 3].map(|row| cell(row, 1)), ["case 1", "case 0", "case 3", "case 2"]);
    assert_eq!([4, 6, 7, 8].map(|column| cell(0, column)), ["done", "3", "0.250", "0.500"]);
    Ok(())
}
