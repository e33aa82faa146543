mod next;

use std::{path::Path, sync::Mutex};

use sam_annotate::{
    AnnotateConfig, Output,
    session::{Header, RoundResult, Session},
};
use sam_data::{LabelVolume, PhantomConfig, ResolvedWindow, SliceAxis, Window};
use sam_prompt::{BoundingBox, Label, Point, ndarray::Axis};
use tempfile::TempDir;

use super::*;
use crate::{BoxError, MemoryStore, RankedSlice, SessionStore, StoreError, StructureMask};

type Result<T, E = BoxError> = std::result::Result<T, E>;

/// A segmenter that returns what is in the box, and records the slices that it embedded.
#[derive(Debug, Default)]
struct BoxModel {
    size: (usize, usize),
    embedded: Mutex<Vec<usize>>,
}

impl SliceSegmenter for BoxModel {
    fn is_embedded(&self, slice: usize) -> bool {
        self.embedded.lock().expect("no panic").contains(&slice)
    }

    fn embed(&self, slice: usize) -> Result<()> {
        self.embedded.lock().expect("no panic").push(slice);
        Ok(())
    }

    fn segment(&self, _: usize, structure: usize, prompts: &Prompts) -> Result<StructureMask> {
        assert!(structure < 2, "only two structures");
        let inside = |(row, column)| prompts.boxes.iter().any(|part| part.contains(column as f32, row as f32));
        Ok(StructureMask::new(Array2::from_shape_fn(self.size, inside), 0.75))
    }
}

/// Slices of 12 x 16 pixels, 2 structures: 1 in the left half of slice 0, 5 nowhere.
struct Scratch {
    folder: TempDir,
    scan: Arc<Scan>,
    plane: SlicePlane,
    mask: Array3<u16>,
}

impl Scratch {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let volume = PhantomConfig::default().with_shape([16, 12, 4]).generate().volume;
        let path = folder.path().join("scan.nii.gz");
        sam_data::write_volume(&path, &volume)?;
        let plane = SlicePlane::new(&volume.grid, SliceAxis::Axial);
        let mut mask = Array3::zeros((16, 12, 4));
        plane.insert(&mut mask, 0, Array2::from_shape_fn((12, 16), |(_, column)| u16::from(column < 8)).view());
        Ok(Self { scan: Arc::new(Scan::open(&path, None)?), folder, plane, mask })
    }

    fn window(&self) -> Result<ResolvedWindow> {
        Ok(Window::Abdomen.resolve(self.scan.volume().voxels.view())?)
    }

    fn desk(&self, slices: Vec<SliceReview>, store: Box<dyn DecisionStore>, record_ending: &str) -> Result<ScanDesk> {
        let output = Output::new(self.folder.path().join("reviewed.nii.gz")).with_record_ending(record_ending);
        let window = self.window()?;
        let segment = |value| Segment::new(value, format!("label {value}"));
        let mut case = ReviewCase::new(
            Arc::clone(&self.scan),
            self.plane.clone(),
            vec![segment(1), segment(5)],
            output.open(&self.scan, std::iter::empty::<&Path>())?,
        );
        case.record = serde_json::json!({ "window": window }).as_object().cloned().unwrap_or_default();
        let cut = |slice| self.plane.extract(self.scan.volume().voxels.view(), slice);
        let image = |slice| window.apply(cut(slice).view()).insert_axis(Axis(2));
        let images: Vec<Array3<u8>> = (0..self.plane.count()).map(image).collect();
        let model = Arc::new(BoxModel { size: self.plane.size(), ..BoxModel::default() });
        Ok(ScanDesk::new(case, Arc::new(images), slices, store, model)?)
    }

    /// A desk on the mask alone.
    fn in_memory(&self) -> Result<ScanDesk> {
        let labels = |slice| self.plane.extract(self.mask.view(), slice);
        let review = |slice| SliceReview::new(labels(slice), SliceState::Predicted);
        self.desk((0..self.plane.count()).map(review).collect(), Box::new(MemoryStore::new()), RECORD_ENDING)
    }

    /// The folder's session.
    fn session(&self) -> Result<Session> {
        let structures = [(1, "label 1".to_owned()), (5, "label 5".to_owned())].into();
        let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][self.plane.axis()];
        let (scan, config) = (self.scan.identity()?, AnnotateConfig::default());
        let header = Header::new(scan, axis, self.window()?, structures, "0".repeat(64), config);
        Ok(Session::start(self.folder.path().join("session"), header)?)
    }

    /// Adds a round with the found mask to the session.
    fn find(&self, session: &mut Session) -> Result<u64> {
        let (config, cards) = (session.header().config.clone(), BTreeMap::new());
        let result = RoundResult::new(config, "none", &cards, self.mask.view()).with_seed(0);
        Ok(session.record_round(result, self.scan.volume())?)
    }

    /// A desk on a session.
    fn in_session(&self, session: Session) -> Result<ScanDesk> {
        let store = SessionStore::new(session)?;
        self.desk(store.slices()?, Box::new(store), "json")
    }

    /// A desk on the mask, alone or in a session.
    fn any(&self, in_session: bool) -> Result<ScanDesk> {
        if !in_session {
            return self.in_memory();
        }
        let mut session = self.session()?;
        self.find(&mut session)?;
        self.in_session(session)
    }

    fn written(&self) -> Result<LabelVolume> {
        Ok(sam_data::read_labels(self.folder.path().join("reviewed.nii.gz"))?)
    }

    fn record(&self, name: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.folder.path().join(name))?)?)
    }
}

fn part(x_min: f32, x_max: f32) -> Prompts {
    Prompts::from_boxes(vec![BoundingBox { x_min, x_max, y_min: 0.0, y_max: 11.0 }])
}

/// Columns with a label value in the first row.
fn columns(labels: &Array2<u16>, value: u16) -> Vec<usize> {
    labels.row(0).iter().enumerate().filter(|&(_, &label)| label == value).map(|(column, _)| column).collect()
}

fn states(desk: &ScanDesk) -> Vec<SliceState> {
    desk.overview().slices.iter().map(|slice| slice.state).collect()
}

#[test]
fn what_is_proposed_is_kept_only_when_it_is_decided_and_takes_its_pixels_from_others() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    let overview = desk.overview();
    assert_eq!((overview.rows, overview.columns, overview.spacing_mm), (12, 16, (2.0, 2.0)));
    assert_eq!(overview.slices.iter().map(|slice| slice.is_blank).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!(overview.ranking[1], RankedSlice::new(1, None));
    assert_eq!(desk.image(0)?.dim(), (12, 16, 1));

    let answer = desk.propose(0, 5, &part(6.0, 9.0))?;
    assert_eq!((columns(&answer.labels, 1), columns(&answer.labels, 5)), ((0..6).collect(), (6..10).collect()));
    assert_eq!((desk.labels(0)?[(0, 7)], desk.overview().unsaved), (1, 0));
    assert!(matches!(desk.decide(1, Decision::Keep), Err(DeskError::NotNow(_))), "nothing is proposed there");
    desk.decide(0, Decision::Keep)?;
    assert_eq!((desk.labels(0)?, desk.overview().unsaved), (answer.labels, 1));
    assert!(matches!(desk.decide(0, Decision::Keep), Err(DeskError::NotNow(_))), "it was kept already");

    // A structure drawn again is removed from its old place.
    desk.propose(0, 5, &part(9.0, 11.0))?;
    desk.decide(0, Decision::Keep)?;
    assert_eq!(columns(&desk.labels(0)?, 5), [9, 10, 11]);
    // A decision makes an earlier proposal invalid.
    desk.propose(0, 5, &part(0.0, 11.0))?;
    desk.decide(0, Decision::Accept)?;
    assert!(matches!(desk.decide(0, Decision::Keep), Err(DeskError::NotNow(_))));
    Ok(())
}

#[test]
fn every_decision_can_be_taken_back() -> Result<()> {
    use SliceState::{Accepted, Drawn, Empty, Predicted, Rejected};
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    let before = desk.labels(0)?;
    assert_eq!(desk.undo()?, None);
    desk.decide(0, Decision::Accept)?;
    desk.decide(1, Decision::Accept)?;
    desk.propose(2, 1, &part(0.0, 3.0))?;
    desk.decide(2, Decision::Keep)?;
    desk.decide(0, Decision::Empty)?;
    desk.decide(3, Decision::Reject)?;
    assert_eq!(states(&desk), [Empty, Empty, Drawn, Rejected], "a blank slice that is right is an empty one");
    assert!(columns(&desk.labels(0)?, 1).is_empty());
    assert_eq!((desk.undo()?, desk.undo()?), (Some(3), Some(0)));
    assert_eq!((states(&desk), desk.labels(0)?), (vec![Accepted, Empty, Drawn, Predicted], before));
    assert_eq!((desk.undo()?, desk.undo()?, desk.undo()?, desk.undo()?), (Some(2), Some(1), Some(0), None));
    assert_eq!(states(&desk), [Predicted; 4]);
    assert!(!desk.overview().can_undo);
    Ok(())
}

#[test]
fn the_mask_is_saved_on_the_scans_grid_without_what_was_rejected() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    desk.propose(1, 5, &part(2.0, 4.0))?;
    desk.decide(1, Decision::Keep)?;
    desk.decide(0, Decision::Reject)?;
    let saved = desk.save()?;
    assert_eq!((saved.left_out, desk.overview().unsaved), (vec![0], 0));
    let mask = scratch.written()?;
    assert_eq!(mask.grid, scratch.scan.volume().grid);
    let written = |slice| scratch.plane.extract(mask.labels.view(), slice);
    assert_eq!((written(1), written(0)), (desk.labels(1)?, Array2::zeros((12, 16))));
    let record = scratch.record("reviewed.review.json")?;
    assert_eq!(record["slices"], serde_json::json!({ "0": "rejected", "1": "drawn" }));
    assert_eq!(record["window"]["name"], "abdomen");
    let sha256 = sam_files::sha256_of_file(scratch.folder.path().join("reviewed.nii.gz"))?;
    assert_eq!(record["outputs"]["reviewed.nii.gz"]["sha256"], sha256);

    Ok(())
}

#[test]
fn a_save_that_fails_keeps_every_decision_and_can_be_done_again() -> Result<()> {
    for in_session in [false, true] {
        let scratch = Scratch::new()?;
        let mut desk = scratch.any(in_session)?;
        desk.decide(0, Decision::Accept)?;
        desk.decide(1, Decision::Empty)?;
        let (here, away) = (scratch.folder.path(), scratch.folder.path().with_extension("away"));
        assert_eq!((desk.save()?.note, desk.overview().unsaved), (None, 0));

        desk.decide(0, Decision::Empty)?;
        std::fs::rename(here, &away)?;
        let error = sam_prompt::error_chain(&desk.save().expect_err("the folder is gone"));
        for part in ["every decision is kept", "reviewed.nii.gz", "save again"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!((desk.overview().unsaved, states(&desk)[..2] == [SliceState::Empty; 2]), (1, true));
        std::fs::rename(&away, here)?;
        assert_eq!((desk.save()?.note, desk.overview().unsaved), (None, 0));
        assert!(scratch.plane.extract(scratch.written()?.labels.view(), 0).iter().all(|&label| label == 0));
    }
    Ok(())
}

#[test]
fn a_save_never_replaces_what_another_program_wrote() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    desk.decide(0, Decision::Reject)?;
    desk.save()?;
    let out = scratch.folder.path().join("reviewed.nii.gz");
    let theirs = Array3::from_elem((16, 12, 4), 5);
    scratch.scan.write_labels(&out, theirs.view())?;
    let before = std::fs::read(&out)?;
    desk.decide(3, Decision::Empty)?;
    let saved = desk.save()?;
    let note = saved.note.ok_or("the person is told")?;
    assert!(note.contains("reviewed.nii.gz") && note.contains(&saved.path), "{note}");
    assert!(saved.path.ends_with("reviewed-review-1.nii.gz"), "{}", saved.path);
    assert_eq!((std::fs::read(&out)?, desk.overview().out, desk.overview().unsaved), (before, saved.path.clone(), 0));
    assert!(sam_data::read_labels(&saved.path)?.labels.iter().all(|&label| label != 5));
    assert_eq!(scratch.record("reviewed-review-1.review.json")?["slices"]["3"], "empty");
    // From now on this is the review's own file.
    desk.undo()?;
    assert_eq!((desk.save()?.note, desk.overview().out), (None, saved.path));

    // A folder in place of the record is not the review's either.
    let record = scratch.folder.path().join("reviewed-review-1.review.json");
    std::fs::remove_file(&record)?;
    std::fs::create_dir(&record)?;
    desk.decide(2, Decision::Empty)?;
    assert!(desk.save()?.path.ends_with("reviewed-review-1-review-1.nii.gz"));
    assert!(record.is_dir());
    Ok(())
}

#[test]
fn each_change_gives_its_slice_a_version_that_no_slice_had() -> Result<()> {
    for in_session in [false, true] {
        let scratch = Scratch::new()?;
        let mut desk = scratch.any(in_session)?;
        let versions = |desk: &ScanDesk| desk.overview().slices.iter().map(|slice| slice.version).collect::<Vec<_>>();
        assert_eq!((versions(&desk), desk.overview().revision), (vec![0; 4], 0));
        desk.decide(2, Decision::Accept)?;
        desk.decide(0, Decision::Reject)?;
        assert_eq!((versions(&desk), desk.overview().revision), (vec![2, 0, 1, 0], 2));
        desk.undo()?;
        assert_eq!((versions(&desk), desk.overview().revision), (vec![3, 0, 1, 0], 3));
        // What is refused or only proposed changes nothing.
        desk.propose(1, 5, &part(2.0, 4.0))?;
        assert!(desk.decide(3, Decision::Keep).is_err());
        assert_eq!(desk.overview().revision, 3);
        desk.decide(1, Decision::Keep)?;
        assert_eq!(versions(&desk), [3, 4, 1, 0]);
    }
    Ok(())
}

#[test]
fn decisions_on_a_session_are_kept_at_once_and_taken_back_as_far_as_the_round() -> Result<()> {
    use SliceState::{Accepted, Drawn, Empty, Predicted, Rejected};
    let scratch = Scratch::new()?;
    let mut session = scratch.session()?;
    session.draw(3, Array2::zeros((12, 16)).view())?;
    scratch.find(&mut session)?;
    let mut desk = scratch.in_session(session)?;
    assert_eq!((states(&desk), desk.overview().can_undo), (vec![Predicted, Predicted, Predicted, Empty], false));
    assert_eq!((desk.undo()?, columns(&desk.labels(0)?, 1).len()), (None, 8), "a round is no decision");
    desk.decide(0, Decision::Accept)?;
    desk.propose(1, 5, &part(2.0, 4.0))?;
    desk.decide(1, Decision::Keep)?;
    desk.decide(2, Decision::Reject)?;
    let decided = [Accepted, Drawn, Rejected, Empty];
    assert_eq!((states(&desk), desk.overview().unsaved), (decided.to_vec(), 3));

    // The program ends without saving.
    drop(desk);
    let mut desk = scratch.in_session(scratch.session()?)?;
    assert_eq!((states(&desk), columns(&desk.labels(1)?, 5)), (decided.to_vec(), vec![2, 3, 4]));
    desk.decide(0, Decision::Reject)?;
    assert_eq!(desk.undo()?, Some(0));
    assert_eq!((states(&desk), columns(&desk.labels(0)?, 1).len()), (decided.to_vec(), 8));
    assert_eq!((desk.undo()?, desk.undo()?, desk.undo()?, desk.undo()?), (Some(2), Some(1), Some(0), None));
    assert_eq!((states(&desk), desk.overview().can_undo), (vec![Predicted, Predicted, Predicted, Empty], false));
    Ok(())
}

#[test]
fn the_mask_of_a_session_is_the_one_that_annotate_writes() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut session = scratch.session()?;
    scratch.find(&mut session)?;
    let mut desk = scratch.in_session(session)?;
    desk.propose(1, 5, &part(2.0, 4.0))?;
    desk.decide(1, Decision::Keep)?;
    // A rejected slice keeps its labels in the mask until a later round segments it again. If it were blank, it would be read as drawn
    // blank.
    desk.decide(0, Decision::Reject)?;
    // The same holds for a rejected slice that the person had drawn.
    desk.propose(2, 1, &part(0.0, 5.0))?;
    desk.decide(2, Decision::Keep)?;
    desk.decide(2, Decision::Reject)?;
    assert!(columns(&desk.labels(2)?, 1).is_empty(), "what was found stands again");
    assert_eq!(desk.save()?.left_out, Vec::<usize>::new());
    drop(desk);
    assert_eq!(Some(scratch.written()?), scratch.session()?.current()?);
    let record = scratch.record("reviewed.json")?;
    assert_eq!(
        (&record["session"]["drawn"], &record["session"]["rejected"]),
        (&serde_json::json!([1]), &serde_json::json!([0, 2]))
    );
    Ok(())
}

#[test]
fn a_mask_that_lacks_decisions_of_its_session_is_written_again() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut session = scratch.session()?;
    scratch.find(&mut session)?;
    session.draw(3, Array2::ones((12, 16)).view())?;
    let store = SessionStore::new(session)?;
    for (mask, unsaved) in [(MaskState::Open, 0), (MaskState::Current, 0), (MaskState::Outdated, 1)] {
        let mut desk = scratch.in_memory()?;
        desk.slices = store.slices()?;
        desk.case.mask = mask;
        let desk = ScanDesk::new(desk.case, desk.images, desk.slices, desk.store, desk.model)?;
        assert_eq!((desk.overview().unsaved, desk.written().is_some()), (unsaved, mask == MaskState::Current));
    }
    Ok(())
}

#[test]
fn a_session_without_a_round_has_nothing_to_review() -> Result<()> {
    let scratch = Scratch::new()?;
    let error = SessionStore::new(scratch.session()?).expect_err("nothing was found");
    assert!(matches!(error, StoreError::NothingToReview), "{error}");
    Ok(())
}

#[test]
fn what_a_session_cannot_keep_is_not_shown_as_kept() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut session = scratch.session()?;
    scratch.find(&mut session)?;
    let mut desk = scratch.in_session(session)?;
    std::fs::remove_dir_all(scratch.folder.path().join("session").join("objects"))?;
    let error = desk.decide(0, Decision::Accept).expect_err("there is no place for it").to_string();
    assert!(error.contains("nothing has changed"), "{error}");
    assert_eq!((states(&desk)[0], desk.overview().unsaved), (SliceState::Predicted, 0));
    Ok(())
}

#[test]
fn clicks_without_a_structure_fail_in_words() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    let click = Prompts::from_points(vec![Point { x: 1.0, y: 1.0, label: Label::Foreground }]);
    let error = desk.propose(0, 2, &click).expect_err("no such structure").to_string();
    assert!(error.contains("label value 2"), "{error}");
    Ok(())
}
