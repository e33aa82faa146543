//! Logs whose end is gone or that have no lines, and links.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// Writes a record as it lies beside a mask.
fn write_record(path: &Path, session: &Value) -> Result {
    Ok(fs::write(path, serde_json::to_vec_pretty(&json!({"command": "annotate", "session": session}))?)?)
}

/// A session of three lines, the second of which is a round, and its provenance after the round.
fn three_lines(scratch: &Scratch) -> Result<Value> {
    let mut session = scratch.start()?;
    session.draw(0, labels(1).view())?;
    round(&mut session)?;
    let provenance = session.provenance();
    session.accept(2)?;
    Ok(provenance)
}

#[test]
fn a_log_whose_end_was_cut_off_is_noticed_by_the_record() -> Result {
    let scratch = Scratch::new()?;
    let record = scratch.path.with_file_name("mask.json");
    let written = three_lines(&scratch)?;
    assert_eq!(written["events"], 2);
    write_record(&record, &written)?;
    scratch.start()?.check_record(&record)?;

    let text = fs::read_to_string(scratch.log())?;
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    fs::write(scratch.log(), lines[..2].concat())?;
    scratch.start()?.check_record(&record)?;
    // Records of earlier versions have no SHA-256 of the first line.
    let mut older = written.clone();
    older.as_object_mut().expect("an object").remove("log_first_sha256").expect("it is there");
    for anchor in [&written, &older] {
        write_record(&record, anchor)?;
        for (left, says) in [(1, "line 2 with round 1 is missing"), (0, "lines 1 to 2 with round 1 are missing")] {
            fs::write(scratch.log(), lines[..left].concat())?;
            let error = scratch.start()?.check_record(&record).expect_err("lines are missing");
            assert!(matches!(error, SessionError::LogCutOff { recorded: 2, round: Some(1), .. }), "{error}");
            let message = error.to_string();
            for part in [says, "mask.json", "restore the session from a copy", "move that record away"] {
                assert!(message.contains(part), "{part} is not in: {message}");
            }
        }
        // The session went on after the cut.
        fs::write(scratch.log(), lines[..1].concat())?;
        let mut session = scratch.start()?;
        session.draw(3, labels(1).view())?;
        session.reject(1)?;
        let error = session.check_record(&record).expect_err("line 2 is another one").to_string();
        assert!(error.contains("line 2 with round 1 is another one"), "{error}");
    }
    Ok(())
}

#[test]
fn a_record_of_something_else_is_not_compared() -> Result {
    let (other, scratch) = (Scratch::new()?, Scratch::new()?);
    let record = scratch.path.with_file_name("mask.json");
    // Another session of the same scan and model, with the same decision.
    let written = three_lines(&other)?;
    let mut session = scratch.start()?;
    session.draw(1, labels(1).view())?;
    session.check_record(&record)?;
    write_record(&record, &written)?;
    session.check_record(&record)?;
    for text in ["", "{}", "[1]", "{\"session\": 3}", "no JSON", "{\"1\": \"liver\"}"] {
        fs::write(&record, text)?;
        session.check_record(&record)?;
    }
    let error = error_chain(&session.check_record(&scratch.path).expect_err("a folder"));
    assert!(error.contains("not a regular file"), "{error}");
    Ok(())
}

#[test]
fn a_huge_log_without_a_line_end_is_refused() -> Result {
    let scratch = Scratch::new()?;
    scratch.start()?.draw(0, labels(1).view())?;
    // Sparse: it takes no room on the disk.
    fs::File::options().write(true).open(scratch.log())?.set_len(3 << 30)?;
    let begun = std::time::Instant::now();
    let error = scratch.refused(header());
    assert!(error.contains("damaged in line 2") && error.contains("from a copy"), "{error}");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    Ok(())
}

#[test]
fn a_header_that_is_no_file_or_too_large_is_refused() -> Result {
    let scratch = Scratch::new()?;
    drop(scratch.start()?);
    let path = scratch.path.join(header::FILE_NAME);
    fs::File::options().write(true).open(&path)?.set_len(3 << 30)?;
    assert!(scratch.refused(header()).contains("more than any header"), "{}", scratch.refused(header()));
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    assert!(scratch.refused(header()).contains("not a regular file"), "{}", scratch.refused(header()));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_is_refused_and_one_below_a_link_is_not() -> Result {
    use std::os::unix::fs::symlink;

    let scratch = Scratch::new()?;
    scratch.start()?.draw(0, labels(1).view())?;
    let outer = scratch.path.parent().ok_or("a folder")?;
    let link = outer.join("link");
    symlink(&scratch.path, &link)?;
    for spelling in [link.clone(), link.join(""), link.join("."), outer.join("./link")] {
        for found in [Session::start(&spelling, header()), Session::open(&spelling, &header())] {
            let error = found.expect_err("it is a link");
            assert!(matches!(error, SessionError::LinkedFolder { .. }), "{}: {error}", spelling.display());
            assert!(error.to_string().contains("name the folder that it leads to"), "{error}");
        }
    }
    // Nothing is created where a link without a target leads.
    let dangling = outer.join("dangling");
    symlink(outer.join("nothing"), &dangling)?;
    let error = Session::create(&dangling, header()).expect_err("it is a link");
    assert!(matches!(error, SessionError::LinkedFolder { .. }), "{error}");
    assert!(!outer.join("nothing").exists());

    let elsewhere = tempfile::tempdir()?;
    let above = elsewhere.path().join("above");
    symlink(outer, &above)?;
    assert_eq!(Session::open(above.join("session"), &header())?.entries().len(), 1);
    Ok(())
}
