//! The end of a review: in time, whatever clients do, and with nothing lost if the mask cannot be saved.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    conflicts::{desk, review, words},
    page::Page,
    program,
    stop::{interrupt, wait_for},
};

/// How long the program may take to end on a busy machine; it promises 5 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that have sent a byte and send nothing more.
fn half_open(page: &Page, count: usize) -> Result<Vec<TcpStream>> {
    let open = |_| {
        let mut stream = TcpStream::connect(&page.host)?;
        stream.write_all(b"G")?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

#[test]
fn half_open_connections_do_not_keep_the_program_alive() -> Result<()> {
    for signal in ["INT", "TERM", "HUP"] {
        let desk = desk()?;
        let page = Page::spawn(&mut review(&desk))?;
        page.decide(desk.shown[0], "empty")?;
        let _held = half_open(&page, 200)?;
        let start = Instant::now();
        page.end_by(signal)?;
        assert!(start.elapsed() < PATIENCE, "{signal}: {:?}", start.elapsed());
        let saved = sam_data::read_labels(desk.path("reviewed.nii.gz"))?;
        assert!(desk.slice(&saved, desk.shown[0]).iter().all(|&label| label == 0), "{signal}");
    }
    Ok(())
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() -> Result<()> {
    let desk = desk()?;
    let mut page = Page::spawn(&mut review(&desk))?;
    page.decide(desk.shown[0], "empty")?;
    // A request whose body does not come, without which the first interrupt would end the program before the second one came.
    let mut held = TcpStream::connect(&page.host)?;
    let content = "Content-Type: application/json\r\nContent-Length: 100";
    write!(held, "POST {}save HTTP/1.1\r\nHost: {}\r\n{content}\r\n\r\n", page.path, page.host)?;
    program::signal(&page.child, "INT")?;
    let start = Instant::now();
    // The mask gets its name after its record.
    while !desk.path("reviewed.nii.gz").exists() {
        ensure!(start.elapsed() < PATIENCE, "the first interrupt saves");
        thread::sleep(Duration::from_millis(5));
    }
    program::signal(&page.child, "INT")?;
    assert_eq!(page.child.wait()?.code(), Some(130));
    sam_data::read_labels(desk.path("reviewed.nii.gz"))?;
    Ok(())
}

#[test]
fn a_mask_that_cannot_be_saved_keeps_the_page_open() -> Result<()> {
    let desk = desk()?;
    // A full disk: no file gets longer than 8 blocks of 512 bytes, and the mask is not packed.
    let script = "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" \"$@\"";
    let mut words = words(&desk);
    let out = words.last_mut().expect("the mask is the last word");
    *out = desk.word("reviewed.nii");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sam-med")]).args(words).env_clear();
    let mut page = Page::spawn(command.stdin(Stdio::null()).stderr(Stdio::piped()))?;
    page.decide(desk.shown[0], "empty")?;
    let revision = &page.ask("overview", None)?["revision"];
    for _ in 0..2 {
        let (status, answer) = page.answer("save", Some(&serde_json::json!({ "revision": revision })))?;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(status == 500 && error.contains("every decision is kept"), "{status} {answer}");
        assert!(error.contains("reviewed.nii") && error.contains("save again"), "{error}");
    }
    program::signal(&page.child, "INT")?;
    let stderr = wait_for(&mut page.child, "tries again")?;
    let overview = page.ask("overview", None)?;
    assert_eq!(overview["unsaved"], 1);
    assert_eq!(overview["slices"][desk.shown[0]]["state"], "empty");
    assert!(!desk.path("reviewed.nii").exists());
    let names = fs::read_dir(desk.path("."))?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{names:?}");
    interrupt(page.child, stderr)?;
    Ok(())
}
