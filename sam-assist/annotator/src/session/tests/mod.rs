use std::{error::Error, fs, path::PathBuf};

use sam_data::{Grid, ResolvedWindow, SliceAxis};
use sam_prompt::error_chain;
use sam_prompt::ndarray::{Array2, Array3};
use tempfile::TempDir;

use super::*;
use crate::testing::config;

mod guards;
mod logs;
mod structures;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Number of the scan's slices, and their rows and columns.
const SLICES: usize = 4;
const SIZE: (usize, usize) = (3, 2);

fn grid() -> Grid {
    let affine = [[1.0, 0.0, 0.0, -0.1], [0.0, 1.5, 0.0, 20.0], [0.0, 0.0, 3.0, 1e-7], [0.0, 0.0, 0.0, 1.0]];
    Grid::new([SIZE.1, SIZE.0, SLICES], affine)
}

fn header() -> Header {
    let scan =
        ScanIdentity { name: "scan.nii.gz".to_owned(), sha256: Sha256Id::of(b"scan"), grid: grid(), volume_index: 0 };
    let window = ResolvedWindow { low: -160.0, high: 240.0, name: "abdomen".to_owned() };
    let structures = [(1, "liver".to_owned()), (300, "spleen".to_owned())].into();
    Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config())
}

/// A session in a temporary folder.
struct Scratch {
    _folder: TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { path: folder.path().join("session"), _folder: folder })
    }

    fn start(&self) -> Result<Session, SessionError> {
        Session::start(&self.path, header())
    }

    fn refused(&self, now: Header) -> String {
        error_chain(&Session::start(&self.path, now).expect_err("it is refused"))
    }

    fn log(&self) -> PathBuf {
        self.path.join(log::FILE_NAME)
    }
}

fn labels(value: u16) -> Array2<u16> {
    let mut labels = Array2::zeros(SIZE);
    labels[(1, 0)] = value;
    labels
}

fn ranking() -> Vec<SliceTrust> {
    vec![SliceTrust::new(1, 0.25).with_reason("the mask changes with its box"), SliceTrust::new(2, 0.5)]
}

/// A round that finds the spleen at one pixel of each slice that is not the person's.
fn round(session: &mut Session) -> Result<u64, SessionError> {
    let said = session.annotations()?;
    let mut mask = said.labels.labels.clone();
    for slice in (0..SLICES).filter(|slice| !session.state().slices.contains_key(slice)) {
        session.plane().insert(&mut mask, slice, labels(300).view());
    }
    let (cards, ranking) = (BTreeMap::new(), ranking());
    let result = RoundResult::new(config(), "none", &cards, mask.view()).with_seed(3).with_ranking(&ranking);
    let image = Volume::new(Array3::zeros(grid().shape), grid().affine);
    session.record_round(result, &image)
}

#[test]
fn decisions_are_there_after_reopening() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    assert_eq!(session.draw(0, labels(1).view())?, 1);
    session.draw(3, Array2::zeros(SIZE).view())?;
    assert!(session.accept(2).expect_err("nothing was found yet").to_string().contains("first round"));
    round(&mut session)?;
    assert!(session.is_up_to_date());
    session.accept(2)?;
    session.reject(1)?;
    assert!(!session.is_up_to_date());
    assert_eq!(session.state().slices_of(Origin::Drawn), [0, 3]);
    assert_eq!(session.state().slices_of(Origin::Accepted), [2]);
    assert_eq!(session.state().rejected, [1].into());
    let state = session.state().clone();
    drop(session);

    let session = scratch.start()?;
    assert_eq!(*session.state(), state);
    let said = session.annotations()?;
    let cut = |slice| session.plane().extract(said.labels.labels.view(), slice);
    assert_eq!((cut(0), cut(1), cut(2)), (labels(1), labels(0), labels(300)));
    assert_eq!(said.empty.all.iter().collect::<Vec<_>>(), [3]);
    // The current mask holds the person's labels, and the round's mask elsewhere.
    let current = session.current()?.expect("there was a round");
    assert_eq!(session.plane().extract(current.labels.view(), 0), labels(1));
    assert_eq!(session.plane().extract(current.labels.view(), 1), labels(300));
    let done = state.round.as_ref().expect("a round");
    assert_eq!(session.ranking_of(done)?, Some(ranking()));
    let provenance = session.provenance();
    assert_eq!(provenance["drawn"], serde_json::json!([0, 3]));
    assert_eq!(provenance["round"]["mask"], state.round.expect("a round").mask.to_string());
    assert_eq!(provenance["events"], 5);
    assert!(session.describe().len() <= 64, "{}", session.describe());
    Ok(())
}

#[test]
fn everything_can_be_undone_one_by_one_and_nothing_is_deleted() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    let mut states = vec![session.state().clone()];
    session.draw(0, labels(1).view())?;
    states.push(session.state().clone());
    round(&mut session)?;
    states.push(session.state().clone());
    session.draw(0, labels(300).view())?;
    states.push(session.state().clone());
    session.reject(0)?;
    states.push(session.state().clone());
    round(&mut session)?;
    let files = fs::read_dir(scratch.path.join("objects"))?.count();
    for state in states.iter().rev() {
        session.undo()?;
        assert_eq!(session.state(), state);
    }
    assert!(session.undo().expect_err("all is undone").to_string().contains("nothing to undo"));
    assert_eq!((session.rounds().count(), session.entries().len()), (2, 10));
    assert_eq!(fs::read_dir(scratch.path.join("objects"))?.count(), files);
    // A round after undo gets a new number.
    session.draw(1, labels(1).view())?;
    round(&mut session)?;
    assert_eq!(session.state().round.as_ref().map(|round| round.number), Some(3));
    Ok(())
}

#[test]
fn invalid_decisions_are_refused_and_change_nothing() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    let refused = |outcome: Result<u64, SessionError>| error_chain(&outcome.expect_err("it is refused"));
    assert!(
        refused(session.draw(SLICES, labels(1).view()))
            .contains("there is no slice 5: scan.nii.gz has 4, counted from 1")
    );
    assert!(refused(session.draw(0, labels(2).view())).contains("label value 2"));
    assert!(refused(session.draw(0, Array2::zeros((2, 3)).view())).contains("has 3 x 2 pixels"));
    assert!(refused(session.reject(9)).contains("there is no slice 10"));
    session.draw(0, labels(1).view())?;
    let nothing = Array3::zeros(grid().shape);
    let cards = BTreeMap::new();
    let result = RoundResult::new(config(), "none", &cards, nothing.view()).with_seed(0);
    let image = Volume::new(Array3::zeros(grid().shape), grid().affine);
    assert!(refused(session.record_round(result, &image)).contains("what the person decided for slice 1"));
    assert_eq!(session.entries().len(), 1);
    Ok(())
}

#[test]
fn another_scan_axis_window_or_model_is_refused() -> Result {
    let scratch = Scratch::new()?;
    drop(scratch.start()?);
    let mut other = header();
    other.scan.sha256 = Sha256Id::of(b"another scan");
    assert!(scratch.refused(other).contains("with the scan"));
    assert!(scratch.refused(Header { axis: SliceAxis::I, ..header() }).contains("with the axis"));
    assert!(scratch.refused(Header { weights_sha256: "1".repeat(64), ..header() }).contains("with the weights"));
    assert!(scratch.refused(Header { precision: Precision::Bf16, ..header() }).contains("with the precision"));
    let window = ResolvedWindow { low: 0.0, ..header().window };
    assert!(scratch.refused(Header { window, ..header() }).contains("with the window"));
    let mut moved = header();
    moved.scan.grid.affine[0][3] += 1.0;
    assert!(scratch.refused(moved).contains("another grid"));
    // Another learning config is no reason to refuse a session.
    let mut config = config();
    config.learning.members = 3;
    scratch.start()?;
    Session::open(&scratch.path, &Header { config, ..header() })?;
    Ok(())
}

#[test]
fn one_process_at_a_time_has_a_session() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    assert!(scratch.refused(header()).contains("is in use"));
    let again = error_chain(&Session::create(&scratch.path, header()).expect_err("there is one"));
    assert!(again.contains("already"), "{again}");
    session.draw(0, labels(1).view())?;
    drop(session);
    scratch.start()?;
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "no folder")?;
    let error = error_chain(&Session::start(file.join("session"), header()).expect_err("it is below a file"));
    assert!(error.contains("file/session"), "{error}");
    let error = error_chain(&Session::open(folder.path(), &header()).expect_err("there is none"));
    assert!(error.contains("check the folder's name"), "{error}");
    Ok(())
}

#[test]
fn damage_is_located() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    session.draw(0, labels(1).view())?;
    session.draw(1, labels(1).view())?;
    session.reject(2)?;
    drop(session);
    let text = fs::read_to_string(scratch.log())?;
    let lines: Vec<_> = text.lines().collect();
    let check = |changed: Vec<String>, line: usize| -> Result {
        let changed = changed.join("\n") + "\n";
        fs::write(scratch.log(), &changed)?;
        let error = scratch.refused(header());
        assert!(error.contains(&format!("damaged in line {line}")) && error.contains("from a copy"), "{error}");
        assert_eq!(fs::read_to_string(scratch.log())?, changed, "it is left as it was");
        Ok(())
    };
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for number in 1..=3 {
        // One digit is added to a slice number.
        let mut changed = owned(&lines);
        changed[number - 1] = changed[number - 1].replace("\"slice\":", "\"slice\":1");
        check(changed, number)?;
    }
    check(owned(&[lines[0], lines[2]]), 2)?;
    check(owned(&[lines[1], lines[0], lines[2]]), 1)?;
    check(owned(&[lines[0], lines[0]]), 2)?;
    check(owned(&[lines[0], "{}", lines[2]]), 2)?;
    // The log is bound to its header.
    fs::write(scratch.log(), &text)?;
    let path = scratch.path.join(header::FILE_NAME);
    let session_json = fs::read_to_string(&path)?;
    fs::write(&path, session_json.replace("liver", "river"))?;
    assert!(scratch.refused(header()).contains("damaged in line 1"));
    fs::write(&path, "{}")?;
    assert!(scratch.refused(header()).contains("is not the header of a session"));
    fs::write(&path, session_json.replace(&format!("\"format_version\": {FORMAT_VERSION}"), "\"format_version\": 9"))?;
    assert!(scratch.refused(header()).contains("format version 9"));
    fs::remove_file(&path)?;
    assert!(scratch.refused(header()).contains("line 1") || scratch.refused(header()).contains("is missing"));
    Ok(())
}

#[test]
fn control_characters_in_names_are_replaced_or_refused() -> Result {
    let scratch = Scratch::new()?;
    let mut named = header();
    named.scan.name = "\u{1b}[2J".to_owned();
    let ScanIdentity { sha256, grid, volume_index, .. } = header().scan;
    let scan = ScanIdentity { name: "\u{1b}[2J".to_owned(), sha256, grid, volume_index };
    let structures = [(1, "liver\u{7}".to_owned())].into();
    let cleaned = Header::new(scan, SliceAxis::K, header().window, structures, "0".repeat(64), config());
    assert_eq!((cleaned.scan.name.as_str(), cleaned.structures[&1].as_str()), ("\u{fffd}[2J", "liver\u{fffd}"));
    drop(Session::start(&scratch.path, named)?);
    let error = error_chain(&Header::read(&scratch.path).expect_err("it is refused"));
    assert!(error.contains("control characters") && !error.contains('\u{1b}'), "{error}");
    fs::write(scratch.path.join(header::FILE_NAME), "{\"format_version\": 1, \"\\u001b\": 2}")?;
    let error = error_chain(&Header::read(&scratch.path).expect_err("it is refused"));
    assert!(error.contains("unknown field") && !error.contains('\u{1b}'), "{error}");
    Ok(())
}

#[test]
fn a_ranking_names_slices_of_the_scan() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    round(&mut session)?;
    let mut done = session.state().round.clone().expect("a round");
    done.ranking = Some(session.objects.put(ObjectKind::Ranking, |path| fs::write(path, "[[3, 0.5], [4, 0.5]]"))?);
    let error = error_chain(&session.ranking_of(&done).expect_err("it is refused"));
    assert!(error.contains("slice 5 (index 4), but the scan has 4"), "{error}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_refused() -> Result {
    for name in [header::FILE_NAME, log::FILE_NAME, OBJECTS] {
        let scratch = Scratch::new()?;
        scratch.start()?.draw(0, labels(1).view())?;
        let (inside, outside) = (scratch.path.join(name), scratch.path.with_file_name("outside"));
        fs::rename(&inside, &outside)?;
        std::os::unix::fs::symlink(&outside, &inside)?;
        let said = scratch.refused(header());
        assert!(said.contains(name) && said.contains("is a symbolic link"), "{said}");
    }
    // A link whose target does not exist is refused for a new log, too.
    let scratch = Scratch::new()?;
    fs::create_dir(&scratch.path)?;
    std::os::unix::fs::symlink(scratch.path.with_file_name("outside"), scratch.log())?;
    assert!(scratch.refused(header()).contains("is a symbolic link"));
    assert!(!scratch.path.with_file_name("outside").exists());
    Ok(())
}

#[test]
fn a_missing_or_altered_object_is_named_and_does_not_block_the_rest() -> Result {
    let scratch = Scratch::new()?;
    let mut session = scratch.start()?;
    session.draw(0, labels(1).view())?;
    session.draw(1, labels(300).view())?;
    round(&mut session)?;
    let name = |id: Sha256Id, ending: &str| scratch.path.join("objects").join(format!("{id}.{ending}"));
    fs::remove_file(name(session.state().slices[&1].labels, "png"))?;
    let error = error_chain(&session.annotations().expect_err("a slice is missing"));
    assert!(error.contains("slice 2") && error.contains("is missing"), "{error}");
    session.draw(1, labels(1).view())?;
    session.annotations()?;

    let mask = session.state().round.as_ref().expect("a round").mask;
    fs::write(name(mask, "nii.gz"), b"nothing of the sort")?;
    let error = error_chain(&session.found().expect_err("the mask was altered"));
    assert!(error.contains("round 1") && error.contains("was altered"), "{error}");
    Ok(())
}
