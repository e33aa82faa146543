use std::{path::Path, sync::Mutex};

use anyhow::ensure;
use sam_data::{PhantomConfig, SliceAxis, Window};
use sam_prompt::{BoundingBox, Label, Point};

use super::*;
use crate::review::{Found, Ranked};

/// Finds whatever lies in the box; remembers what it was asked for.
#[derive(Debug, Default)]
struct BoxModel {
    size: (usize, usize),
    embedded: Mutex<Vec<usize>>,
}

impl Segmenter for BoxModel {
    fn is_embedded(&self, slice: usize) -> bool {
        self.embedded.lock().expect("no panic").contains(&slice)
    }

    fn embed(&self, slice: usize) -> Result<()> {
        self.embedded.lock().expect("no panic").push(slice);
        Ok(())
    }

    fn segment(&self, _: usize, structure: usize, prompts: &Prompts) -> Result<Found> {
        ensure!(structure < 2, "only two structures");
        let inside = |(row, column)| prompts.boxes.iter().any(|part| part.contains(column as f32, row as f32));
        Ok(Found { mask: Array2::from_shape_fn(self.size, inside), predicted_iou: 0.75 })
    }
}

/// Slices of 12 x 16 pixels, 2 structures: 1 in the left half of slice 0, 5 nowhere.
fn desk(folder: &Path) -> Result<ScanDesk> {
    let volume = PhantomConfig { shape: [16, 12, 4], ..PhantomConfig::default() }.generate().volume;
    let image = folder.join("scan.nii.gz");
    sam_data::write_volume(&image, &volume)?;
    let options = ScanOptions { image, series: None, out: folder.join("reviewed.nii.gz"), seg: None };
    let scan = options.read()?;
    let plane = SlicePlane::new(&scan.volume.grid, SliceAxis::Axial);
    let mut labels = Array3::zeros((16, 12, 4));
    plane.insert(&mut labels, 0, Array2::from_shape_fn((12, 16), |(_, column)| u16::from(column < 8)).view());
    let mask = LabelVolume { labels, grid: scan.volume.grid.clone() };
    let segment = |value| Segment { value, name: format!("label {value}") };
    let window = Window::Abdomen.resolve(scan.volume.voxels.view())?;
    let record = serde_json::json!({ "window": window }).as_object().cloned().unwrap_or_default();
    let model = Arc::new(BoxModel { size: plane.size(), ..BoxModel::default() });
    let structures = vec![segment(1), segment(5)];
    let case = ReviewCase { options, scan, plane, structures, ranking: Ranking::in_order(4), record };
    let images = Arc::new(case.images(&window));
    ScanDesk::new(case, &mask, images, model)
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
    let folder = tempfile::tempdir()?;
    let mut desk = desk(folder.path())?;
    let overview = desk.overview();
    assert_eq!((overview.rows, overview.columns, overview.spacing_mm), (12, 16, (2.0, 2.0)));
    assert_eq!(overview.slices.iter().map(|slice| slice.is_blank).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!(overview.ranking[1], Ranked { slice: 1, trust: None });
    assert_eq!(desk.image(0)?.dim(), (12, 16, 1));

    let answer = desk.answer(0, 5, &part(6.0, 9.0))?;
    assert_eq!((columns(&answer.labels, 1), columns(&answer.labels, 5)), ((0..6).collect(), (6..10).collect()));
    assert_eq!((desk.labels(0)?[(0, 7)], desk.overview().unsaved), (1, 0));
    assert!(matches!(desk.decide(1, Decision::Keep), Err(DeskError::NotNow(_))), "nothing is proposed there");
    desk.decide(0, Decision::Keep)?;
    assert_eq!((desk.labels(0)?, desk.overview().unsaved), (answer.labels, 1));
    assert!(matches!(desk.decide(0, Decision::Keep), Err(DeskError::NotNow(_))), "it was kept already");

    // A structure drawn anew leaves where it was.
    desk.answer(0, 5, &part(9.0, 11.0))?;
    desk.decide(0, Decision::Keep)?;
    assert_eq!(columns(&desk.labels(0)?, 5), [9, 10, 11]);
    // A decision made meanwhile outdates what was proposed.
    desk.answer(0, 5, &part(0.0, 11.0))?;
    desk.decide(0, Decision::Accept)?;
    assert!(matches!(desk.decide(0, Decision::Keep), Err(DeskError::NotNow(_))));
    Ok(())
}

#[test]
fn every_decision_can_be_taken_back() -> Result<()> {
    use SliceState::{Accepted, Drawn, Empty, Predicted, Rejected};
    let folder = tempfile::tempdir()?;
    let mut desk = desk(folder.path())?;
    let before = desk.labels(0)?;
    assert_eq!(desk.undo()?, None);
    desk.decide(0, Decision::Accept)?;
    desk.decide(1, Decision::Accept)?;
    desk.answer(2, 1, &part(0.0, 3.0))?;
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
    let folder = tempfile::tempdir()?;
    let mut desk = desk(folder.path())?;
    desk.answer(1, 5, &part(2.0, 4.0))?;
    desk.decide(1, Decision::Keep)?;
    desk.decide(0, Decision::Reject)?;
    let saved = desk.save()?;
    assert_eq!((saved.left_out, desk.overview().unsaved), (vec![0], 0));
    let out = folder.path().join("reviewed.nii.gz");
    let (mask, scan) = (sam_data::read_labels(&out)?, sam_data::read_volume(&folder.path().join("scan.nii.gz"))?);
    assert_eq!(mask.grid, scan.grid);
    let plane = SlicePlane::new(&mask.grid, SliceAxis::Axial);
    let written = |slice| plane.extract(mask.labels.view(), slice);
    assert_eq!((written(1), written(0)), (desk.labels(1)?, Array2::zeros((12, 16))));
    let record = std::fs::read_to_string(folder.path().join("reviewed.review.json"))?;
    let record: serde_json::Value = serde_json::from_str(&record)?;
    assert_eq!(record["slices"], serde_json::json!({ "0": "rejected", "1": "drawn" }));
    assert_eq!(record["window"]["name"], "abdomen");

    // What cannot be written is still there, and unsaved.
    desk.undo()?;
    std::fs::remove_dir_all(folder.path())?;
    let error = desk.save().expect_err("the folder is gone").to_string();
    assert!(error.contains("reviewed.nii.gz"), "{error}");
    assert_eq!((desk.overview().unsaved, columns(&desk.labels(0)?, 1).len()), (1, 8));
    Ok(())
}

#[test]
fn clicks_without_a_structure_fail_in_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut desk = desk(folder.path())?;
    let click = Prompts::from_points(vec![Point { x: 1.0, y: 1.0, label: Label::Foreground }]);
    let error = desk.answer(0, 2, &click).expect_err("no such structure").to_string();
    assert!(error.contains("label value 2"), "{error}");
    Ok(())
}
