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
    let (config, cards, backend) = (session.header().config.clone(), BTreeMap::new(), "none".to_owned());
    let labels = mask.labels.view();
    let result = RoundResult { seed: 0, config, backend, warm_start: None, cards: &cards, labels, ranking: None };
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
    assert_eq!(decide(&session, outlined().with_empty([4]))?, ["1,3-4", "", ""]);
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
    assert_eq!(decide(&session, given([1, 5, 2, 0, 0]))?, ["1-2,4", "", ""], "corrected, and emptied");
    let corrections = given([1, 2, 6, 0, 4]).with_accepted([0, 1, 2]).with_rejected([4]).with_empty([3]);
    assert_eq!(decide(&session, corrections.clone())?, ["2-3", "0", "4"]);
    for (contradiction, part) in [
        (mask().with_accepted([5]), "there is no slice 5"),
        (mask().with_accepted([4]).with_rejected([4]), "slice 4 is accepted and rejected"),
        (given([1, 2, 3, 0, 5]).with_rejected([4]), "slice 4 is corrected and rejected"),
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
    assert!(error.contains("nothing on slices 0,2,4"), "{error}");
    assert_eq!(decide(&session, outlines.with_empty([0, 2, 4]))?, ["0,2-4", "", ""]);
    let mut elsewhere = map([1, 2, 3, 0, 4]);
    elsewhere.grid.affine[0][3] += 1.0;
    let refused = decide(&session, Corrections::none().with_labels(elsewhere));
    assert!(matches!(refused, Err(DecisionError::OtherGrid { .. })));
    Ok(())
}
