//! Sessions, which are folders that people exchange.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use anyhow::Result;
use rand::{Rng, RngExt};
use sam_annotate::{
    AnnotateConfig, SliceTrust,
    session::{Header, RoundResult, Session, SessionError},
};
use sam_assist::Trained;
use sam_data::{Grid, ResolvedWindow, ScanIdentity, SliceAxis, Volume};
use sam_files::Sha256Id;
use sam_prompt::ndarray::{Array2, Array3};
use sam_testing::card::WEIGHTS;

use crate::{card, check_words, damage::damage, text::damage_text};

/// Number of slices of the scan; the next constant is their size in pixels.
const SLICES: usize = 4;
const SIZE: (usize, usize) = (3, 2);
/// A file outside the session, which must stay unchanged.
const OUTSIDE: &str = "outside.txt";

/// A session split into its parts.
struct Parts {
    header: Vec<u8>,
    /// Lines of the log, without their checksums.
    lines: Vec<String>,
    /// SHA-256 of the header and of each line.
    ids: Vec<String>,
    /// Names, extensions and bytes of the objects.
    objects: Vec<(String, String, Vec<u8>)>,
}

fn header() -> Header {
    let grid = Grid::new(
        [SIZE.1, SIZE.0, SLICES],
        [[1.0, 0.0, 0.0, -0.1], [0.0, 1.5, 0.0, 20.0], [0.0, 0.0, 3.0, 1e-7], [0.0, 0.0, 0.0, 1.0]],
    );
    let scan = ScanIdentity { name: "scan.nii.gz".to_owned(), sha256: Sha256Id::of(b"scan"), grid, volume_index: 0 };
    let window = ResolvedWindow { low: -160.0, high: 240.0, name: "abdomen".to_owned() };
    let structures = [(1, "liver".to_owned()), (300, "spleen".to_owned())].into();
    Header::new(scan, SliceAxis::K, window, structures, WEIGHTS.to_owned(), AnnotateConfig::default())
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_valid(folder.path()).expect("a writable folder");
        take_apart(folder.path()).expect("a session")
    })
}

/// A session with an event of each kind.
fn write_valid(folder: &Path) -> Result<()> {
    let mut session = Session::create(folder, header())?;
    let labels = |value| Array2::from_shape_fn(SIZE, |place| if place == (1, 0) { value } else { 0 });
    session.draw(0, labels(1).view())?;
    session.draw(3, labels(0).view())?;
    let mut mask = session.annotations()?.labels.labels;
    session.plane().insert(&mut mask, 2, labels(300).view());
    let cards = BTreeMap::from([(1, card::card(Trained::PromptEncoder))]);
    let ranking = [SliceTrust::new(1, 0.25).with_reason("the coarse map disagrees"), SliceTrust::new(2, 0.5)];
    let result =
        RoundResult::new(AnnotateConfig::default(), "flex", &cards, mask.view()).with_seed(3).with_ranking(&ranking);
    session.record_round(result, &Volume::new(Array3::zeros(mask.dim()), header().scan.grid.affine))?;
    session.accept(2)?;
    session.reject(1)?;
    session.undo()?;
    session.name_structure(7, "cyst")?;
    session.draw(1, labels(7).view())?;
    Ok(())
}

fn take_apart(folder: &Path) -> Result<Parts> {
    let header = fs::read(folder.join("session.json"))?;
    let mut parts = Parts { ids: vec![Sha256Id::of(&header).to_string()], header, lines: vec![], objects: vec![] };
    for line in fs::read_to_string(folder.join("log.jsonl"))?.lines() {
        let unsealed = format!("{{{}", &line["{\"sha256\":\"\",".len() + 64..]);
        parts.ids.push(Sha256Id::of(unsealed.as_bytes()).to_string());
        parts.lines.push(unsealed);
    }
    for entry in fs::read_dir(folder.join("objects"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (id, ending) = name.split_at(64);
        parts.objects.push((id.to_owned(), ending.to_owned(), fs::read(&path)?));
    }
    parts.objects.sort();
    Ok(parts)
}

/// A session with some damaged parts. References and checksums are computed again, as an attacker can do.
pub(crate) fn prepare(folder: &Path, random: &mut dyn Rng) -> usize {
    let Parts { header, lines, ids, objects } = parts();
    let session = folder.join("session");
    fs::create_dir_all(session.join("objects")).expect("a writable folder");
    let mut held = 0;
    let mut put = |name: &str, bytes: &[u8]| {
        held += bytes.len();
        fs::write(session.join(name), bytes).expect("a writable folder");
    };
    // Pairs of old and new names.
    let mut renamed = Vec::new();
    for (id, ending, bytes) in objects {
        let (mut id, mut bytes) = (id.clone(), bytes.clone());
        if random.random_bool(0.1) {
            if ending.ends_with("json") {
                damage_text(&mut bytes, random);
            } else {
                damage(&mut bytes, 400, random);
            }
            let name = Sha256Id::of(&bytes).to_string();
            if random.random_bool(0.8) {
                renamed.push((std::mem::replace(&mut id, name.clone()), name));
            }
        }
        if random.random_bool(0.98) {
            put(&format!("objects/{id}{ending}"), &bytes);
        }
    }
    let mut header = header.clone();
    if random.random_bool(0.2) {
        damage_text(&mut header, random);
    }
    put("session.json", &header);
    renamed.push((ids[0].clone(), Sha256Id::of(&header).to_string()));

    let mut log = Vec::new();
    let mut last = ids[0].clone();
    let chosen = random.random_range(0..2 * lines.len());
    let left_out = if random.random_bool(0.05) { random.random_range(0..lines.len()) } else { usize::MAX };
    for (number, (line, id)) in lines.iter().zip(&ids[1..]).enumerate().filter(|(number, _)| *number != left_out) {
        let mut text = line.clone();
        for (old, new) in &renamed {
            text = text.replace(old, new);
        }
        let mut text = text.into_bytes();
        if number == chosen {
            damage_text(&mut text, random);
        }
        renamed.push((id.clone(), Sha256Id::of(&text).to_string()));
        last.clone_from(id);
        log.extend(sealed(&text, random));
    }
    if random.random_bool(0.3) {
        let mut before = renamed.iter().rev().find(|(old, _)| *old == last).map_or(last, |(_, new)| new.clone());
        for number in lines.len() + 1..lines.len() + random.random_range(2..6) {
            let event = event(number, objects, random);
            let text = format!("{{\"number\":{number},\"time\":\"\",\"before\":\"{before}\",\"event\":{event}}}");
            before = Sha256Id::of(text.as_bytes()).to_string();
            log.extend(sealed(text.as_bytes(), random));
        }
    }
    if random.random_bool(0.05) {
        damage(&mut log, usize::MAX, random);
    }
    put("log.jsonl", &log);
    if random.random_bool(0.05) {
        fs::create_dir(session.join("objects/.unfinished-1")).expect("a writable folder");
        put("objects/.unfinished-1/object.png", b"half");
    }
    fs::write(folder.join(OUTSIDE), OUTSIDE).expect("a writable folder");
    held
}

/// A line with its checksum, which is nearly always right.
fn sealed(text: &[u8], random: &mut dyn Rng) -> Vec<u8> {
    let id = if random.random_bool(0.98) { Sha256Id::of(text) } else { Sha256Id::of(b"another") };
    let seal = format!("{{\"sha256\":\"{id}\",");
    [seal.as_bytes(), text.get(1..).unwrap_or_default(), b"\n"].concat()
}

/// An event that may be invalid.
fn event(number: usize, objects: &[(String, String, Vec<u8>)], random: &mut dyn Rng) -> String {
    let slice = random.random_range(0..=SLICES);
    let labels = &objects[random.random_range(0..objects.len())].0;
    match random.random_range(0..4) {
        0 => format!("{{\"drawn\":{{\"slice\":{slice},\"labels\":\"{labels}\"}}}}"),
        1 => format!("{{\"accepted\":{{\"slice\":{slice},\"labels\":\"{labels}\"}}}}"),
        2 => format!("{{\"rejected\":{{\"slice\":{slice}}}}}"),
        _ => format!("{{\"undone\":{{\"event\":{}}}}}", number - random.random_range(0..3)),
    }
}

/// Opens a session as `annotate` does, reads all of it, and continues it.
pub(crate) fn read(folder: &Path) -> Result<bool, String> {
    let path = folder.join("session");
    let known = Header::read(&path);
    let opened = Session::open(&path, &header());
    let is_open = match (known, opened) {
        (Err(error), Err(_)) | (Ok(_), Err(error)) => {
            check_error(error)?;
            false
        }
        (Ok(Some(known)), Ok(session)) if known == *session.header() => {
            read_all(&session)?;
            go_on(&path, session)?;
            true
        }
        (known, _) => return Err(format!("a session was opened whose header is {known:?}")),
    };
    let outside: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    let is_untouched = fs::read(folder.join(OUTSIDE)).is_ok_and(|found| found == OUTSIDE.as_bytes());
    if outside.len() != 2 || !is_untouched {
        return Err(format!("something was written outside of the session: {outside:?}"));
    }
    Ok(is_open)
}

fn check_error(error: SessionError) -> Result<(), String> {
    check_words(&format!("{:#}", anyhow::Error::from(error)), "session")
}

fn read_all(session: &Session) -> Result<(), String> {
    let (Header { scan, window, program, .. }, structures) = (session.header(), session.structures());
    check_words(&format!("{} {} {program} {structures:?} {}", scan.name, window.name, session.describe()), "")?;
    for name in structures.values() {
        check_words(name, "")?;
    }
    let _ = session.provenance().to_string();
    let outcomes = [
        session.annotations().map(|found| found.labels.labels.dim()).map(Some),
        session.current().map(|found| found.map(|found| found.labels.dim())),
    ];
    for outcome in outcomes {
        match outcome {
            Ok(Some(shape)) if shape != (SIZE.1, SIZE.0, SLICES) => {
                return Err(format!("a label map of shape {shape:?}"));
            }
            Ok(_) => {}
            Err(error) => check_error_within(error)?,
        }
    }
    for (_, round) in session.rounds() {
        session.cards_of(round).map(drop).or_else(check_error_within)?;
        session.mask_of(round).map(drop).or_else(check_error_within)?;
        match session.ranking_of(round) {
            Ok(Some(ranking)) if ranking.iter().any(|ranked| ranked.index >= SLICES) => {
                return Err(format!("a ranking names slices that the scan has not: {ranking:?}"));
            }
            Ok(_) => {}
            Err(error) => check_error_within(error)?,
        }
    }
    Ok(())
}

/// Checks an error of an object, which need not name the session's folder.
fn check_error_within(error: SessionError) -> Result<(), String> {
    check_words(&format!("{:#}", anyhow::Error::from(error)), "")
}

/// Continues a session that can be read, and checks that it is read again in its new state.
fn go_on(path: &Path, mut session: Session) -> Result<(), String> {
    let fails = |what: &str, error: SessionError| format!("{what} fails: {:#}", anyhow::Error::from(error));
    let undone = session.undo().map(drop);
    undone.or_else(|error| match error {
        SessionError::NothingToUndo => Ok(()),
        error => Err(fails("undoing", error)),
    })?;
    session.draw(0, Array2::zeros(SIZE).view()).map_err(|error| fails("drawing", error))?;
    let state = session.state().clone();
    drop(session);
    let again = Session::open(path, &header()).map_err(|error| fails("opening it again", error))?;
    if *again.state() != state {
        return Err(format!("it stands elsewhere when it is opened again: {:?}", again.state()));
    }
    Ok(())
}
