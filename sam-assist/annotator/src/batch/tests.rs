use std::{error::Error, fs, ops::ControlFlow, path::Path};

use super::*;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn cases(folder: &Path, count: usize) -> Result<Vec<Case<usize>>> {
    let mut table = "image,out\n".to_owned();
    for number in 0..count {
        let mask = folder.join(format!("mask-{number}.nii"));
        table.extend([&format!("scan-{number}.nii,"), &*mask.to_string_lossy(), "\n"]);
    }
    fs::write(folder.join("cases.csv"), table)?;
    let mut number = 0;
    let parse = |_: &Fields| {
        number += 1;
        Ok::<_, std::io::Error>(number - 1)
    };
    Ok(read_cases(folder.join("cases.csv"), &[], parse)?)
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
    assert_eq!((summary.done, summary.skipped, summary.failed.len(), summary.stopped), (3, 0, 1, false));
    assert_eq!(done, [0, 1, 2, 3]);
    assert_eq!(records.merge(&cases, folder.path().join("results.csv"))?, Merged { done: 3, failed: 1, missing: 0 });
    assert!(fs::read_to_string(folder.path().join("results.csv"))?.contains("failed,0.0,,no memory"));

    let summary = batch.run(write_mask, &mut go_on)?;
    assert_eq!((summary.done, summary.skipped), (1, 3));
    assert_eq!(records.merge(&cases, folder.path().join("results.json"))?, Merged { done: 4, failed: 0, missing: 0 });
    assert!(matches!(records.merge(&cases, "results.txt"), Err(BatchError::Ending { .. })));
    Ok(())
}

#[test]
fn a_batch_stops_between_two_cases_and_a_case_that_another_process_has_is_skipped() -> Result {
    let folder = tempfile::tempdir()?;
    let (cases, records) = (cases(folder.path(), 3)?, Records::open(folder.path().join("records"))?);
    let claim = records.claim(&cases[0])?.expect("nobody has it");
    let mut stop_after_one = |event: &BatchEvent<'_, usize>| match event {
        BatchEvent::Ended(..) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let summary = Batch::new(&cases, &records).run(write_mask, &mut stop_after_one)?;
    assert_eq!((summary.done, summary.skipped, summary.stopped), (1, 1, true));
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
    assert!(records.claim(&cases[1])?.is_some(), "nobody has it");
    let table = folder.path().join("results.csv");
    assert_eq!(records.merge(&cases, &table)?, Merged { done: 1, failed: 0, missing: 2 });
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
    fs::write(folder.path().join("records").join(format!("{}.json", cases[0].id)), text)?;
    assert!(records.claim(&cases[0])?.is_none(), "it is done");
    Ok(())
}
