use std::{collections::BTreeMap, error::Error};

use sam_data::{Grid, LabelVolume, ResolvedWindow, ScanIdentity, SliceAxis, Volume};
use sam_files::Sha256Id;
use sam_prompt::ndarray::Array3;
use tempfile::TempDir;

use super::*;
use crate::session::Origin;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const SHAPE: [usize; 3] = [2, 3, 5];
const AFFINE: [[f64; 4]; 4] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

fn session(folder: &TempDir) -> Result<Session, SessionError> {
    let grid = Grid::new(SHAPE, AFFINE);
    let scan = ScanIdentity { name: "scan.nii".to_owned(), sha256: Sha256Id::of(b"scan"), grid, volume_index: 0 };
    let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
    let (structures, config) = ([(1, "cyst".to_owned())].into(), AnnotateConfig::default());
    Session::start(folder.path(), Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config))
}

/// A label map whose slices have this many labelled pixels each.
fn map(pixels: [usize; 5]) -> LabelVolume {
    let labels = Array3::from_shape_fn(SHAPE, |(i, j, k)| u16::from(3 * i + j < pixels[k]));
    LabelVolume::new(labels, AFFINE)
}

fn given(pixels: [usize; 5]) -> Corrections {
    Corrections::none().with_labels(map(pixels))
}

fn round(session: &mut Session, mask: &LabelVolume) -> Result<u64, SessionError> {
    let (config, cards) = (session.header().config.clone(), BTreeMap::new());
    let result = RoundResult::new(config, "none", &cards, mask.labels.view()).with_seed(0);
    session.record_round(result, &Volume::new(Array3::zeros(SHAPE), AFFINE))
}

/// Decisions as slices drawn, accepted and rejected.
fn decide(session: &Session, corrections: Corrections) -> Result<[String; 3], DecisionError> {
    let decisions = Decisions::new(session, &corrections)?;
    Ok([decisions.drawn(), decisions.accepted(), decisions.rejected()].map(|slices| slices.to_string()))
}

#[test]
fn before_the_first_round_every_outline_is_drawn() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session(&folder)?;
    let outlined = || given([0, 2, 0, 3, 0]);
    assert_eq!(decide(&session, outlined().with_empty([4]))?, ["2,4-5", "", ""]);
    let refused = decide(&session, outlined().with_empty([3]));
    assert!(matches!(refused, Err(DecisionError::OutlinedAndEmpty { slice: 3 })));
    Decisions::new(&session, &outlined().with_empty([4]))?.record(&mut session)?;
    // After an interrupted call, nothing is left to do.
    assert!(Decisions::new(&session, &outlined().with_empty([4]))?.is_empty());
    let accept = Decisions::new(&session, &Corrections::none().with_accepted([2]))?;
    assert!(matches!(accept.record(&mut session), Err(SessionError::NothingToAccept)));
    Ok(())
}

#[test]
fn after_a_round_slices_that_differ_from_the_mask_are_drawn() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session(&folder)?;
    Decisions::new(&session, &given([0, 2, 0, 0, 0]))?.record(&mut session)?;
    round(&mut session, &map([1, 2, 3, 0, 4]))?;
    let mask = || given([1, 2, 3, 0, 4]);
    assert!(Decisions::new(&session, &mask())?.is_empty());
    assert_eq!(decide(&session, given([1, 5, 2, 0, 0]))?, ["2-3,5", "", ""], "corrected, and emptied");
    let corrections = given([1, 2, 6, 0, 4]).with_accepted([0, 1, 2]).with_rejected([4]).with_empty([3]);
    assert_eq!(decide(&session, corrections.clone())?, ["3-4", "1", "5"]);
    for (contradiction, part) in [
        (mask().with_accepted([5]), "there is no slice 6"),
        (mask().with_accepted([4]).with_rejected([4]), "slice 5 is accepted and rejected"),
        (given([1, 2, 3, 0, 5]).with_rejected([4]), "slice 5 is corrected and rejected"),
    ] {
        let error = decide(&session, contradiction).expect_err("it is refused").to_string();
        assert!(error.contains(part), "{error}");
    }

    Decisions::new(&session, &corrections)?.record(&mut session)?;
    assert_eq!(session.state().slices_of(Origin::Drawn), [1, 2, 3]);
    assert_eq!(session.state().slices_of(Origin::Accepted), [0]);
    // A copy of the mask as it was found, without the correction, undoes nothing.
    assert!(Decisions::new(&session, &mask())?.is_empty());
    // A copy of an undone round's mask draws nothing either.
    round(&mut session, &map([1, 2, 6, 0, 2]))?;
    session.undo()?;
    assert!(Decisions::new(&session, &given([1, 2, 6, 0, 2]))?.is_empty());
    Ok(())
}

#[test]
fn a_new_label_value_is_a_new_structure() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session(&folder)?;
    Decisions::new(&session, &given([0, 2, 0, 0, 0]))?.record(&mut session)?;
    round(&mut session, &map([1, 2, 3, 0, 4]))?;
    let mut labels = map([1, 2, 3, 0, 4]);
    labels.labels[(1, 2, 0)] = 4;
    let decisions = Decisions::new(&session, &Corrections::none().with_labels(labels.clone()))?;
    let added = NamedStructure { label: 4, before: None, name: "label 4".to_owned() };
    assert_eq!((decisions.drawn(), decisions.named()), ([0].into_iter().collect(), &[added][..]));
    let table =
        |names: &[(u16, &str)]| -> Vec<_> { names.iter().map(|&(label, name)| (label, name.to_owned())).collect() };
    let corrections =
        Corrections::none().with_labels(labels).with_names(table(&[(0, "background"), (4, "vein"), (1, "tumour")]));
    let decisions = Decisions::new(&session, &corrections)?;
    let told: Vec<_> =
        decisions.named().iter().map(|named| (named.label, named.before.as_deref(), &*named.name)).collect();
    assert_eq!(told, [(1, Some("cyst"), "tumour"), (4, None, "vein")]);
    decisions.record(&mut session)?;
    assert_eq!(session.structures(), table(&[(1, "tumour"), (4, "vein")]).into_iter().collect());
    assert_eq!(session.annotations()?.name(4), "vein");
    assert!(Decisions::new(&session, &corrections)?.is_empty(), "all of it is recorded");
    // Names that change places are fine, the same name twice is not.
    let swapped = Corrections::none().with_names(table(&[(1, "vein"), (4, "tumour")]));
    assert_eq!(Decisions::new(&session, &swapped)?.named().len(), 2);
    let twice = Decisions::new(&session, &Corrections::none().with_names(table(&[(9, "vein")])));
    assert!(matches!(twice, Err(DecisionError::SameName { labels: [4, 9], .. })), "{twice:?}");
    Ok(())
}

#[test]
fn a_map_of_outlines_alone_is_not_a_corrected_mask() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session(&folder)?;
    Decisions::new(&session, &given([0, 2, 0, 0, 0]))?.record(&mut session)?;
    round(&mut session, &map([1, 2, 3, 0, 4]))?;
    let outlines = given([0, 2, 0, 2, 0]);
    let error = decide(&session, outlines.clone()).expect_err("it is refused").to_string();
    assert!(error.contains("nothing on slices 1,3,5"), "{error}");
    assert_eq!(decide(&session, outlines.with_empty([0, 2, 4]))?, ["1,3-5", "", ""]);
    let mut elsewhere = map([1, 2, 3, 0, 4]);
    elsewhere.grid.affine[0][3] += 1.0;
    let refused = decide(&session, Corrections::none().with_labels(elsewhere));
    assert!(matches!(refused, Err(DecisionError::OtherGrid { .. })));
    Ok(())
}

/// A session with two structures.
fn session_of_two(folder: &TempDir) -> Result<Session, SessionError> {
    let grid = Grid::new(SHAPE, AFFINE);
    let scan = ScanIdentity { name: "scan.nii".to_owned(), sha256: Sha256Id::of(b"scan"), grid, volume_index: 0 };
    let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
    let structures = [(1, "liver".to_owned()), (2, "spleen".to_owned())].into();
    let config = AnnotateConfig::default();
    Session::start(folder.path(), Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config))
}

/// A label map with these rows of labels on its slices: the first row of each is label 1, the second label 2.
fn rows(slices: [[u16; 2]; 5]) -> LabelVolume {
    let labels = Array3::from_shape_fn(SHAPE, |(i, j, k)| if j < 2 && i == 0 { slices[k][j] } else { 0 });
    LabelVolume::new(labels, AFFINE)
}

/// What a session says of each structure: outlined, absent and open slices.
fn understood(session: &Session) -> Result<Vec<[Vec<usize>; 3]>> {
    let summary = session.summary()?;
    let of = |structure: &crate::StructureSummary| {
        let outlined = structure.outlined.iter().map(|outline| outline.place.index).collect();
        let absent = structure.absent.iter().map(|absent| absent.place.index).collect();
        [outlined, absent, structure.open.iter().map(|place| place.index).collect()]
    };
    Ok(summary.structures.iter().map(of).collect())
}

#[test]
fn before_the_first_round_an_outline_says_nothing_of_other_structures() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session_of_two(&folder)?;
    let outlines = rows([[0, 0], [1, 0], [0, 2], [0, 0], [1, 2]]);
    let given = || Corrections::none().with_labels(outlines.clone());
    Decisions::new(&session, &given())?.record(&mut session)?;
    assert_eq!(understood(&session)?, [[vec![1, 4], vec![], vec![2]], [vec![2, 4], vec![], vec![1]]]);
    assert!(Decisions::new(&session, &given())?.is_empty());

    // A round finds spleen beside the outline of liver on slice 1. Liver's outline stays.
    let found = rows([[0, 0], [1, 2], [0, 2], [1, 0], [1, 2]]);
    round(&mut session, &found)?;
    assert_eq!(session.current()?.ok_or("a mask")?.labels, found.labels);
    assert!(round(&mut session, &rows([[0, 0], [2, 0], [0, 2], [0, 0], [1, 2]])).is_err(), "liver's outline is lost");
    // The mask as it was written changes nothing, nor do the first outlines.
    assert!(Decisions::new(&session, &Corrections::none().with_labels(found.clone()))?.is_empty());

    // Empty for one structure: what the round found of it there is gone.
    let empty = || Corrections::none().with_empty_slices("2:2,4".parse().expect("empty slices"));
    Decisions::new(&session, &empty())?.record(&mut session)?;
    assert_eq!(understood(&session)?[1], [vec![2, 4], vec![1, 3], vec![]]);
    let expected = rows([[0, 0], [1, 0], [0, 2], [1, 0], [1, 2]]);
    assert_eq!(session.current()?.ok_or("a mask")?.labels, expected.labels);
    assert!(Decisions::new(&session, &empty())?.is_empty());
    assert!(Decisions::new(&session, &Corrections::none().with_labels(expected))?.is_empty());

    // An accepted slice is complete.
    Decisions::new(&session, &Corrections::none().with_accepted([2]))?.record(&mut session)?;
    assert_eq!(understood(&session)?[0], [vec![1, 4], vec![2], vec![]]);
    drop(session);
    assert_eq!(understood(&session_of_two(&folder)?)?[1], [vec![2, 4], vec![1, 3], vec![]], "after reopening");
    Ok(())
}

#[test]
fn complete_outlines_and_corrections_say_what_is_absent() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session_of_two(&folder)?;
    let outlines = rows([[0, 0], [1, 0], [0, 2], [0, 0], [0, 0]]);
    Decisions::new(&session, &Corrections::none().with_labels(outlines.clone()))?.record(&mut session)?;
    let complete = || Corrections::none().with_labels(outlines.clone()).with_complete(true);
    Decisions::new(&session, &complete())?.record(&mut session)?;
    assert_eq!(understood(&session)?, [[vec![1], vec![2], vec![]], [vec![2], vec![1], vec![]]]);
    assert!(Decisions::new(&session, &complete())?.is_empty());
    let before: Vec<_> =
        session.entries().iter().filter(|entry| !format!("{entry:?}").contains("decided: None")).collect();
    assert_eq!(before.len(), 2, "complete slices are recorded as earlier versions recorded them");
    round(&mut session, &rows([[1, 0], [1, 0], [0, 2], [1, 2], [1, 2]]))?;
    let corrected = rows([[1, 0], [1, 0], [0, 2], [1, 0], [1, 2]]);
    Decisions::new(&session, &Corrections::none().with_labels(corrected))?.record(&mut session)?;
    assert_eq!(understood(&session)?[1], [vec![2], vec![1, 3], vec![]]);
    for (empty, part) in
        [("2:3", "slice 3 is listed as empty for spleen"), ("7:1", "label value 7, but the session has 1 (liver)")]
    {
        let refused = Corrections::none().with_empty_slices(empty.parse().expect("empty slices"));
        let error = decide(&session, refused).expect_err("it is refused").to_string();
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn a_structure_that_is_added_later_is_open_on_the_slices_decided_before() -> Result {
    let folder = tempfile::tempdir()?;
    let mut session = session(&folder)?;
    Decisions::new(&session, &given([0, 2, 0, 0, 0]))?.record(&mut session)?;
    round(&mut session, &map([1, 2, 3, 0, 4]))?;
    // The new structure is drawn on slice 0, and said to be absent on slice 3. Slice 2 is corrected and slice 4 accepted without it: no
    // round has looked for it.
    let mut labels = map([1, 2, 4, 0, 4]);
    labels.labels[(1, 2, 0)] = 4;
    let empty = "4:4".parse().expect("empty slices");
    let corrections = Corrections::none().with_labels(labels.clone()).with_accepted([4]).with_empty_slices(empty);
    Decisions::new(&session, &corrections)?.record(&mut session)?;
    let of_cyst: [Vec<usize>; 3] = [vec![0, 1, 2, 4], vec![], vec![]];
    assert_eq!(understood(&session)?, [of_cyst.clone(), [vec![0], vec![3], vec![1, 2, 4]]]);
    assert!(Decisions::new(&session, &corrections)?.is_empty(), "all of it is recorded");

    // The next round finds it beside the person's outline of the other structure, and can be accepted there.
    labels.labels[(1, 2, 1)] = 4;
    round(&mut session, &labels)?;
    assert_eq!(session.current()?.ok_or("a mask")?.labels, labels.labels);
    Decisions::new(&session, &Corrections::none().with_accepted([1]))?.record(&mut session)?;
    assert_eq!(understood(&session)?, [of_cyst, [vec![0, 1], vec![3], vec![2, 4]]]);
    let complete = Corrections::none().with_complete(true);
    Decisions::new(&session, &complete)?.record(&mut session)?;
    assert_eq!(understood(&session)?[1], [vec![0, 1], vec![2, 3, 4], vec![]]);
    assert!(Decisions::new(&session, &complete)?.is_empty());
    Ok(())
}

#[test]
fn a_voxel_that_strayed_is_not_recorded() -> Result {
    let folder = tempfile::tempdir()?;
    let shape = [8, 8, 5];
    let grid = Grid::new(shape, AFFINE);
    let scan = ScanIdentity { name: "scan.nii".to_owned(), sha256: Sha256Id::of(b"scan"), grid, volume_index: 0 };
    let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
    let (structures, config) = ([(1, "liver".to_owned())].into(), AnnotateConfig::default());
    let header = Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config);
    let mut session = Session::start(folder.path(), header)?;
    let whole = |slices: &[usize]| {
        let labels = Array3::from_shape_fn(shape, |(i, j, k)| u16::from(slices.contains(&k) && i < 6 && j < 6));
        LabelVolume::new(labels, AFFINE)
    };
    let stray = |mut map: LabelVolume, slice: usize| {
        map.labels[[7, 7, slice]] = 1;
        Corrections::none().with_labels(map)
    };
    let decisions = Decisions::new(&session, &stray(whole(&[1, 3]), 2))?;
    assert_eq!((decisions.drawn().to_string().as_str(), decisions.questioned().len()), ("2,4", 1));
    let said = decisions.questioned()[0].to_string();
    assert!(said.starts_with("liver: slice 3 (4.0 mm) has 1 voxel") && said.contains("has 36"), "{said}");
    decisions.record(&mut session)?;
    // Neither does it make a slice of a corrected mask the person's.
    let mask = whole(&[0, 1, 2, 3]);
    let (config, cards) = (session.header().config.clone(), BTreeMap::new());
    let result = RoundResult::new(config, "none", &cards, mask.labels.view());
    session.record_round(result, &Volume::new(Array3::zeros(shape), AFFINE))?;
    let decisions = Decisions::new(&session, &stray(mask.clone(), 4))?;
    assert!(decisions.is_empty() && decisions.questioned().len() == 1, "{decisions:?}");
    let wanted = stray(mask, 4).with_min_outline(crate::MinOutline::NONE);
    assert_eq!(Decisions::new(&session, &wanted)?.drawn().to_string(), "5");
    Ok(())
}
