//! A session survives a killed program and a full disk.
//!
//! The program is the example `session_writer`, which `cargo test` builds. `SAM_MED_KILLS` sets how often it is killed; the default is 20.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sam_annotate::{Session, session::Header};
use sam_files::Sha256Id;

use crate::Result;

/// What the program prints before a recorded event.
const KEPT: &str = "kept ";

/// Path of the example, in the folder `examples` next to this test's folder.
fn program() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).ok_or("the test lies in target/PROFILE/deps")?;
    let program = folder.join("examples").join(format!("session_writer{}", env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is missing: run `cargo build -p sam-annotate --example session_writer`", program.display()).into())
}

/// Starts the program. `limit` is the maximum size of its files in blocks.
fn start(folder: &Path, seed: u64, limit: Option<u32>) -> Result<Child> {
    let script = r#"if [ -n "$1" ]; then trap '' XFSZ; ulimit -f "$1"; fi; shift; exec "$@""#;
    let limit = limit.map_or_else(String::new, |blocks| blocks.to_string());
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &limit]).arg(program()?).arg(folder).arg(seed.to_string());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

/// Opens the session that the program wrote.
fn open(folder: &Path) -> Result<Session> {
    let header = Header::read(folder)?.ok_or("there is a session")?;
    Ok(Session::open(folder, &header)?)
}

/// The events that a program printed, in complete lines.
fn printed(lines: &str) -> Vec<&str> {
    let complete = lines.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().filter_map(|line| line.strip_prefix(KEPT)).collect()
}

/// Checks that all printed events are recorded, and that every file under a final name is complete. Returns the number of events.
fn check(folder: &Path, printed: &[String]) -> Result<usize> {
    let session = open(folder)?;
    let kept = session.entries().iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    assert!(
        kept.len() >= printed.len() && kept[..printed.len()] == *printed,
        "of {} events, some are lost",
        printed.len()
    );
    // One more event may be recorded, which the program could not print any more.
    assert!(kept.len() <= printed.len() + 1, "{} events are recorded, {} were printed", kept.len(), printed.len());
    for entry in fs::read_dir(folder.join("objects"))? {
        let path = entry?.path();
        let name = path.file_name().ok_or("a name")?.to_string_lossy().into_owned();
        let (digits, _) = name.split_once('.').ok_or("an ending")?;
        assert_eq!(Sha256Id::of_file(&path)?.to_string(), digits, "{name} has another content");
    }
    session.annotations()?;
    session.current()?;
    Ok(kept.len())
}

#[test]
fn no_recorded_decision_is_lost_when_the_program_is_killed() -> Result {
    let kills: u64 = env::var("SAM_MED_KILLS").map_or(Ok(20), |kills| kills.parse())?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("session");
    let mut rng = ChaCha8Rng::seed_from_u64(kills);
    let (mut kept, mut early) = (Vec::<String>::new(), 0);
    for seed in 0..kills {
        let mut child = start(&folder, seed, None)?;
        let mut out = BufReader::new(child.stdout.take().ok_or("its output is piped")?);
        // The program is killed shortly after its start, or after it has printed a few decisions.
        let (wanted, mut text) = (rng.next_u32() as usize % 8, String::new());
        while printed(&text).len() < wanted && out.read_line(&mut text)? > 0 {}
        thread::sleep(Duration::from_micros(u64::from(rng.next_u32() % 30_000)));
        child.kill()?;
        child.wait()?;
        out.read_to_string(&mut text)?;
        assert!(!text.contains("failed "), "the program failed before it was killed: {text}");
        let new = printed(&text);
        early += u64::from(new.is_empty());
        kept.extend(new.into_iter().map(str::to_owned));
        if !Session::exists(&folder) {
            assert!(kept.is_empty(), "the session is gone");
            continue;
        }
        if check(&folder, &kept)? > kept.len() {
            kept.push(serde_json::to_string(open(&folder)?.entries().last().ok_or("an event")?)?);
        }
    }
    println!("killed {kills} times, {early} of them before the first decision; {} decisions, none lost", kept.len());
    assert!(early < kills, "no decision was ever taken");
    Ok(())
}

/// A limit of the file size stands for a full disk.
#[test]
fn a_full_disk_is_reported_and_nothing_is_lost() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("session");
    let output = start(&folder, 0, Some(16))?.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    let failed = text.lines().find_map(|line| line.strip_prefix("failed ")).ok_or("it continues until it fails")?;
    assert!(failed.contains("nothing has changed") && failed.contains("make room"), "{failed}");
    let decisions: Vec<_> = printed(&text).into_iter().map(str::to_owned).collect();
    assert!(decisions.len() > 3, "{} decisions were taken before the disk was full", decisions.len());
    assert_eq!(check(&folder, &decisions)?, decisions.len(), "what failed is not recorded");
    // With room again, it continues.
    open(&folder)?.reject(0)?;
    Ok(())
}
