//! Makes random decisions in a session until it is killed. Prints each one as soon as it is recorded. `tests/crash.rs` runs this program.
//!
//! ```text
//! cargo run -p sam-annotate --example session_writer -- FOLDER SEED
//! ```

use std::{collections::BTreeMap, error::Error, io::Write};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sam_annotate::{
    AnnotateConfig, Session, SessionError, SliceAxis,
    ndarray::{Array2, Array3},
    session::{Header, RoundResult},
};
use sam_data::{Grid, ResolvedWindow, ScanIdentity, Volume};
use sam_files::Sha256Id;
use sam_prompt::error_chain;

const SLICES: usize = 8;
const SIDE: usize = 40;

fn start(folder: &str) -> Result<Session, SessionError> {
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid::new([SIDE, SIDE, SLICES], affine);
    let scan = ScanIdentity { name: "scan".to_owned(), sha256: Sha256Id::of(b"scan"), grid, volume_index: 0 };
    let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
    let (structures, config) = ([(1, "cyst".to_owned())].into(), AnnotateConfig::default());
    Session::start(folder, Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config))
}

fn round(session: &mut Session) -> Result<u64, SessionError> {
    let config = session.header().config.clone();
    let mask = session.annotations()?.labels;
    let image = Volume::new(Array3::zeros((SIDE, SIDE, SLICES)), mask.grid.affine);
    let (cards, labels) = (BTreeMap::new(), mask.labels.view());
    session.record_round(RoundResult::new(config, "none", &cards, labels).with_seed(0), &image)
}

/// Makes one random decision. Returns `None` if it is not possible now.
fn decide(session: &mut Session, rng: &mut ChaCha8Rng) -> Result<Option<u64>, SessionError> {
    let slice = rng.next_u32() as usize % SLICES;
    match rng.next_u32() % 8 {
        // Everything may be undone already.
        0 if session.last().is_some() => session.undo().map(|_| Some(0)),
        0 => Ok(None),
        1 => session.reject(slice).map(Some),
        2 => round(session).map(Some),
        3 if session.state().round.is_some() => session.accept(slice).map(Some),
        _ => {
            let labels = Array2::from_shape_simple_fn((SIDE, SIDE), || (rng.next_u32() % 2) as u16);
            session.draw(slice, labels.view()).map(Some)
        }
    }
}

fn run(folder: &str, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut session = start(folder)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        if decide(&mut session, &mut rng)?.is_some() {
            let mut out = std::io::stdout().lock();
            writeln!(out, "kept {}", serde_json::to_string(session.entries().last().ok_or("it was recorded")?)?)?;
            out.flush()?;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, seed] = &arguments[..] else { return Err("expected FOLDER SEED".into()) };
    let Err(error) = run(folder, seed.parse()?) else { return Ok(()) };
    println!("failed {}", error_chain(&*error));
    Ok(())
}
