//! A session survives whatever ends the program: killed at any moment, or out of room. The program is this one, started again.
//!
//! `SAM_MED_KILLS` says how often it is killed, 20 times if it does not.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use examples::{
    prompting::Prompting,
    session::{Header, ObjectId, RoundConfig, RoundResult, ScanIdentity, Session},
    trust::TrustConfig,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sam_auto::MaskPropagationConfig;
use sam_data::{Grid, ResolvedWindow, SliceAxis, Volume};
use sam_prompt::ndarray::{Array2, Array3};

use crate::program;

const SLICES: usize = 8;
const SIDE: usize = 40;
/// The test that is started as a program, with a folder and a seed.
const PROGRAM: &str = "crash::decides";
/// What the program says of an event once it is kept.
const KEPT: &str = "kept ";

fn start(folder: &Path) -> Result<Session> {
    let prompting = Prompting::Walk(MaskPropagationConfig::default());
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid::new([SIDE, SIDE, SLICES], affine);
    let scan = ScanIdentity { name: "scan".to_owned(), sha256: ObjectId::of(b"scan"), grid };
    let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
    let config = RoundConfig { learning: prompting.learning(0, 1), prompting, trust: TrustConfig::default() };
    let header = Header::new(scan, SliceAxis::K, window, [(1, "cyst".to_owned())].into(), "0".repeat(64), config);
    Session::start(folder, header)
}

fn labels(rng: &mut ChaCha8Rng) -> Array2<u16> {
    Array2::from_shape_simple_fn((SIDE, SIDE), || (rng.next_u32() % 2) as u16)
}

fn round(session: &mut Session) -> Result<u64> {
    let config = session.header().config.clone();
    let mask = session.annotations()?.labels;
    let image = Volume::new(Array3::zeros((SIDE, SIDE, SLICES)), mask.grid.affine);
    let (cards, backend) = (BTreeMap::new(), "none".to_owned());
    let labels = mask.labels.view();
    let result = RoundResult { seed: 0, config, backend, warm_start: None, cards: &cards, labels, ranking: None };
    session.record_round(result, &image)
}

/// Decides at random, and tells of each decision once it is kept, until it is killed or something goes wrong.
fn decide(folder: &Path, seed: u64) -> Result<()> {
    let mut session = start(folder)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let slice = rng.next_u32() as usize % SLICES;
        match rng.next_u32() % 8 {
            0 if !session.entries().is_empty() => {
                // All may be undone already.
                if session.undo().is_err() {
                    continue;
                }
            }
            1 => drop(session.reject(slice)?),
            2 => drop(round(&mut session)?),
            3 if session.state().round.is_some() => drop(session.accept(slice)?),
            _ => drop(session.draw(slice, labels(&mut rng).view())?),
        }
        let entry = session.entries().last().context("it was kept")?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{KEPT}{}", serde_json::to_string(entry)?)?;
        out.flush()?;
    }
}

/// Not a test but the program that the others start.
#[test]
#[ignore = "it is started by the other tests"]
fn decides() {
    let Some(words) = program::words() else { return };
    let outcome = words[1].parse().map_err(Into::into).and_then(|seed| decide(Path::new(&words[0]), seed));
    println!("failed {:#}", outcome.expect_err("it goes on until something goes wrong"));
}

/// The events that a program told of, in whole lines.
fn told(lines: &str) -> Vec<&str> {
    let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.strip_prefix(KEPT)).collect()
}

/// All that was told is kept, and no file under a final name is but half there.
fn check(folder: &Path, told: &[String]) -> Result<usize> {
    let session = start(folder)?;
    let kept = session.entries().iter().map(|entry| Ok(serde_json::to_string(entry)?)).collect::<Result<Vec<_>>>()?;
    ensure!(kept.len() >= told.len() && kept[..told.len()] == *told, "of {} events told, some are lost", told.len());
    // One may be kept before its program could tell.
    ensure!(kept.len() <= told.len() + 1, "{} events are kept, {} were told", kept.len(), told.len());
    for entry in fs::read_dir(folder.join("objects"))? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        let (digits, _) = name.split_once('.').context("an ending")?;
        ensure!(ObjectId::of_file(&path)?.to_string() == digits, "{name} holds something else");
    }
    session.annotations()?;
    session.current()?;
    Ok(kept.len())
}

#[test]
fn nothing_that_was_told_is_lost_when_the_program_is_killed() -> Result<()> {
    let kills: u64 = env::var("SAM_MED_KILLS").map_or(Ok(20), |kills| kills.parse())?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("session");
    let mut rng = ChaCha8Rng::seed_from_u64(kills);
    let (mut kept, mut early) = (Vec::new(), 0);
    for seed in 0..kills {
        let mut child = program::start(PROGRAM, &[&folder.to_string_lossy(), &seed.to_string()], None)?;
        let mut out = BufReader::new(child.stdout.take().context("its output is piped")?);
        // At any moment from its start on, or after it has told of a few decisions.
        let (wanted, mut text) = (rng.next_u32() as usize % 8, String::new());
        while told(&text).len() < wanted && out.read_line(&mut text)? > 0 {}
        thread::sleep(Duration::from_micros(u64::from(rng.next_u32() % 30_000)));
        child.kill()?;
        child.wait()?;
        out.read_to_string(&mut text)?;
        ensure!(!text.contains("failed "), "the program failed before it was killed: {text}");
        let new = told(&text);
        early += u64::from(new.is_empty());
        kept.extend(new.into_iter().map(str::to_owned));
        if folder.join("session.json").exists() {
            let count = check(&folder, &kept).with_context(|| format!("after kill {}", seed + 1))?;
            if count > kept.len() {
                let last = start(&folder)?.entries().last().cloned().context("an event")?;
                kept.push(serde_json::to_string(&last)?);
            }
        } else {
            ensure!(kept.is_empty(), "the session is gone");
        }
    }
    println!("killed {kills} times, {early} of them before the first decision; {} decisions, none lost", kept.len());
    ensure!(early < kills, "no decision was ever taken");
    Ok(())
}

/// A file that may not grow stands for a disk that is full.
#[test]
fn a_full_disk_is_told_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("session");
    let output = program::start(PROGRAM, &[&folder.to_string_lossy(), "0"], Some(16))?.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    let failed = text.lines().find_map(|line| line.strip_prefix("failed ")).context("it goes on until it fails")?;
    ensure!(failed.contains("nothing has changed") && failed.contains("make room"), "{failed}");
    let told: Vec<_> = told(&text).into_iter().map(str::to_owned).collect();
    ensure!(told.len() > 3, "{} decisions were taken before the disk was full", told.len());
    ensure!(check(&folder, &told)? == told.len(), "what failed is not there");
    // With room again, it goes on.
    start(&folder)?.reject(0)?;
    Ok(())
}
