use proptest::prelude::*;
use sam_data::{Grid, LabelVolume, SliceAxis};
use sam_prompt::ndarray::Array3;

use super::*;
use crate::SliceList;

/// Ten axial slices of 12 x 10 voxels of 2 x 1 mm, 2.5 mm apart; the first lies at -10 mm.
const AFFINE: [[f64; 4]; 4] =
    [[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.5, -10.0], [0.0, 0.0, 0.0, 1.0]];
const SHAPE: [usize; 3] = [12, 10, 10];

fn plane() -> SlicePlane {
    SlicePlane::new(&Grid::new(SHAPE, AFFINE), SliceAxis::K)
}

/// Fills a rectangle of 8 x 6 voxels of a slice.
fn fill(labels: &mut Array3<u16>, slice: usize, value: u16) {
    for (i, j) in (1..9).flat_map(|i| (2..8).map(move |j| (i, j))) {
        labels[[i, j, slice]] = value;
    }
}

/// A rectangle of each label on its slices, counted from 0.
fn outlined(structures: &[(u16, &[usize])]) -> Annotations {
    let mut labels = Array3::zeros(SHAPE);
    for (value, slices) in structures {
        for &slice in *slices {
            fill(&mut labels, slice, *value);
        }
    }
    Annotations::new(LabelVolume::new(labels, AFFINE))
}

fn summary(annotations: &Annotations) -> AnnotationSummary {
    annotations.summary(&plane(), AxisReason::Gaps).expect("annotations that make sense")
}

fn refused(annotations: &Annotations) -> String {
    annotations.summary(&plane(), AxisReason::Gaps).expect_err("it is refused").to_string()
}

fn indices<'a>(places: impl IntoIterator<Item = &'a SlicePlace>) -> Vec<usize> {
    places.into_iter().map(|place| place.index).collect()
}

/// Slices with their reasons.
fn absent(structure: &StructureSummary) -> Vec<(usize, AbsentReason)> {
    structure.absent.iter().map(|absent| (absent.place.index, absent.reason)).collect()
}

/// Liver on slices 2 and 7, spleen on 4 and 9.
fn liver_and_spleen() -> Annotations {
    let names = [(1, "liver".to_owned()), (2, "spleen".to_owned())];
    outlined(&[(1, &[2, 7]), (2, &[4, 9])]).with_names(names)
}

#[test]
fn a_slice_outlined_for_another_structure_is_not_empty() {
    let found = summary(&liver_and_spleen());
    let [liver, spleen] = &found.structures[..] else { panic!("two structures: {found:?}") };
    assert!(liver.absent.is_empty() && spleen.absent.is_empty());
    assert_eq!((indices(&liver.open), indices(&spleen.open)), (vec![4, 9], vec![2, 7]));
    assert_eq!((liver.annotated(), spleen.annotated()), ([2, 7].into(), [4, 9].into()));
}

#[test]
fn it_is_empty_if_the_person_says_so() {
    let found = summary(&liver_and_spleen().with_complete(true));
    assert_eq!(absent(&found.structures[0]), [(4, AbsentReason::Complete), (9, AbsentReason::Complete)]);
    assert!(found.structures.iter().all(|structure| structure.open.is_empty()));

    let said = liver_and_spleen().with_empty([0]).with_empty_of(2, [2, 5]);
    let found = summary(&said);
    assert_eq!(absent(&found.structures[0]), [(0, AbsentReason::SaidEmpty)]);
    let of_spleen = [0, 2, 5].map(|slice| (slice, AbsentReason::SaidEmpty));
    assert_eq!(absent(&found.structures[1]), of_spleen);
    assert_eq!(indices(&found.structures[1].open), [7]);
    assert_eq!(found.structures[1].annotated(), [0, 2, 4, 5, 9].into());
}

#[test]
fn lists_of_empty_slices_fit_the_outlines() {
    for (annotations, part) in [
        (
            liver_and_spleen().with_empty([10]),
            "slice 11 is listed as empty, but the scan has 10 slices, counted from 1",
        ),
        (liver_and_spleen().with_empty_of(1, [12]), "slice 13 is listed as empty"),
        (liver_and_spleen().with_empty([2]), "slice 3 is listed as empty for all structures, but has an outline"),
        (liver_and_spleen().with_empty_of(1, [7]), "slice 8 is listed as empty for liver, but has an outline of it"),
        (liver_and_spleen().with_empty_of(3, [0]), "label value 3, but the structures are 1 (liver), 2 (spleen)"),
    ] {
        let error = refused(&annotations);
        assert!(error.contains(part), "{error}");
    }
    // A structure that is named for later has no outline yet.
    let named = liver_and_spleen().with_names([(3, "cyst".to_owned())]).with_empty_of(3, [0]);
    assert_eq!(summary(&named).structures.len(), 2);
}

#[test]
fn a_voxel_that_strayed_is_no_outline() {
    let mut annotations = liver_and_spleen();
    annotations.labels.labels[[11, 9, 3]] = 1;
    annotations.labels.labels[[11, 9, 4]] = 1;
    let understood = annotations.understood(&plane(), AxisReason::Gaps).expect("a warning, no error");
    let liver = &understood.summary.structures[0];
    assert_eq!(indices(liver.too_small.iter().map(|outline| &outline.place)), [3, 4]);
    assert_eq!(liver.annotated(), [2, 7].into());
    // It is neither an outline nor an empty slice, and on slice 3 there is nothing else that spleen could be beside.
    assert_eq!((indices(&liver.open), indices(&understood.summary.structures[1].open)), (vec![9], vec![2, 7]));
    assert_eq!(*understood.labels, liver_and_spleen().labels.labels, "nothing else is removed");
    let warnings = liver.warnings();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("liver: slice 4 (-2.5 mm) has 1 voxel (2.0 mm2) of it"), "{}", warnings[0]);
    assert!(warnings[0].contains("counts as not outlined") && warnings[0].contains("neither learned nor kept"));

    // Said to be complete, the stray slice is still none that shows the absence of liver.
    let complete = summary(&annotations.clone().with_complete(true));
    assert_eq!(absent(&complete.structures[0]), [(9, AbsentReason::Complete)]);
    // The person may want it, or call it empty, which contradicts it.
    let all = summary(&annotations.clone().with_min_outline(MinOutline::NONE));
    assert_eq!(all.structures[0].annotated(), [2, 3, 4, 7].into());
    assert!(refused(&annotations.clone().with_empty_of(1, [3])).contains("slice 4"));
    let nothing = annotations.with_min_outline(MinOutline::Area(1000.0));
    assert!(refused(&nothing).contains("every outline of liver is smaller than the smallest that counts (1000)"));
}

#[test]
fn a_structure_of_one_voxel_beside_whole_ones_is_doubtful() {
    let mut annotations = liver_and_spleen();
    annotations.labels.labels[[0, 0, 5]] = 7;
    let found = summary(&annotations);
    let doubtful: Vec<_> = found.structures.iter().map(|structure| structure.is_doubtful).collect();
    assert_eq!(doubtful, [false, false, true]);
    let warnings = found.structures[2].warnings();
    assert!(warnings[0].contains("label 7 is outlined with 1 voxel in all, on slice 6 (2.5 mm)"), "{warnings:?}");
    let mut alone = outlined(&[]);
    alone.labels.labels[[0, 0, 5]] = 7;
    assert!(summary(&alone).structures[0].warnings().is_empty(), "a small lesion");
}

#[test]
fn people_read_numbers_and_programs_indices() -> serde_json::Result<()> {
    let mut annotations = liver_and_spleen().with_empty([0, 1]);
    annotations.labels.labels[[11, 9, 7]] = 1;
    let found = summary(&annotations);
    let text = found.to_string();
    for part in [
        "Axis: axial (k, 10 slices), because whole slices along it are outlined, with gaps between them\n",
        "liver: outlined on 2 slices: 3 (-5.0 mm; 1 component, 96.0 mm2), 8 (7.5 mm; 2 components, 98.0 mm2)\n",
        "liver: absent on slices 1-2 (-10.0 to -7.5 mm) (said to be empty)\n",
        "liver: looked for on slices 5 (0.0 mm), 10 (12.5 mm), outlined for other structures alone\n",
    ] {
        assert!(text.contains(part), "{part}{text}");
    }
    let json = serde_json::to_value(&found)?;
    assert_eq!((&json["axis"]["axis"], &json["axis"]["reason"]), (&"k".into(), &"gaps".into()));
    let liver = &json["structures"][0];
    assert_eq!((&liver["outlined"][1]["index"], &liver["outlined"][1]["mm"]), (&7.into(), &7.5.into()));
    assert_eq!((&liver["absent"][1]["index"], &liver["absent"][1]["reason"]), (&1.into(), &"said_empty".into()));
    assert_eq!(liver["open"][0]["index"], 4);
    Ok(())
}

proptest! {
    #[test]
    fn a_slice_has_one_meaning_for_each_structure(
        slices in prop::array::uniform10(0_u16..4),
        strays in prop::collection::vec((prop::array::uniform2(0_usize..10), 0_usize..10, 1_u16..4), 0..4),
        empty in prop::collection::btree_map(1_u16..4, prop::collection::btree_set(0_usize..10, 0..4), 0..3),
        complete: bool,
    ) {
        let mut annotations = outlined(&[]).with_complete(complete);
        for (slice, &value) in slices.iter().enumerate() {
            fill(&mut annotations.labels.labels, slice, value);
        }
        for ([i, j], k, value) in strays {
            annotations.labels.labels[[i, j, k]] = value;
        }
        for (value, slices) in empty {
            annotations = annotations.with_empty_of(value, slices);
        }
        let Ok(understood) = annotations.understood(&plane(), AxisReason::Given) else { return Ok(()) };
        for structure in &understood.summary.structures {
            let mut seen = BTreeSet::new();
            let outlines = structure.outlined.iter().chain(&structure.too_small).map(|outline| outline.place);
            let absent = structure.absent.iter().map(|absent| absent.place);
            for place in outlines.chain(absent).chain(structure.open.iter().copied()) {
                prop_assert!(seen.insert(place.index), "slice {} twice: {structure:?}", place.index);
            }
            // What is said to be empty is absent, and what is learned from is in the labels that count.
            for slice in annotations.empty.of.get(&structure.value).into_iter().flat_map(SliceList::iter) {
                prop_assert!(structure.absent.iter().any(|absent| absent.place.index == slice));
            }
            for slice in 0..10 {
                let drawn = plane().extract(understood.labels.view(), slice).iter().any(|&label| label == structure.value);
                prop_assert_eq!(drawn, structure.outlined.iter().any(|outline| outline.place.index == slice));
            }
        }
    }
}
